#include "tests/bpf/harness.hpp"

#include <linux/bpf.h>

#include <ctime>
#include <optional>

namespace homeostat::bpf_test {
namespace {

// What both programs do before their verdict.
class Counting : public KernelTest, public testing::WithParamInterface<const char*> {
  protected:
    void SetUp() override {
        KernelTest::SetUp();
        if (!IsSkipped()) program_.emplace(GetParam());
    }
    const Program& program() const { return *program_; }

    std::vector<over_limit_event> urgent() const {
        return program().drain<over_limit_event>("urgent_events");
    }

    std::optional<Program> program_;
};

INSTANTIATE_TEST_SUITE_P(EachProgram, Counting, testing::Values("xdp_counter", "xdp_guard"),
                         [](const auto& instance) { return std::string(instance.param); });

std::uint64_t monotonic_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

TEST_P(Counting, PacketsAndBytesAreCountedExactly) {
    program().run(udp_frame(), 1'000);
    program().run(tcp_frame(), 300);
    program().run(ethernet(ether::arp) + zeros(28), 7);
    const auto udp = program().sum<proto_count>("proto_counters", PROTO_UDP);
    EXPECT_EQ(udp.packets, 1'000u);
    EXPECT_EQ(udp.bytes, 1'000u * udp_frame().size());
    const auto tcp = program().sum<proto_count>("proto_counters", PROTO_TCP);
    EXPECT_EQ(tcp.packets, 300u);
    EXPECT_EQ(tcp.bytes, 300u * tcp_frame().size());
    EXPECT_EQ(program().sum<proto_count>("proto_counters", PROTO_ARP).packets, 7u);
    EXPECT_EQ(program().sum<proto_count>("proto_counters", PROTO_ICMP).packets, 0u);
}

TEST_P(Counting, SynsAreCountedAndLimitedApartFromTheRestOfTcp) {
    program().set("proto_limits", PROTO_TCP_SYN, rate_limit{.pps = 1, .burst = 1});
    program().run(tcp_frame(), 300);
    EXPECT_TRUE(urgent().empty());
    program().run(syn_frame(), 200);
    EXPECT_EQ(program().sum<proto_count>("proto_counters", PROTO_TCP).packets, 300u);
    EXPECT_EQ(program().sum<proto_count>("proto_counters", PROTO_TCP_SYN).packets, 200u);
    const auto events = urgent();
    ASSERT_FALSE(events.empty());
    EXPECT_EQ(events.front().proto, PROTO_TCP_SYN);
}

TEST_P(Counting, WithoutALimitNothingIsReportedOrMetered) {
    program().run(udp_frame(), 100'000);
    EXPECT_TRUE(urgent().empty());
    EXPECT_EQ(program().get<proto_meter>("proto_meters", PROTO_UDP).arrival_ns, 0u);
}

TEST_P(Counting, UpToTheBurstNothingIsReported) {
    for (const std::uint64_t burst : {1u, 10u, 100u, 1'024u, 5'000u}) {
        const Program fresh(GetParam());
        fresh.set("proto_limits", PROTO_UDP, rate_limit{.pps = 1, .burst = burst});
        fresh.run(udp_frame(), static_cast<int>(burst));
        EXPECT_TRUE(fresh.drain<over_limit_event>("urgent_events").empty()) << burst;
    }
}

TEST_P(Counting, AProtocolBeyondItsLimitIsReportedWithItsName) {
    program().set("proto_limits", PROTO_UDP, rate_limit{.pps = 1, .burst = 10});
    program().set("proto_limits", PROTO_TCP, rate_limit{.pps = 1, .burst = 1'000});
    const std::uint64_t before = monotonic_ns();
    program().run(tcp_frame(), 500);
    program().run(udp_frame(), 200);
    const std::uint64_t after = monotonic_ns();

    const auto events = urgent();
    ASSERT_FALSE(events.empty());
    EXPECT_LE(events.size(), 1 + (after - before) / 1'000'000'000) << "one a second";
    const over_limit_event& event = events.front();
    EXPECT_EQ(event.proto, PROTO_UDP);
    EXPECT_EQ(event.over, 1u);
    EXPECT_EQ(event.packets, 1u) << "the first packet beyond the limit";
    EXPECT_EQ(event.ifindex, 1u) << "test runs come from lo";
    EXPECT_GE(event.ktime_ns, before);
    EXPECT_LE(event.ktime_ns, after);
}

TEST_P(Counting, ALargeLimitIsMeteredInBatches) {
    program().set("proto_limits", PROTO_UDP, rate_limit{.pps = 1, .burst = 1'024});
    program().run(udp_frame(), 1'024 + 63);
    EXPECT_TRUE(urgent().empty());
    program().run(udp_frame());
    const auto events = urgent();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events.front().packets, 64u);
}

TEST_P(Counting, WhileItLastsAProtocolIsReportedOnceASecond) {
    program().set("proto_limits", PROTO_UDP, rate_limit{.pps = 1, .burst = 1});
    const std::uint64_t before = monotonic_ns();
    program().run(udp_frame(), 1'000);
    const std::uint64_t seconds = (monotonic_ns() - before) / 1'000'000'000;
    std::uint64_t reported = 0;
    const auto events = urgent();
    for (const auto& event : events) reported += event.packets;
    auto meter = program().get<proto_meter>("proto_meters", PROTO_UDP);
    EXPECT_GE(events.size(), 1u);
    EXPECT_LE(events.size(), 1 + seconds);
    EXPECT_LE(reported + meter.excess_packets, 999u) << "all but what conformed";
    EXPECT_GE(reported + meter.excess_packets, 999u - seconds);

    // As if the report were from a second ago.
    meter.reported_ns -= 1'000'000'000;
    program().set("proto_meters", PROTO_UDP, meter);
    program().run(udp_frame(), 1'000);
    const auto next = urgent();
    ASSERT_FALSE(next.empty());
    EXPECT_GT(next.front().packets, meter.excess_packets) << "what was beyond the limit meanwhile";
}

TEST_P(Counting, AReportThatFindsTheRingFullIsCountedAsLost) {
    program().set("proto_limits", PROTO_UDP, rate_limit{.pps = 1, .burst = 1});
    constexpr proto_meter over_and_never_reported{
        .arrival_ns = ~0ULL >> 1, .reported_ns = 0, .excess_packets = 0};
    constexpr std::uint64_t reports = 1'000;
    for (std::uint64_t i = 0; i < reports; ++i) {
        program().set("proto_meters", PROTO_UDP, over_and_never_reported);
        program().run(udp_frame());
    }
    const auto count = program().sum<ring_count>("ring_counts", RING_URGENT_EVENTS);
    EXPECT_EQ(count.produced, reports);
    EXPECT_GT(count.lost, 0u);
    EXPECT_EQ(count.produced, urgent().size() + count.lost);

    program().set("proto_meters", PROTO_UDP, over_and_never_reported);
    program().run(udp_frame());
    EXPECT_EQ(urgent().size(), 1u) << "once drained, the ring takes records again";
    EXPECT_EQ(program().sum<ring_count>("ring_counts", RING_URGENT_EVENTS).lost, count.lost);
}

} // namespace
} // namespace homeostat::bpf_test
