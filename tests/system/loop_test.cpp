// The whole loop on real packets: sensors, policy, kernel, and back.

#include "tests/system/controller.hpp"

#include <map>
#include <string>

namespace homeostat::system_test {

namespace {

class LoopInMode : public InLab, public testing::WithParamInterface<const char*> {
  protected:
    std::string mode() const { return std::string("\"") + GetParam() + "\""; }
};

INSTANTIATE_TEST_SUITE_P(Modes, LoopInMode, testing::Values("drv", "skb"),
                         [](const auto& mode) { return std::string(mode.param); });

TEST_P(LoopInMode, CountsEveryPacketOfEachProtocolOnce) {
    Controller controller = start_attached({.mode = mode()}, {});
    EXPECT_EQ(to_text(attached().value().mode), GetParam());
    send(300, 200, 100);
    const std::map<std::string, double> exact{
        {"counted{proto=udp}", 300}, {"counted{proto=tcp}", 200}, {"counted{proto=icmp}", 100}};
    controller.await(signals_have(exact), "the exact counts");
    // And they stay what they are.
    for (int i = 0; i < 3; ++i) {
        const Event& signals = controller.await(signal_above("counted{proto=udp}", 0), "signals");
        EXPECT_TRUE(signals_have(exact)(signals));
    }
    EXPECT_EQ(controller.stop(), 0);
}

TEST_P(LoopInMode, AUdpFloodIsHeldWhileOtherTrafficPassesAndTheBaselineReturns) {
    Controller controller = start_attached({.mode = mode(), .maps = std::string(urgent_limit)}, {});
    const std::uint32_t baseline = attached_id();
    const lab::Bounds bounds{.time = patience};
    const lab::Traffic echo = must(lab::serve_tcp_echo(host(), 7, bounds));
    lab::Traffic sink = must(lab::receive_udp(host(), 9, bounds));
    lab::Traffic icmp = must(lab::probe_icmp(peer(), {.bounds = bounds}));
    lab::Traffic tcp = must(lab::talk_tcp(peer(), {.bounds = bounds}));

    lab::Traffic udp = flood();
    controller.await(symptom_to("raised"), "the symptom");
    const Event guarded = controller.await(outcome_with("guard"), "the guard");
    const auto passed_before = sink.count().received;
    const auto sent_before = udp.count().sent;
    EXPECT_EQ(attached_id(), program_id_of(guarded));
    EXPECT_NE(attached_id(), baseline);
    controller.await(signal_above("dropped{proto=udp}", 5'000), "drops");
    const auto passed = sink.count().received - passed_before;
    const auto sent = udp.stop().sent - sent_before;
    EXPECT_GT(passed, 0U) << "a limit is no ban";
    EXPECT_LT(static_cast<double>(passed), 0.1 * static_cast<double>(sent));

    controller.await(outcome_with("counter"), "the baseline");
    EXPECT_EQ(attached_id(), baseline);
    for (lab::Traffic* conversation : {&icmp, &tcp}) {
        const lab::TrafficCount count = conversation->stop();
        EXPECT_GT(count.sent, 0U);
        EXPECT_EQ(count.received, count.sent) << count.error;
    }
    EXPECT_EQ(controller.stop(), 0);
}

using Loop = InLab;

// The next period comes after the flood: only the kernel's record can start a tick while it is on.
TEST_F(Loop, AnUrgentRecordOfTheKernelStartsATickOfItsOwn) {
    Controller controller =
        start_attached({.period = "1m", .maps = std::string(urgent_limit)},
                       {.raise = R"(xdp_over_limit{proto="udp"} == 1)", .clear = "udp_pps < 1"});
    const lab::Traffic udp = flood(20'000, std::chrono::seconds{20});
    controller.await(symptom_to("raised"), "the symptom");
    const Event guarded = controller.await(outcome_with("guard"), "the guard");
    EXPECT_LT(udp.count().sent, 20U * 20'000) << "the flood is over already";
    EXPECT_EQ(attached_id(), program_id_of(guarded));
}

TEST_F(Loop, AFloodThatTheKernelDoesNotReportIsSeenByItsRate) {
    Controller controller = start_attached({}, {});
    const lab::Traffic udp = flood();
    const Event raised = controller.await(symptom_to("raised"), "the symptom");
    EXPECT_GT(raised.at("value").to_number<double>(), 5'000);
    controller.await(outcome_with("guard"), "the guard");
    controller.await(signal_above("dropped{proto=udp}", 1'000), "drops");
}

TEST_F(Loop, CountersGoOnWhenTheProgramIsReplaced) {
    Controller controller = start_attached({}, {});
    send(1'000, 0, 0);
    controller.await(signals_have({{"counted{proto=udp}", 1'000}}), "the counts before");
    const lab::TrafficCount sent = flood(10'000, std::chrono::seconds{2}).wait();
    controller.await(outcome_with("counter"), "the guard and then the baseline");
    EXPECT_EQ(controller.count(outcome_with("guard")), 1U);
    const double total = 1'000 + static_cast<double>(sent.sent);
    controller.await(signals_have({{"counted{proto=udp}", total}}), "the counts of both programs");
}

} // namespace

} // namespace homeostat::system_test
