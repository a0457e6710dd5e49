#include "adapters/lab/frames.hpp"

#include <gtest/gtest.h>

namespace homeostat::lab {
namespace {

unsigned at(const Frame& frame, std::size_t index) { return std::to_integer<unsigned>(frame.at(index)); }

unsigned pair_at(const Frame& frame, std::size_t index) {
    return at(frame, index) << 8 | at(frame, index + 1);
}

TEST(Frames, AreOfTheSizeThatWasAsked) {
    for (const std::size_t size : {64U, 65U, 512U, 1514U}) {
        EXPECT_EQ(udp_frame({}, size).size(), size);
        EXPECT_EQ(tcp_frame({}, tcp_flags::ack, size).size(), size);
        EXPECT_EQ(icmp_echo_frame({}, size).size(), size);
        EXPECT_EQ(ip_frame({}, 47, size).size(), size);
        EXPECT_EQ(ethernet_frame({}, 0x0806, size).size(), size);
    }
}

TEST(Frames, BelowTheirHeadersAreJustTheHeaders) {
    EXPECT_EQ(udp_frame({}, 0).size(), 14U + 20U + 8U);
    EXPECT_EQ(tcp_frame({}, 0, 0).size(), 14U + 20U + 20U);
    EXPECT_EQ(ip_frame({}, 47, 0).size(), 14U + 20U);
    EXPECT_EQ(ethernet_frame({}, 0x0806, 0).size(), 14U);
    EXPECT_EQ(udp_frame({.source = "fd77::2", .destination = "fd77::1"}, 0).size(), 14U + 40U + 8U);
}

TEST(Frames, CarryVlanTagsFromTheOutermostOn) {
    Path path;
    path.ethernet.vlans = {100, 5};
    const auto frame = udp_frame(path);
    EXPECT_EQ(pair_at(frame, 12), 0x88a8U);
    EXPECT_EQ(pair_at(frame, 14), 100U);
    EXPECT_EQ(pair_at(frame, 16), 0x8100U);
    EXPECT_EQ(pair_at(frame, 18), 5U);
    EXPECT_EQ(pair_at(frame, 20), 0x0800U);
}

TEST(Frames, HaveTheChecksumOfTheirIpHeader) {
    const auto frame = ip_frame({}, 47, 100);
    unsigned sum = 0;
    for (std::size_t i = 14; i < 34; i += 2) sum += pair_at(frame, i);
    EXPECT_EQ((sum & 0xffff) + (sum >> 16), 0xffffU);
}

} // namespace
} // namespace homeostat::lab
