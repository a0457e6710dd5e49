// What a test run cannot make: tags that the kernel has taken out, frames in several pieces, super-packets.
// They come from a tap device, on which a packet is through both hooks when its write returns.
#include "adapters/lab/network.hpp"
#include "tests/bpf/harness.hpp"

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <array>
#include <optional>
#include <random>

namespace homeostat::bpf_test {
namespace {

// struct virtio_net_hdr, whose header is not C++.
struct PacketHeader {
    std::uint8_t flags = 0;
    std::uint8_t gso_type = 0;
    std::uint16_t hdr_len = 0; // bytes that are to be in one piece; 0: all
    std::uint16_t gso_size = 0;
    std::uint16_t csum_start = 0;
    std::uint16_t csum_offset = 0;
};
static_assert(sizeof(PacketHeader) == 10);
constexpr std::uint8_t gso_tcp4 = 1; // VIRTIO_NET_HDR_GSO_TCPV4

class Tap {
  public:
    Tap() : descriptor_(::open("/dev/net/tun", O_RDWR | O_CLOEXEC)) {
        ifreq request{};
        std::strncpy(request.ifr_name, "twin0", IFNAMSIZ - 1);
        request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
        if (descriptor_ < 0 || ::ioctl(descriptor_, TUNSETIFF, &request) != 0)
            throw std::runtime_error(std::string("tap: ") + std::strerror(errno));
        if (const auto up = lab::ip("link set twin0 mtu 9000 up"); !up)
            throw std::runtime_error(up.error().what);
    }
    Tap(const Tap&) = delete;
    Tap& operator=(const Tap&) = delete;
    ~Tap() { ::close(descriptor_); }

    static int ifindex() { return static_cast<int>(::if_nametoindex("twin0")); }

    void receive(Frame frame, PacketHeader header = {}) const {
        const std::array<iovec, 2> parts{{{&header, sizeof header}, {frame.data(), frame.size()}}};
        if (::writev(descriptor_, parts.data(), 2) < 0)
            throw std::runtime_error(std::string("write to tap: ") + std::strerror(errno));
    }
    // Only the Ethernet header is where programs look.
    void receive_in_pieces(const Frame& frame) const {
        PacketHeader header{};
        header.hdr_len = 14;
        receive(frame, header);
    }

  private:
    int descriptor_;
};

class TwinOnATap : public KernelTest {
  protected:
    void SetUp() override {
        KernelTest::SetUp();
        if (IsSkipped()) return;
        auto made = lab::NetNamespace::create("hbtap" + std::to_string(::getpid()));
        ASSERT_TRUE(made) << made.error().what;
        namespace_.emplace(std::move(*made));
        auto entered = namespace_->enter();
        ASSERT_TRUE(entered) << entered.error().what;
        entered_.emplace(std::move(*entered));
        tap_.emplace();
        both_.emplace("xdp_guard", std::vector<std::string>{"xdp_guard", "tc_guard"});

        LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = Tap::ifindex(), .attach_point = BPF_TC_INGRESS);
        ASSERT_EQ(bpf_tc_hook_create(&hook), 0);
        LIBBPF_OPTS(bpf_tc_opts, filter, .prog_fd = both_->descriptor("tc_guard"));
        ASSERT_EQ(bpf_tc_attach(&hook, &filter), 0);
    }
    void TearDown() override {
        tap_.reset();
        entered_.reset();
    }

    // What the twin has counted since the last question, as the one class that there was; none where it
    // was not one packet.
    std::optional<enum proto_class> seen() {
        const auto now = both_->verdicts_by_class("guard_twin_verdicts");
        std::optional<enum proto_class> found;
        for (std::uint32_t proto = 0; proto < PROTO_CLASS_COUNT; ++proto) {
            const auto before = before_.empty() ? 0 : before_[proto];
            if (now[proto] == before + 1 && !found)
                found = static_cast<enum proto_class>(proto);
            else if (now[proto] != before)
                return std::nullopt;
        }
        before_ = now;
        return found;
    }

    std::optional<lab::NetNamespace> namespace_;
    std::optional<lab::Entered> entered_;
    std::optional<Tap> tap_;
    std::optional<Program> both_;
    std::vector<std::uint64_t> before_;
};

TEST_F(TwinOnATap, FindsHeadersThatAreNotInOnePiece) {
    const Frame rest = zeros(6'000);
    tap_->receive_in_pieces(udp_frame() + rest);
    EXPECT_EQ(seen(), PROTO_UDP);
    tap_->receive_in_pieces(syn_frame() + rest);
    EXPECT_EQ(seen(), PROTO_TCP_SYN);
    tap_->receive_in_pieces(ethernet(ether::vlan) + vlan_tag(ether::vlan) + vlan_tag(ether::ipv6) +
                            ipv6(ip::udp) + ports(1, 2) + rest);
    EXPECT_EQ(seen(), PROTO_UDP);
    Frame deep = ethernet(ether::ipv6) + ipv6(ip::destination);
    for (int i = 1; i < 8; ++i) deep = deep + extension(ip::destination, 50);
    tap_->receive_in_pieces(deep + extension(ip::tcp, 50) + tcp(tcp_flag::syn) + rest);
    EXPECT_EQ(seen(), PROTO_TCP_SYN) << "3,300 bytes into the frame";
}

TEST_F(TwinOnATap, FindsTheFlagsWhereTheirHeaderBeginsInOnePieceAndEndsInAnother) {
    PacketHeader header{};
    for (header.hdr_len = 14; header.hdr_len <= 60; ++header.hdr_len) {
        tap_->receive(syn_frame() + zeros(6'000), header);
        EXPECT_EQ(seen(), PROTO_TCP_SYN) << header.hdr_len;
    }
}

TEST_F(TwinOnATap, KnowsABlockedSourceWhoseAddressIsNotInTheFirstPiece) {
    both_->set("guard_blocked", ip_address{.bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 77, 0, 2}},
               std::uint8_t{1});
    tap_->receive_in_pieces(udp_frame() + zeros(6'000));
    EXPECT_EQ(both_->sum<guard_verdict_count>("guard_twin_verdicts", PROTO_UDP).dropped_blocked, 1u);
}

TEST_F(TwinOnATap, CountsTheSegmentsThatAVirtualMachineSendsAsOnePacket) {
    Frame frame = ethernet(ether::ipv4) + ipv4(ip::tcp) + tcp(tcp_flag::ack) + zeros(10'500);
    const Frame length = big_endian(static_cast<std::uint16_t>(frame.size() - 14));
    std::ranges::copy(length, frame.begin() + 16);
    PacketHeader header{};
    header.gso_type = gso_tcp4;
    header.gso_size = 1'000;
    header.hdr_len = 54;
    tap_->receive(frame, header);
    EXPECT_EQ(both_->sum<guard_verdict_count>("guard_twin_verdicts", PROTO_TCP).passed, 11u);
}

class TwinBehindXdp : public TwinOnATap, public testing::WithParamInterface<std::uint32_t> {};

INSTANTIATE_TEST_SUITE_P(EachMode, TwinBehindXdp,
                         testing::Values(std::uint32_t{XDP_FLAGS_SKB_MODE},
                                         std::uint32_t{XDP_FLAGS_DRV_MODE}),
                         [](const auto& instance) {
                             return std::string(instance.param == XDP_FLAGS_SKB_MODE ? "skb" : "drv");
                         });

TEST_P(TwinBehindXdp, SeesTheSameFrameInTheSameClassThoughTheKernelHasTakenATagOut) {
    ASSERT_EQ(bpf_xdp_attach(Tap::ifindex(), both_->descriptor("xdp_guard"), GetParam(), nullptr), 0);
    const Frame udp = vlan_tag(ether::ipv4) + ipv4(ip::udp) + ports(1, 2);
    const Frame tag = vlan_tag(ether::vlan);
    const std::vector<Frame> frames{udp_frame(),
                                    syn_frame(),
                                    udp6_frame(),
                                    unparsed_frame(),
                                    ethernet(ether::arp) + zeros(28),
                                    ethernet(ether::lldp) + zeros(46),
                                    ethernet(ether::vlan) + udp,
                                    ethernet(ether::provider_vlan) + udp,
                                    ethernet(ether::provider_vlan) + tag + udp,
                                    ethernet(ether::vlan) + tag + udp,
                                    ethernet(ether::vlan) + tag + tag + udp,
                                    ethernet(ether::vlan) + tag + tag + tag + udp,
                                    ethernet(ether::vlan) + vlan_tag(ether::arp) + zeros(28),
                                    ethernet(ether::vlan) + vlan_tag(ether::lldp) + zeros(46),
                                    ethernet(ether::vlan) + tag + vlan_tag(ether::ipv6) + ipv6(ip::tcp) +
                                        tcp(tcp_flag::syn)};
    for (const Frame& frame : frames) {
        tap_->receive(frame);
        ASSERT_EQ(both_->verdicts_by_class("guard_verdicts"), both_->verdicts_by_class("guard_twin_verdicts"))
            << testing::PrintToString(frame);
    }
    EXPECT_EQ(both_->packets_by_class()[PROTO_UDP], 6u);
    EXPECT_EQ(both_->packets_by_class()[PROTO_UNPARSED], 3u);
}

TEST_P(TwinBehindXdp, SeesEachFrameAsXdpDoesHoweverDamaged) {
    ASSERT_EQ(bpf_xdp_attach(Tap::ifindex(), both_->descriptor("xdp_guard"), GetParam(), nullptr), 0);
    const std::vector<Frame> whole{
        udp_frame() + zeros(30),
        syn_frame(),
        udp6_frame(),
        ethernet(ether::ipv4) + ipv4(ip::tcp, 40) + ports(1, 2),
        ethernet(ether::vlan) + vlan_tag(ether::vlan) + vlan_tag(ether::ipv6) + ipv6(ip::hop_by_hop) +
            extension(ip::fragment, 1) + fragment_header(ip::tcp, 0) + tcp(tcp_flag::syn),
        ethernet(ether::ipv6) + ipv6(ip::destination) + extension(ip::authentication, 3) +
            authentication_header(ip::routing, 5) + extension(ip::udp, 2) + ports(1, 2)};
    const auto compare = [&](const Frame& frame) {
        const auto before = both_->verdicts_by_class("guard_verdicts");
        const auto twin_before = both_->verdicts_by_class("guard_twin_verdicts");
        tap_->receive(frame);
        auto xdp = both_->verdicts_by_class("guard_verdicts");
        auto twin = both_->verdicts_by_class("guard_twin_verdicts");
        for (std::size_t i = 0; i < PROTO_CLASS_COUNT; ++i) {
            xdp[i] -= before[i];
            twin[i] -= twin_before[i];
        }
        // The kernel itself drops a tag that is cut, between the two.
        const bool gone = std::ranges::all_of(twin, [](auto packets) { return packets == 0; });
        const bool cut_tag = frame.size() < 20 && xdp[PROTO_UNPARSED] == 1;
        return xdp == twin || (gone && cut_tag);
    };
    for (const Frame& frame : whole)
        for (std::size_t length = 14; length <= frame.size(); ++length)
            ASSERT_TRUE(compare(Frame(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(length))))
                << length << " of " << testing::PrintToString(frame);

    std::mt19937 random(1);
    const auto below = [&](std::size_t bound) { return random() % bound; };
    for (int i = 0; i < 4'000; ++i) {
        Frame frame = whole[below(whole.size())];
        for (std::size_t flips = 1 + below(4); flips > 0; --flips)
            frame[12 + below(frame.size() - 12)] = static_cast<std::uint8_t>(random());
        ASSERT_TRUE(compare(frame)) << testing::PrintToString(frame);
    }
    const auto seen_by_twin = both_->verdicts_by_class("guard_twin_verdicts");
    for (const auto proto :
         {PROTO_UDP, PROTO_TCP, PROTO_TCP_SYN, PROTO_UNPARSED, PROTO_OTHER_IP, PROTO_OTHER_L2})
        EXPECT_GT(seen_by_twin[proto], 30u) << proto;
}

TEST_P(TwinBehindXdp, ReceivesOnlyWhatXdpPasses) {
    ASSERT_EQ(bpf_xdp_attach(Tap::ifindex(), both_->descriptor("xdp_guard"), GetParam(), nullptr), 0);
    both_->set("guard_limits", PROTO_UDP, rate_limit{.pps = 1, .burst = 100});
    for (int i = 0; i < 1'000; ++i) tap_->receive(udp_frame());
    const auto xdp = both_->sum<guard_verdict_count>("guard_verdicts", PROTO_UDP);
    const auto twin = both_->sum<guard_verdict_count>("guard_twin_verdicts", PROTO_UDP);
    EXPECT_GE(xdp.passed, 100u);
    EXPECT_GT(xdp.dropped_rate_limit, 800u);
    EXPECT_EQ(twin.passed, xdp.passed);
    EXPECT_EQ(twin.dropped_rate_limit, 0u);
}

} // namespace
} // namespace homeostat::bpf_test
