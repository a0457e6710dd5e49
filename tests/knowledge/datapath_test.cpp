#include "knowledge/datapath.hpp"
#include "knowledge/receipt.hpp"

#include <gtest/gtest.h>

namespace homeostat {
namespace {

TEST(Datapath, ModesAreReadAsTheyAreWritten) {
    for (const XdpMode mode : {XdpMode::skb, XdpMode::drv, XdpMode::hw})
        EXPECT_EQ(parse_xdp_mode(to_text(mode)), mode);
    EXPECT_EQ(parse_xdp_mode("native"), std::nullopt);
    EXPECT_EQ(parse_xdp_mode(""), std::nullopt);
}

TEST(Datapath, StepsSayWhatTheyDo) {
    EXPECT_EQ(to_text(Step{SetMapEntry{{"limits", "udp"}, {{"burst", 5}, {"pps", 10}}}}),
              "set limits[udp] to {burst = 5, pps = 10}");
    EXPECT_EQ(to_text(Step{SetMapEntry{{"blocked", "7"}, {{"", -1}}}}), "set blocked[7] to -1");
    EXPECT_EQ(to_text(Step{ClearMapEntry{{"blocked", "7"}}}), "clear blocked[7]");
    EXPECT_EQ(to_text(Step{AttachXdp{"guard", {XdpMode::drv, XdpMode::skb}}}),
              "attach guard (drv, else skb)");
    EXPECT_EQ(to_text(Step{ReplaceXdp{"guard"}}), "replace by guard");
    EXPECT_EQ(to_text(Step{SwitchXdpMode{"guard", {XdpMode::skb}}}), "switch to guard (skb)");
    EXPECT_EQ(to_text(Step{ReplaceForeignXdp{"guard", {XdpMode::drv}}}),
              "replace the foreign program by guard (drv)");
    EXPECT_EQ(to_text(Step{DetachXdp{}}), "detach");
}

TEST(Datapath, AGapIsRefusedWhereItMayBeLongerThanAllowed) {
    using namespace std::chrono_literals;
    const std::string why = "the program has no TC twin";
    EXPECT_EQ(refusal_of_gap({}, why), "") << "no limit";
    EXPECT_EQ(refusal_of_gap({.max = {}, .expected_ns = 900'000'000'000}, why), "");
    EXPECT_EQ(refusal_of_gap({.max = 5ms, .expected_ns = 5'000'000}, why), "");
    EXPECT_EQ(
        refusal_of_gap({.max = 5ms, .expected_ns = 5'000'001}, why),
        "it would leave the interface without an XDP program for 5.000 ms, as the longest gap so far, "
        "uncovered (the program has no TC twin), and xdp.max_gap is 5ms: give the program a TC twin, or "
        "raise xdp.max_gap");
    EXPECT_NE(refusal_of_gap({.max = 5ms, .expected_ns = {}}, why).find("not known yet"), std::string::npos);
}

TEST(Receipts, NameEveryStateAndAction) {
    EXPECT_EQ(to_text(SymptomState::inactive), "inactive");
    EXPECT_EQ(to_text(SymptomState::pending), "pending");
    EXPECT_EQ(to_text(SymptomState::raised), "raised");
    EXPECT_EQ(to_text(SymptomState::clearing), "clearing");
    EXPECT_EQ(to_text(Receipt::Action::apply), "apply");
    EXPECT_EQ(to_text(Receipt::Action::remove), "remove");
    EXPECT_EQ(to_text(Receipt::Action::wait), "wait");
    EXPECT_EQ(to_text(Receipt::Action::arbitrate), "arbitrate");
    EXPECT_EQ(to_text(Enforcement::off), "off");
    EXPECT_EQ(to_text(Enforcement::shadow), "shadow");
    EXPECT_EQ(to_text(Enforcement::enforce), "enforce");
}

TEST(Decisions, AreEmptyWhereNothingWasDecided) {
    Decisions decisions;
    decisions.now = at_ms(5);
    decisions.generation = 3;
    EXPECT_TRUE(decisions.empty());
    decisions.messages.emplace_back("something");
    EXPECT_FALSE(decisions.empty());
}

} // namespace
} // namespace homeostat
