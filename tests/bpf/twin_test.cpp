#include "tests/bpf/harness.hpp"

#include <linux/pkt_cls.h>

#include <chrono>
#include <optional>

namespace homeostat::bpf_test {
namespace {

// By so much the twin's bursts are greater than XDP's.
constexpr std::uint64_t on_their_way = 64;
constexpr auto tc_next = static_cast<std::uint32_t>(TC_ACT_UNSPEC);

class Twin : public KernelTest {
  protected:
    void SetUp() override {
        KernelTest::SetUp();
        if (!IsSkipped()) both_.emplace("xdp_guard", std::vector<std::string>{"xdp_guard", "tc_guard"});
    }
    const Program& both() const { return *both_; }
    std::uint32_t run_xdp(const Frame& frame, int times = 1) const { return both().run(frame, times); }
    std::uint32_t run_twin(const Frame& frame, int times = 1) const {
        return both().run_function("tc_guard", frame, times);
    }
    std::uint32_t run_super_packet(const Frame& frame, std::uint32_t segments, std::uint32_t size) const {
        __sk_buff skb{};
        skb.gso_segs = segments;
        skb.gso_size = size;
        return both().run_function("tc_guard", frame, 1, &skb);
    }
    guard_verdict_count verdicts(const char* map, enum proto_class proto) const {
        return both().sum<guard_verdict_count>(map, proto);
    }
    guard_verdict_count twin_verdicts(enum proto_class proto) const {
        return verdicts("guard_twin_verdicts", proto);
    }
    void limit_udp(std::uint64_t pps, std::uint64_t burst) const {
        both().set("guard_limits", PROTO_UDP, rate_limit{pps, burst});
    }

    std::optional<Program> both_;
};

TEST_F(Twin, LeavesAloneAllThatXdpCountsMetersAndSends) {
    constexpr rate_limit narrow{.pps = 1, .burst = 1};
    both().set("proto_limits", PROTO_UDP, narrow);
    both().set("guard_limits", PROTO_UDP, narrow);
    both().set("guard_settings", 0, guard_settings{1});
    run_twin(udp_frame(), 1'000);

    const std::vector<std::uint64_t> none(PROTO_CLASS_COUNT, 0);
    EXPECT_EQ(both().packets_by_class(), none);
    EXPECT_EQ(both().verdicts_by_class("guard_verdicts"), none);
    EXPECT_EQ(both().verdicts_by_class("guard_twin_verdicts")[PROTO_UDP], 1'000u);
    EXPECT_EQ(both().get<proto_meter>("proto_meters", PROTO_UDP).arrival_ns, 0u);
    EXPECT_EQ(both().get<std::uint64_t>("guard_buckets", PROTO_UDP), 0u);
    EXPECT_EQ(both().sum<ring_count>("ring_counts", RING_URGENT_EVENTS).produced, 0u);
    EXPECT_EQ(both().sum<ring_count>("ring_counts", RING_FLOW_EVENTS).produced, 0u);
}

TEST_F(Twin, IsLeftAloneByXdp) {
    limit_udp(1, 10);
    run_xdp(udp_frame(), 1'000);
    EXPECT_EQ(both().verdicts_by_class("guard_twin_verdicts"),
              std::vector<std::uint64_t>(PROTO_CLASS_COUNT, 0));
    EXPECT_EQ(both().get<std::uint64_t>("guard_twin_buckets", PROTO_UDP), 0u);
}

TEST_F(Twin, BehindXdpHoldsNothingMoreBack) {
    for (const std::uint64_t burst : {1u, 50u, 200u, 1'000u}) {
        const Program fresh("xdp_guard", {"xdp_guard", "tc_guard"});
        fresh.set("guard_limits", PROTO_UDP, rate_limit{.pps = 1'000, .burst = burst});
        std::uint64_t passed = 0, held_back = 0;
        for (int i = 0; i < 10'000; ++i) {
            if (fresh.run(udp_frame()) != XDP_PASS) continue;
            ++passed;
            if (fresh.run_function("tc_guard", udp_frame()) != tc_next) ++held_back;
        }
        EXPECT_GE(passed, burst);
        EXPECT_EQ(held_back, 0u) << "of " << passed << ", with a burst of " << burst;
    }
}

TEST_F(Twin, GivesAFloodThatHasUsedUpItsBurstNoSecondOne) {
    limit_udp(1, 1'000);
    const auto before = std::chrono::steady_clock::now();
    run_xdp(udp_frame(), 5'000);
    run_twin(udp_frame(), 5'000);
    const auto took = std::chrono::steady_clock::now() - before;
    const auto seconds = static_cast<std::uint64_t>(std::chrono::ceil<std::chrono::seconds>(took).count());
    EXPECT_GE(verdicts("guard_verdicts", PROTO_UDP).passed, 1'000u);
    EXPECT_LE(twin_verdicts(PROTO_UDP).passed, on_their_way + seconds);
}

TEST_F(Twin, TakesOverOnceAndThenChargesItsOwnLimit) {
    limit_udp(1, 1'000);
    run_xdp(udp_frame(), 500);
    run_twin(udp_frame(), 2'000);
    const auto first = twin_verdicts(PROTO_UDP).passed;
    EXPECT_GE(first, 500u + on_their_way);
    EXPECT_LE(first, 500u + on_their_way + 5);
    run_twin(udp_frame(), 2'000);
    EXPECT_LE(twin_verdicts(PROTO_UDP).passed, first + 5) << "what time gave";
}

TEST_F(Twin, CountsASuperPacketAsThePacketsInIt) {
    EXPECT_EQ(run_super_packet(tcp_frame(), 10, 1'000), tc_next);
    EXPECT_EQ(twin_verdicts(PROTO_TCP).passed, 10u);
    both().set("guard_blocked", ip_address{.bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 77, 0, 2}},
               std::uint8_t{1});
    EXPECT_EQ(run_super_packet(tcp_frame(), 7, 1'000), std::uint32_t{TC_ACT_SHOT});
    EXPECT_EQ(twin_verdicts(PROTO_TCP).dropped_blocked, 7u);
}

TEST_F(Twin, ChargesASuperPacketAsThePacketsInItOrNotAtAll) {
    limit_udp(1, 21);
    EXPECT_EQ(run_super_packet(udp_frame(), 40, 100), tc_next);
    EXPECT_EQ(run_super_packet(udp_frame(), 40, 100), tc_next);
    EXPECT_EQ(run_super_packet(udp_frame(), 40, 100), std::uint32_t{TC_ACT_SHOT}) << "5 are left";
    EXPECT_EQ(twin_verdicts(PROTO_UDP).passed, 80u);
    EXPECT_EQ(twin_verdicts(PROTO_UDP).dropped_rate_limit, 40u);
    EXPECT_EQ(run_super_packet(udp_frame(), 5, 100), tc_next) << "the dropped one was not charged";
}

TEST_F(Twin, DropsASuperPacketOfMorePacketsThanTheBurst) {
    limit_udp(1'000'000, 9);
    EXPECT_EQ(run_super_packet(udp_frame(), 10 + on_their_way, 100), std::uint32_t{TC_ACT_SHOT});
    EXPECT_EQ(run_super_packet(udp_frame(), 9 + on_their_way, 100), tc_next);
}

TEST_F(Twin, CountsThePacketsOfASuperPacketThatNobodyHasCountedYet) {
    const auto count = [&](const Frame& headers, std::size_t payload, enum proto_class proto) {
        const auto before = twin_verdicts(proto).passed;
        EXPECT_EQ(run_super_packet(headers + zeros(payload), 0, 100), tc_next);
        return twin_verdicts(proto).passed - before;
    };
    Frame long_tcp = ethernet(ether::ipv4) + ipv4(ip::tcp, 8) + tcp(tcp_flag::ack) + zeros(12);
    long_tcp[14 + 28 + 12] = 0x80; // 32 bytes
    const Frame short_tcp = ethernet(ether::ipv6) + ipv6(ip::tcp) + tcp(tcp_flag::ack);
    const Frame udp = ethernet(ether::ipv4) + ipv4(ip::udp) + zeros(8);
    EXPECT_EQ(count(long_tcp, 1'000, PROTO_TCP), 10u);
    EXPECT_EQ(count(long_tcp, 1'001, PROTO_TCP), 11u);
    EXPECT_EQ(count(short_tcp, 1'000, PROTO_TCP), 10u);
    EXPECT_EQ(count(udp, 1'000, PROTO_UDP), 10u);
    EXPECT_EQ(count(udp, 1, PROTO_UDP), 1u);
    EXPECT_EQ(count(udp, 0, PROTO_UDP), 1u);
}

} // namespace
} // namespace homeostat::bpf_test
