#include "adapters/bpf/datapath/outlook.hpp"

#include <gtest/gtest.h>

namespace homeostat::bpf {
namespace {

using Answer = ModeOutlook::Answer;

LinkFacts nic(std::optional<std::uint64_t> features) {
    return {.mtu = 1500,
            .kind = "",
            .driver = "ice",
            .master = "",
            .master_kind = "",
            .lro = false,
            .xdp_features = features};
}

TEST(Outlook, GenericModeIsForAnyInterface) { EXPECT_EQ(outlook(nic({}), XdpMode::skb).answer, Answer::yes); }

TEST(Outlook, OfTheOtherModesIsWhatTheDriverTells) {
    EXPECT_EQ(outlook(nic(xdp_basic), XdpMode::drv).answer, Answer::yes);
    EXPECT_EQ(outlook(nic(0), XdpMode::drv).answer, Answer::no);
    EXPECT_EQ(outlook(nic(xdp_basic), XdpMode::hw).answer, Answer::no);
    EXPECT_EQ(outlook(nic(xdp_basic | xdp_hw_offload), XdpMode::hw).answer, Answer::yes);
    EXPECT_EQ(outlook(nic({}), XdpMode::drv).answer, Answer::unknown);
    EXPECT_EQ(outlook(nic({}), XdpMode::hw).answer, Answer::unknown);
}

TEST(Outlook, ABondsMemberTakesNoNativeProgramAndSaysWhatDoes) {
    LinkFacts member = nic(xdp_basic);
    member.master = "bond0";
    member.master_kind = "bond";
    EXPECT_EQ(outlook(member, XdpMode::drv),
              (ModeOutlook{Answer::no, "it is part of bond bond0: attach to that, or take it out"}));
}

TEST(Outlook, LargeFramesTakeAProgramAndADriverForThem) {
    LinkFacts jumbo = nic(xdp_basic | xdp_receives_frags);
    jumbo.mtu = 9000;
    EXPECT_EQ(outlook(jumbo, XdpMode::drv).answer, Answer::unknown);
    jumbo.xdp_features = xdp_basic;
    EXPECT_EQ(outlook(jumbo, XdpMode::drv).answer, Answer::no);
}

} // namespace
} // namespace homeostat::bpf
