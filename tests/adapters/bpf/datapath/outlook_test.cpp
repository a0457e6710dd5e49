#include "adapters/bpf/datapath/outlook.hpp"

#include <gtest/gtest.h>

#include <cerrno>

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

// Each fact that a refusal is explained by is one that the outlook knew.
TEST(Outlook, WhatItHoldsAgainstAModeIsWhatARefusalIsExplainedBy) {
    LinkFacts none = nic(0);
    LinkFacts bond = nic(xdp_basic);
    bond.master = "bond0";
    bond.master_kind = "bond";
    LinkFacts port = nic(xdp_basic | xdp_hw_offload);
    port.master = "br0";
    port.master_kind = "bridge";
    port.master_program = "program 17 (x) in mode skb";
    LinkFacts jumbo = nic(xdp_basic);
    jumbo.mtu = 9000;
    LinkFacts merging = nic({});
    merging.lro = true;
    struct Case {
        LinkFacts facts;
        XdpMode mode;
        int number;
        Answer answer;
    };
    for (const auto& [facts, mode, number, answer] :
         {Case{none, XdpMode::drv, EOPNOTSUPP, Answer::no}, Case{none, XdpMode::hw, EINVAL, Answer::no},
          Case{bond, XdpMode::drv, EOPNOTSUPP, Answer::no}, Case{port, XdpMode::drv, EEXIST, Answer::no},
          Case{port, XdpMode::skb, EEXIST, Answer::no}, Case{port, XdpMode::hw, EEXIST, Answer::no},
          Case{jumbo, XdpMode::drv, ERANGE, Answer::no}, Case{jumbo, XdpMode::drv, EOPNOTSUPP, Answer::no},
          Case{merging, XdpMode::drv, EINVAL, Answer::unknown}}) {
        const ModeOutlook known = outlook(facts, mode);
        EXPECT_EQ(known.answer, answer) << known.why;
        EXPECT_EQ(cause_of_refusal(number, facts, mode), known.why) << number;
    }
    LinkFacts silent = nic({});
    silent.mtu = 65'536;
    EXPECT_TRUE(cause_of_refusal(EOPNOTSUPP, silent, XdpMode::drv).contains("has no native XDP"));
    EXPECT_TRUE(
        cause_of_refusal(EOPNOTSUPP, silent, XdpMode::drv).contains("; or the MTU is too large (65536"));
    EXPECT_EQ(outlook(port, XdpMode::drv).why,
              "it is part of bridge br0, and program 17 (x) in mode skb is attached there");
}

TEST(Outlook, ARefusalThatNoFactExplainsHasTheCauseThatItsNumberMeans) {
    const LinkFacts able = nic(xdp_basic);
    EXPECT_EQ(cause_of_refusal(EEXIST, able, XdpMode::drv), "another program is already attached");
    EXPECT_EQ(cause_of_refusal(ENODEV, able, XdpMode::drv), "the interface is gone");
    EXPECT_EQ(cause_of_refusal(ENOMEM, able, XdpMode::drv), "");
    EXPECT_TRUE(cause_of_refusal(ERANGE, able, XdpMode::drv).starts_with("the MTU is too large (1500)"));
    EXPECT_EQ(cause_of_refusal(EOPNOTSUPP, able, XdpMode::drv),
              "the driver (ice) has no native XDP with the interface's features as they are, though it tells "
              "of it");
}

TEST(Outlook, OfALadderOnlyWhatWouldOpenAGapForNothingIsRuledOut) {
    const std::vector<XdpMode> all{XdpMode::hw, XdpMode::drv, XdpMode::skb};
    const LinkFacts generic_only = nic(0);
    EXPECT_EQ(possible_rungs(generic_only, all, XdpMode::skb).ladder,
              (std::vector{XdpMode::hw, XdpMode::skb}))
        << "hw is tried beside it";
    EXPECT_EQ(possible_rungs(generic_only, all, XdpMode::hw).ladder, all) << "both are tried beside it";
    EXPECT_EQ(possible_rungs(generic_only, all, XdpMode::drv).ladder, all)
        << "it is in that mode, whatever the driver tells";
    EXPECT_EQ(possible_rungs(nic({}), all, XdpMode::skb).ladder, all) << "who knows";
    const PossibleRungs none = possible_rungs(generic_only, {XdpMode::drv}, XdpMode::skb);
    EXPECT_TRUE(none.ladder.empty());
    EXPECT_EQ(none.ruled_out, "mode drv cannot be had: the driver (ice) has no native XDP, or not with the "
                              "features that are on");
}

} // namespace
} // namespace homeostat::bpf
