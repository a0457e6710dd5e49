#include "tests/bpf/harness.hpp"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <thread>

namespace homeostat::bpf_test {
namespace {

// What the guard and its twin have in common.
class Verdicts : public KernelTest, public testing::WithParamInterface<const char*> {
  protected:
    void SetUp() override {
        KernelTest::SetUp();
        if (!IsSkipped()) guard_.emplace("xdp_guard", std::vector<std::string>{GetParam()});
    }
    static bool is_twin() { return std::string(GetParam()) == "tc_guard"; }
    static std::uint32_t pass() { return static_cast<std::uint32_t>(is_twin() ? TC_ACT_UNSPEC : XDP_PASS); }
    static std::uint32_t drop() { return is_twin() ? std::uint32_t{TC_ACT_SHOT} : std::uint32_t{XDP_DROP}; }

    // The twin's bursts are greater by what XDP may have passed that is still on its way.
    static std::uint64_t more() { return is_twin() ? 64 : 0; }

    const Program& guard() const { return *guard_; }
    guard_verdict_count verdicts(enum proto_class proto) const {
        return guard().sum<guard_verdict_count>(is_twin() ? "guard_twin_verdicts" : "guard_verdicts", proto);
    }
    std::uint64_t counted(enum proto_class proto) const {
        return guard().sum<proto_count>("proto_counters", proto).packets;
    }

    std::optional<Program> guard_;
};

INSTANTIATE_TEST_SUITE_P(EachProgram, Verdicts, testing::Values("xdp_guard", "tc_guard"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_P(Verdicts, WithoutALimitEverythingPasses) {
    EXPECT_EQ(guard().run(udp_frame(), 10'000), pass());
    EXPECT_EQ(verdicts(PROTO_UDP).passed, 10'000u);
    EXPECT_EQ(verdicts(PROTO_UDP).dropped_rate_limit, 0u);
}

TEST_P(Verdicts, ExactlyTheBurstPassesAndThenTheRate) {
    guard().set("guard_limits", PROTO_UDP, rate_limit{.pps = 1, .burst = 100});
    const auto before = std::chrono::steady_clock::now();
    guard().run(udp_frame(), 10'000);
    const auto took = std::chrono::steady_clock::now() - before;
    const auto seconds = static_cast<std::uint64_t>(std::chrono::floor<std::chrono::seconds>(took).count());

    const auto count = verdicts(PROTO_UDP);
    EXPECT_GE(count.passed, 100u + more());
    EXPECT_LE(count.passed, 100u + more() + seconds);
    EXPECT_EQ(count.passed + count.dropped_rate_limit, 10'000u);
    EXPECT_EQ(counted(PROTO_UDP), is_twin() ? 0u : 10'000u) << "counted before the verdict, by XDP alone";
}

TEST_P(Verdicts, AllCpusShareOneLimit) {
    if (libbpf_num_possible_cpus() < 2) GTEST_SKIP() << "needs two CPUs";
    guard().set("guard_limits", PROTO_UDP, rate_limit{.pps = 1, .burst = 50'000});
    const auto before = std::chrono::steady_clock::now();
    {
        std::vector<std::jthread> threads;
        for (unsigned cpu = 0; cpu < 2; ++cpu)
            threads.emplace_back([this, cpu] {
                cpu_set_t one;
                CPU_ZERO(&one);
                CPU_SET(cpu, &one);
                sched_setaffinity(0, sizeof one, &one);
                guard().run(udp_frame(), 100'000);
            });
    }
    const auto took = std::chrono::steady_clock::now() - before;
    const auto seconds = static_cast<std::uint64_t>(std::chrono::floor<std::chrono::seconds>(took).count());
    const auto count = verdicts(PROTO_UDP);
    EXPECT_GE(count.passed, 50'000u + more());
    EXPECT_LE(count.passed, 50'000u + more() + seconds);
    EXPECT_EQ(count.passed + count.passed_contended + count.dropped_rate_limit, 200'000u);
}

ip_address mapped(std::array<std::uint8_t, 4> ipv4) {
    ip_address address{};
    address.bytes[10] = address.bytes[11] = 0xff;
    std::ranges::copy(ipv4, address.bytes + 12);
    return address;
}

TEST_P(Verdicts, WhatComesFromABlockedSourceIsDroppedWhateverTheLimitsSay) {
    guard().set("guard_blocked", mapped({10, 77, 0, 2}), std::uint8_t{1});
    EXPECT_EQ(guard().run(udp_frame(), 1'000), drop());
    EXPECT_EQ(verdicts(PROTO_UDP).dropped_blocked, 1'000u);
    EXPECT_EQ(verdicts(PROTO_UDP).passed, 0u);
    EXPECT_EQ(counted(PROTO_UDP), is_twin() ? 0u : 1'000u);
}

TEST_P(Verdicts, OtherSourcesPassBesideABlockedOne) {
    guard().set("guard_blocked", mapped({10, 77, 0, 3}), std::uint8_t{1});
    EXPECT_EQ(guard().run(udp_frame(), 1'000), pass());
    EXPECT_EQ(verdicts(PROTO_UDP).dropped_blocked, 0u);
}

TEST_P(Verdicts, BlocksIPv6SourcesToo) {
    const ip_address source{{0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}};
    const Frame frame = ethernet(ether::ipv6) + ipv6(ip::udp) + ports(1, 2);
    EXPECT_EQ(guard().run(frame, 10), pass());
    guard().set("guard_blocked", source, std::uint8_t{1});
    EXPECT_EQ(guard().run(frame, 10), drop());
}

TEST_P(Verdicts, ALimitHoldsForItsOwnProtocolOnly) {
    guard().set("guard_limits", PROTO_UDP, rate_limit{.pps = 1, .burst = 1});
    guard().run(udp_frame(), 100);
    EXPECT_EQ(guard().run(tcp_frame(), 1'000), pass());
    EXPECT_EQ(verdicts(PROTO_TCP).passed, 1'000u);
}

TEST_P(Verdicts, ALimitThatIsTakenAwayNoLongerDrops) {
    guard().set("guard_limits", PROTO_UDP, rate_limit{.pps = 1, .burst = 1});
    guard().run(udp_frame(), 100);
    guard().set("guard_limits", PROTO_UDP, rate_limit{});
    EXPECT_EQ(guard().run(udp_frame(), 100), pass());
}

TEST_P(Verdicts, WhatCannotBeParsedPassesForThatReason) {
    EXPECT_EQ(guard().run(unparsed_frame(), 100), pass());
    EXPECT_EQ(verdicts(PROTO_UNPARSED).passed_unparsed, 100u);
    EXPECT_EQ(verdicts(PROTO_UNPARSED).passed, 0u);
}

TEST_P(Verdicts, WhatCannotBeParsedIsLimitedWhereItIsAskedFor) {
    guard().set("guard_limits", PROTO_UNPARSED, rate_limit{.pps = 1, .burst = 10});
    guard().run(unparsed_frame(), 1'000);
    EXPECT_GT(verdicts(PROTO_UNPARSED).dropped_rate_limit, 0u);
}

TEST_P(Verdicts, ALimitOfSynsLeavesEstablishedConnectionsAlone) {
    guard().set("guard_limits", PROTO_TCP_SYN, rate_limit{.pps = 1, .burst = 10});
    guard().run(syn_frame(), 1'000);
    guard().run(tcp_frame(), 1'000);
    EXPECT_GE(verdicts(PROTO_TCP_SYN).dropped_rate_limit, 900u);
    EXPECT_EQ(verdicts(PROTO_TCP).passed, 1'000u);
}

// What only the guard does.
class Guard : public KernelTest {
  protected:
    void SetUp() override {
        KernelTest::SetUp();
        if (!IsSkipped()) guard_.emplace("xdp_guard");
    }
    const Program& guard() const { return *guard_; }
    void sample(std::uint32_t every) const { guard().set("guard_settings", 0, guard_settings{every}); }
    std::vector<flow_event> flows() const { return guard().drain<flow_event>("flow_events"); }

    std::optional<Program> guard_;
};

TEST_F(Guard, SamplingIsOffUntilItIsSet) {
    guard().run(udp_frame(), 10'000);
    EXPECT_TRUE(flows().empty());
    EXPECT_EQ(guard().sum<ring_count>("ring_counts", RING_FLOW_EVENTS).produced, 0u);
}

TEST_F(Guard, EveryNthPacketIsSampled) {
    sample(64);
    guard().run(udp_frame(), 64 * 10 + 63);
    EXPECT_EQ(flows().size(), 10u);
    guard().run(udp_frame());
    EXPECT_EQ(flows().size(), 1u);
}

TEST_F(Guard, ASmallerSamplingIntervalTakesEffectAtOnce) {
    sample(1'000'000);
    guard().run(udp_frame(), 1'000);
    sample(10);
    guard().run(udp_frame());
    EXPECT_EQ(flows().size(), 1u);
}

TEST_F(Guard, ASampleTellsTheFlowAndTheVerdict) {
    sample(1);
    guard().run(udp_frame());
    const auto events = flows();
    ASSERT_EQ(events.size(), 1u);
    const flow_event& event = events.front();
    EXPECT_EQ(event.proto, PROTO_UDP);
    EXPECT_EQ(event.verdict, VERDICT_PASS);
    EXPECT_EQ(event.reason, REASON_NO_LIMIT);
    EXPECT_TRUE(std::ranges::equal(event.source.bytes,
                                   std::array{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 77, 0, 2}));
    EXPECT_TRUE(std::ranges::equal(event.destination.bytes,
                                   std::array{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 77, 0, 1}));
    EXPECT_EQ(event.source_port, 5000u);
    EXPECT_EQ(event.destination_port, 53u);
    EXPECT_EQ(event.length, udp_frame().size());
    EXPECT_EQ(event.sample_every, 1u);
    EXPECT_EQ(event.ifindex, 1u);
    EXPECT_GT(event.ktime_ns, 0u);
}

TEST_F(Guard, ASampleOfIpv6HasItsAddressesAndThePortsBehindTheExtensions) {
    sample(1);
    guard().run(ethernet(ether::vlan) + vlan_tag(ether::ipv6) + ipv6(ip::hop_by_hop) + extension(ip::tcp, 2) +
                ports(40'000, 443));
    const auto events = flows();
    ASSERT_EQ(events.size(), 1u);
    const flow_event& event = events.front();
    EXPECT_EQ(event.proto, PROTO_TCP);
    EXPECT_TRUE(std::ranges::equal(event.source.bytes,
                                   std::array{0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2}));
    EXPECT_TRUE(std::ranges::equal(event.destination.bytes,
                                   std::array{0xfd, 0x77, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}));
    EXPECT_EQ(event.source_port, 40'000u);
    EXPECT_EQ(event.destination_port, 443u);
}

TEST_F(Guard, ASampledSynHasItsPorts) {
    sample(1);
    guard().run(syn_frame());
    const auto events = flows();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events.front().proto, PROTO_TCP_SYN);
    EXPECT_EQ(events.front().source_port, 5000u);
    EXPECT_EQ(events.front().destination_port, 80u);
}

TEST_F(Guard, ASampleWithoutPortsToSeeHasNone) {
    sample(1);
    Frame icmp = ethernet(ether::ipv4) + ipv4(ip::icmp) + Frame{8, 1, 2, 3} + zeros(8);
    Frame later_fragment = ethernet(ether::ipv4) + ipv4(ip::udp, 0, 185) + Frame{8, 1, 2, 3} + zeros(8);
    Frame cut = udp_frame();
    cut.resize(14 + 20 + 3);
    for (const Frame& frame :
         {icmp, later_fragment, cut, ethernet(ether::arp) + zeros(28), unparsed_frame()}) {
        guard().run(frame);
        const auto events = flows();
        ASSERT_EQ(events.size(), 1u);
        EXPECT_EQ(events.front().source_port, 0u);
        EXPECT_EQ(events.front().destination_port, 0u);
    }
}

TEST_F(Guard, ADroppedPacketIsSampledAsDropped) {
    guard().set("guard_limits", PROTO_UDP, rate_limit{.pps = 1, .burst = 1});
    guard().run(udp_frame(), 100);
    sample(50);
    guard().run(udp_frame(), 50);
    const auto events = flows();
    ASSERT_EQ(events.size(), 1u);
    EXPECT_EQ(events.front().verdict, VERDICT_DROP);
    EXPECT_EQ(events.front().reason, REASON_RATE_LIMIT);
}

TEST_F(Guard, WhenTheFlowRingIsFullProducedIsConsumedPlusLost) {
    sample(1);
    guard().run(udp_frame(), 20'000);
    const auto count = guard().sum<ring_count>("ring_counts", RING_FLOW_EVENTS);
    EXPECT_EQ(count.produced, 20'000u);
    EXPECT_GT(count.lost, 0u);
    EXPECT_EQ(flows().size(), count.produced - count.lost);
}

TEST_F(Guard, AFloodOfSamplesDoesNotCrowdOutUrgentEvents) {
    sample(1);
    guard().run(udp_frame(), 20'000);
    guard().set("proto_limits", PROTO_TCP, rate_limit{.pps = 1, .burst = 1});
    guard().run(tcp_frame(), 10);
    EXPECT_FALSE(guard().drain<over_limit_event>("urgent_events").empty());
}

} // namespace
} // namespace homeostat::bpf_test
