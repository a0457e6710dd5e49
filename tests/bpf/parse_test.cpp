#include "tests/bpf/harness.hpp"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <map>

namespace homeostat::bpf_test {
namespace {

// One parser, in each of the programs that have it.
class Parsing : public KernelTest, public testing::WithParamInterface<const char*> {
  protected:
    static bool is_twin() { return std::string(GetParam()) == "tc_guard"; }
    static Program program() { return Program(is_twin() ? "xdp_guard" : GetParam(), {GetParam()}); }
    static std::uint32_t pass() { return static_cast<std::uint32_t>(is_twin() ? TC_ACT_UNSPEC : XDP_PASS); }
    static std::vector<std::uint64_t> packets_by_class(const Program& program) {
        return is_twin() ? program.verdicts_by_class("guard_twin_verdicts") : program.packets_by_class();
    }

    // The class that the program counts the frame by; it must count it once, whole, and pass it.
    static enum proto_class class_of(const Frame& frame) {
        const Program fresh = program();
        EXPECT_EQ(fresh.run(frame), pass());
        enum proto_class found = PROTO_UNPARSED;
        std::uint64_t packets = 0;
        const auto by_class = packets_by_class(fresh);
        for (std::uint32_t proto = 0; proto < PROTO_CLASS_COUNT; ++proto) {
            if (by_class[proto] > 0) found = static_cast<enum proto_class>(proto);
            packets += by_class[proto];
        }
        EXPECT_EQ(packets, 1u);
        if (!is_twin()) {
            EXPECT_EQ(fresh.sum<proto_count>("proto_counters", found).bytes, frame.size());
        }
        return found;
    }

    // The class of each prefix of the frame, as {length from which it holds: class}.
    static std::map<std::size_t, enum proto_class> classes_by_length(const Frame& frame) {
        std::map<std::size_t, enum proto_class> classes;
        const Program fresh = program();
        std::vector<std::uint64_t> before(PROTO_CLASS_COUNT, 0);
        int last = -1;
        // The kernel itself refuses frames shorter than an Ethernet header.
        for (std::size_t length = 14; length <= frame.size(); ++length) {
            const auto end = frame.begin() + static_cast<std::ptrdiff_t>(length);
            EXPECT_EQ(fresh.run(Frame(frame.begin(), end)), pass()) << length;
            const auto after = packets_by_class(fresh);
            int changed = -1;
            for (int proto = 0; proto < PROTO_CLASS_COUNT; ++proto) {
                const auto index = static_cast<std::size_t>(proto);
                if (after[index] == before[index]) continue;
                EXPECT_EQ(changed, -1) << "counted twice at length " << length;
                EXPECT_EQ(after[index], before[index] + 1);
                changed = proto;
            }
            EXPECT_NE(changed, -1) << "not counted at length " << length;
            if (changed != last) classes[length] = static_cast<enum proto_class>(changed);
            last = changed;
            before = after;
        }
        return classes;
    }
};

INSTANTIATE_TEST_SUITE_P(EachProgram, Parsing, testing::Values("xdp_counter", "xdp_guard", "tc_guard"),
                         [](const auto& instance) { return std::string(instance.param); });

// Frames that a test run of TC does not take: in which an IP header is cut, or longer than a page.
// twin_tap_test.cpp has them.
class ParsingInXdp : public Parsing {};

INSTANTIATE_TEST_SUITE_P(EachProgram, ParsingInXdp, testing::Values("xdp_counter", "xdp_guard"),
                         [](const auto& instance) { return std::string(instance.param); });

using Classes = std::map<std::size_t, enum proto_class>;

TEST_P(Parsing, ProtocolsOfIpv4AreToldApart) {
    const std::map<std::uint8_t, enum proto_class> expected{
        {ip::tcp, PROTO_TCP}, {ip::udp, PROTO_UDP}, {ip::icmp, PROTO_ICMP},     {ip::sctp, PROTO_SCTP},
        {ip::gre, PROTO_GRE}, {ip::esp, PROTO_ESP}, {ip::ospf, PROTO_OTHER_IP},
    };
    for (const auto& [protocol, proto] : expected)
        EXPECT_EQ(class_of(ethernet(ether::ipv4) + ipv4(protocol) + zeros(20)), proto) << int{protocol};
}

TEST_P(Parsing, ProtocolsOfIpv6AreToldApart) {
    const std::map<std::uint8_t, enum proto_class> expected{
        {ip::tcp, PROTO_TCP}, {ip::udp, PROTO_UDP}, {ip::icmpv6, PROTO_ICMPV6}, {ip::sctp, PROTO_SCTP},
        {ip::gre, PROTO_GRE}, {ip::esp, PROTO_ESP}, {ip::none, PROTO_OTHER_IP},
    };
    for (const auto& [protocol, proto] : expected)
        EXPECT_EQ(class_of(ethernet(ether::ipv6) + ipv6(protocol) + zeros(20)), proto) << int{protocol};
}

TEST_P(Parsing, FramesWithoutIpAreToldApart) {
    EXPECT_EQ(class_of(ethernet(ether::arp) + zeros(28)), PROTO_ARP);
    EXPECT_EQ(class_of(ethernet(ether::lldp) + zeros(46)), PROTO_OTHER_L2);
    EXPECT_EQ(class_of(ethernet(38) + zeros(46)), PROTO_OTHER_L2) << "a length instead of a type";
}

TEST_P(Parsing, UpToTwoVlanTagsAreSeenThrough) {
    const Frame inner = ipv4(ip::udp) + ports(1, 2);
    const Frame tagged = vlan_tag(ether::ipv4) + inner;
    EXPECT_EQ(class_of(ethernet(ether::vlan) + tagged), PROTO_UDP);
    EXPECT_EQ(class_of(ethernet(ether::provider_vlan) + vlan_tag(ether::vlan) + tagged), PROTO_UDP);
    EXPECT_EQ(class_of(ethernet(ether::vlan) + vlan_tag(ether::vlan) + tagged), PROTO_UDP);
    EXPECT_EQ(class_of(ethernet(ether::vlan) + vlan_tag(ether::arp) + zeros(28)), PROTO_ARP);
    EXPECT_EQ(class_of(ethernet(ether::vlan) + vlan_tag(ether::lldp) + zeros(28)), PROTO_OTHER_L2);
    EXPECT_EQ(class_of(ethernet(ether::vlan) + vlan_tag(ether::vlan) + vlan_tag(ether::vlan) + tagged),
              PROTO_UNPARSED);
}

TEST_P(Parsing, Ipv4OptionsDoNotHideTheProtocol) {
    for (std::uint8_t options = 4; options <= 40; options = static_cast<std::uint8_t>(options + 4))
        EXPECT_EQ(class_of(ethernet(ether::ipv4) + ipv4(ip::tcp, options) + ports(1, 2)), PROTO_TCP);
}

TEST_P(Parsing, ANonsensicalIpHeaderIsUnparsed) {
    Frame frame = udp_frame();
    frame[14] = 0x44;
    EXPECT_EQ(class_of(frame), PROTO_UNPARSED) << "an IPv4 header shorter than itself";
    frame[14] = 0x65;
    EXPECT_EQ(class_of(frame), PROTO_UNPARSED) << "IPv4 that says it is version 6";
    frame = udp6_frame();
    frame[14] = 0x40;
    EXPECT_EQ(class_of(frame), PROTO_UNPARSED) << "IPv6 that says it is version 4";
}

TEST_P(Parsing, FragmentsAreCountedByTheirProtocol) {
    constexpr std::uint16_t more = 0x2000, later = 185;
    EXPECT_EQ(class_of(ethernet(ether::ipv4) + ipv4(ip::udp, 0, more) + ports(1, 2)), PROTO_UDP);
    EXPECT_EQ(class_of(ethernet(ether::ipv4) + ipv4(ip::udp, 0, later) + zeros(8)), PROTO_UDP);
    const Frame ipv6_fragment = ethernet(ether::ipv6) + ipv6(ip::fragment);
    EXPECT_EQ(class_of(ipv6_fragment + fragment_header(ip::tcp, 0) + ports(1, 2)), PROTO_TCP);
    EXPECT_EQ(class_of(ipv6_fragment + fragment_header(ip::tcp, 185) + zeros(8)), PROTO_TCP);
}

TEST_P(Parsing, AnExtensionHeaderBehindTheFirstFragmentIsSeenInTheFirstOnly) {
    const Frame start = ethernet(ether::ipv6) + ipv6(ip::fragment);
    EXPECT_EQ(class_of(start + fragment_header(ip::destination, 0) + extension(ip::udp) + ports(1, 2)),
              PROTO_UDP);
    EXPECT_EQ(class_of(start + fragment_header(ip::destination, 185) + extension(ip::udp)), PROTO_UNPARSED);
}

TEST_P(Parsing, ExtensionHeadersOfEachKindAreSteppedOver) {
    const Frame start = ethernet(ether::ipv6) + ipv6(ip::hop_by_hop) + extension(ip::destination, 3) +
                        extension(ip::routing, 2) + extension(ip::authentication, 1);
    EXPECT_EQ(
        class_of(start + authentication_header(ip::fragment, 4) + fragment_header(ip::icmpv6, 0) + zeros(8)),
        PROTO_ICMPV6);
}

TEST_P(Parsing, AChainOfExtensionHeadersIsFollowedToItsBound) {
    for (int headers = 1; headers <= 12; ++headers) {
        Frame frame = ethernet(ether::ipv6) + ipv6(ip::destination);
        for (int i = 1; i < headers; ++i) frame = frame + extension(ip::destination, 1);
        frame = frame + extension(ip::udp, 1) + ports(1, 2);
        EXPECT_EQ(class_of(frame), headers <= 8 ? PROTO_UDP : PROTO_UNPARSED) << headers;
    }
}

TEST_P(Parsing, AnExtensionHeaderThatReachesBeyondTheFrameIsUnparsed) {
    EXPECT_EQ(class_of(ethernet(ether::ipv6) + ipv6(ip::destination) + Frame{ip::udp, 255} + zeros(6)),
              PROTO_UNPARSED);
}

TEST_P(Parsing, ARequestForAConnectionIsToldFromTheRestOfTcpByItsFlags) {
    using namespace tcp_flag;
    // Which of FIN, SYN, RST and ACK are set decides, alone; all 256 combinations.
    for (unsigned flags = 0; flags < 256; ++flags) {
        const bool asks = (flags & (fin | syn | rst | ack)) == syn;
        EXPECT_EQ(class_of(ethernet(ether::ipv4) + ipv4(ip::tcp) + tcp(static_cast<std::uint8_t>(flags))),
                  asks ? PROTO_TCP_SYN : PROTO_TCP)
            << flags;
    }
}

TEST_P(Parsing, ASynIsSeenBehindOptionsTagsAndExtensionHeaders) {
    const Frame segment = tcp(tcp_flag::syn);
    EXPECT_EQ(class_of(ethernet(ether::ipv4) + ipv4(ip::tcp, 40) + segment), PROTO_TCP_SYN);
    EXPECT_EQ(class_of(ethernet(ether::ipv6) + ipv6(ip::tcp) + segment), PROTO_TCP_SYN);
    EXPECT_EQ(class_of(ethernet(ether::vlan) + vlan_tag(ether::ipv6) + ipv6(ip::hop_by_hop) +
                       extension(ip::destination, 3) + extension(ip::tcp) + segment),
              PROTO_TCP_SYN);
}

TEST_P(Parsing, ASynIsLookedForInAFirstFragmentOnly) {
    constexpr std::uint16_t more = 0x2000, later = 185;
    const Frame segment = tcp(tcp_flag::syn);
    EXPECT_EQ(class_of(ethernet(ether::ipv4) + ipv4(ip::tcp, 0, more) + segment), PROTO_TCP_SYN);
    EXPECT_EQ(class_of(ethernet(ether::ipv4) + ipv4(ip::tcp, 0, later) + segment), PROTO_TCP);
    const Frame ipv6_fragment = ethernet(ether::ipv6) + ipv6(ip::fragment);
    EXPECT_EQ(class_of(ipv6_fragment + fragment_header(ip::tcp, 0) + segment), PROTO_TCP_SYN);
    EXPECT_EQ(class_of(ipv6_fragment + fragment_header(ip::tcp, 185) + segment), PROTO_TCP);
}

TEST_P(Parsing, OtherProtocolsAreNotLookedIntoForASyn) {
    EXPECT_EQ(class_of(ethernet(ether::ipv4) + ipv4(ip::udp) + tcp(tcp_flag::syn)), PROTO_UDP);
}

TEST_P(ParsingInXdp, ASynThatIsCutBeforeItsFlagsIsTcp) {
    EXPECT_EQ(classes_by_length(syn_frame()),
              (Classes{{14, PROTO_UNPARSED}, {34, PROTO_TCP}, {48, PROTO_TCP_SYN}}));
}

TEST_P(ParsingInXdp, AFrameCutAnywhereIsUnparsedUntilItsProtocolIsThere) {
    EXPECT_EQ(classes_by_length(udp_frame()), (Classes{{14, PROTO_UNPARSED}, {34, PROTO_UDP}}));
    EXPECT_EQ(classes_by_length(ethernet(ether::ipv4) + ipv4(ip::tcp, 40) + ports(1, 2)),
              (Classes{{14, PROTO_UNPARSED}, {74, PROTO_TCP}}));
    EXPECT_EQ(classes_by_length(ethernet(ether::vlan) + vlan_tag(ether::vlan) + vlan_tag(ether::ipv6) +
                                ipv6(ip::hop_by_hop) + extension(ip::fragment, 1) +
                                fragment_header(ip::udp, 0) + ports(1, 2)),
              (Classes{{14, PROTO_UNPARSED}, {86, PROTO_UDP}}));
    EXPECT_EQ(classes_by_length(ethernet(ether::vlan) + vlan_tag(ether::arp) + zeros(28)),
              (Classes{{14, PROTO_UNPARSED}, {18, PROTO_ARP}}));
}

TEST_P(ParsingInXdp, AJumboFrameIsCountedWhole) {
    EXPECT_EQ(class_of(udp_frame() + zeros(8'958)), PROTO_UDP);
}

} // namespace
} // namespace homeostat::bpf_test
