#include "knowledge/ip_address.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace homeostat {
namespace {

std::string again(std::string_view text) {
    const auto address = parse_ip_address(text);
    return address ? ip_address_text(*address) : "none";
}

struct Spelling {
    std::string text;
    std::string canonical;
};

class IpAddresses : public testing::TestWithParam<Spelling> {};

TEST_P(IpAddresses, HaveOneText) { EXPECT_EQ(again(GetParam().text), GetParam().canonical); }

INSTANTIATE_TEST_SUITE_P(
    Spellings, IpAddresses,
    testing::Values(Spelling{"10.0.0.7", "10.0.0.7"}, Spelling{"255.255.255.255", "255.255.255.255"},
                    Spelling{"0.0.0.0", "0.0.0.0"}, Spelling{"::ffff:10.0.0.7", "10.0.0.7"},
                    Spelling{"::FFFF:a00:7", "10.0.0.7"}, Spelling{"::", "::"}, Spelling{"::1", "::1"},
                    Spelling{"1::", "1::"}, Spelling{"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
                    Spelling{"2001:db8::0:1", "2001:db8::1"},
                    Spelling{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, // one zero is not shortened
                    Spelling{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},          // the longest run is
                    Spelling{"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},    // of equal ones the first
                    Spelling{"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
                    Spelling{"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
                    Spelling{"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"}));

class NoIpAddress : public testing::TestWithParam<std::string> {};

TEST_P(NoIpAddress, IsRefused) { EXPECT_EQ(again(GetParam()), "none"); }

INSTANTIATE_TEST_SUITE_P(Texts, NoIpAddress,
                         testing::Values("", "10", "10.0.0", "10.0.0.0.1", "10.0.0.256", "10.0.0.-1",
                                         "10.0.0.07", "10.0.0.", ".0.0.1", "10.0.0.1 ", " 10.0.0.1",
                                         "10.0.0.0x1", ":", ":::", "1:", ":1", "1::2::3", "1:2:3:4:5:6:7",
                                         "1:2:3:4:5:6:7:8:9",
                                         "1:2:3:4:5:6:7:8::", "12345::", "g::", "::10.0.0",
                                         "10.0.0.1::", "1:2:3:4:5:6:7:10.0.0.1", "fe80::1%eth0", "::1/128"));

// The C library is the oracle, for bytes as for texts.
TEST(IpAddresses, AgreeWithTheCLibrary) {
    std::mt19937 random(7);
    for (int i = 0; i < 20'000; ++i) {
        IpAddress address{};
        for (std::byte& byte : address) byte = static_cast<std::byte>(random() % 4 == 0 ? random() % 256 : 0);
        in6_addr theirs{};
        std::memcpy(&theirs, address.data(), address.size());
        char text[INET6_ADDRSTRLEN];
        ASSERT_NE(inet_ntop(AF_INET6, &theirs, text, sizeof text), nullptr);
        const auto parsed = parse_ip_address(text);
        ASSERT_TRUE(parsed) << text;
        EXPECT_EQ(*parsed, address) << text;
        in6_addr back{};
        const std::string ours = ip_address_text(address);
        if (ours.find(':') == std::string::npos) continue;
        ASSERT_EQ(inet_pton(AF_INET6, ours.c_str(), &back), 1) << ours;
        EXPECT_EQ(std::memcmp(&back, address.data(), sizeof back), 0) << ours;
    }
}

} // namespace
} // namespace homeostat
