#include "policies/reconcile.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace homeostat {
namespace {

const MapEntry udp{"limits", "udp"};
const MapEntry tcp{"limits", "tcp"};

ActualInterface present(std::optional<AttachedXdp> xdp = {}, std::map<MapEntry, MapValue> entries = {}) {
    return {.present = true, .up = true, .xdp = std::move(xdp), .entries = std::move(entries)};
}

DesiredInterface desired(std::optional<std::string> program, std::vector<XdpMode> ladder = {XdpMode::drv},
                         std::map<MapEntry, MapValue> entries = {}) {
    return {.program = std::move(program), .ladder = std::move(ladder), .entries = std::move(entries)};
}

AttachedXdp attached(const std::string& program, XdpMode mode = XdpMode::drv) { return {program, mode, 7}; }

std::vector<std::string> steps(const DesiredInterface& should, const ActualInterface& is) {
    std::vector<std::string> lines;
    for (const Step& step : reconcile(should, is)) lines.push_back(to_text(step));
    return lines;
}

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Reconcile, WhatIsAsItShouldBeNeedsNoStep) {
    EXPECT_THAT(steps(desired("guard"), present(attached("guard"))), IsEmpty());
    EXPECT_THAT(steps(desired(std::nullopt), present()), IsEmpty());
}

TEST(Reconcile, AttachesReplacesSwitchesAndDetaches) {
    EXPECT_THAT(steps(desired("guard"), present()), ElementsAre("attach guard (drv)"));
    EXPECT_THAT(steps(desired("guard"), present(attached("counter"))), ElementsAre("replace by guard"));
    EXPECT_THAT(steps(desired("guard"), present(attached("guard", XdpMode::skb))),
                ElementsAre("switch to guard (drv)"));
    EXPECT_THAT(steps(desired("guard"), present(attached("counter", XdpMode::skb))),
                ElementsAre("switch to guard (drv)"));
    EXPECT_THAT(steps(desired(std::nullopt), present(attached("guard"))), ElementsAre("detach"));
}

TEST(Reconcile, LeavesAnyModeOfTheLadderAlone) {
    const std::vector<XdpMode> ladder{XdpMode::drv, XdpMode::skb};
    EXPECT_THAT(steps(desired("guard", ladder), present(attached("guard", XdpMode::skb))), IsEmpty());
    EXPECT_THAT(steps(desired("guard", ladder), present(attached("counter", XdpMode::skb))),
                ElementsAre("replace by guard"));
    EXPECT_THAT(steps(desired("guard", ladder), present()), ElementsAre("attach guard (drv, else skb)"));
}

TEST(Reconcile, TriesTheBetterModesOfAnotherLadderThanTheOneThatSettled) {
    const std::vector<XdpMode> both{XdpMode::drv, XdpMode::skb};
    const ActualInterface generic = present(attached("guard", XdpMode::skb));
    EXPECT_THAT(reconcile(desired("guard", both), generic, both), IsEmpty()) << "it fell to skb";
    EXPECT_EQ(reconcile(desired("guard", both), generic, {XdpMode::skb}),
              (std::vector<Step>{SwitchXdpMode{"guard", both}}))
        << "an overlay had asked for skb, and is gone";
    EXPECT_THAT(reconcile(desired("guard", both), generic), IsEmpty()) << "nobody knows";
}

TEST(Reconcile, ReplacesAForeignProgramWhereThatIsDesiredAndAnotherIs) {
    DesiredInterface replacing = desired("guard");
    replacing.replace_foreign = true;
    EXPECT_THAT(steps(replacing, present(attached("foreign:theirs"))),
                ElementsAre("replace the foreign program by guard (drv)"));
    EXPECT_THAT(steps(replacing, present(attached("foreign:theirs", XdpMode::skb))),
                ElementsAre("replace the foreign program by guard (drv)"));
    EXPECT_THAT(steps(replacing, present(attached("counter"))), ElementsAre("replace by guard"));
    EXPECT_THAT(steps(desired("guard"), present(attached("foreign:theirs"))), ElementsAre("replace by guard"))
        << "which fails, and says whose it is";
}

TEST(Reconcile, LeavesAForeignProgramWhereNoneIsWantedAndTheRestIsReconciledAllTheSame) {
    DesiredInterface none = desired(std::nullopt);
    none.tc = {{TcDirection::ingress, "watch"}};
    EXPECT_THAT(steps(none, present(attached("foreign:theirs"))), ElementsAre("attach watch at TC ingress"));
    none.replace_foreign = true;
    EXPECT_THAT(steps(none, present(attached("foreign:theirs"))), ElementsAre("attach watch at TC ingress"));
}

TEST(Reconcile, MakesLostPinsAnewBeforeAllElse) {
    ActualInterface unpinned = present(attached("guard"));
    unpinned.pinned = false;
    EXPECT_THAT(steps(desired("guard"), unpinned), ElementsAre("pin again what is attached"));
    EXPECT_THAT(steps(desired("counter"), unpinned),
                ElementsAre("pin again what is attached", "replace by counter"));
}

TEST(Reconcile, KnowsALowerModeOfALadderAndTheWayUpFromIt) {
    const std::vector<XdpMode> all{XdpMode::hw, XdpMode::drv, XdpMode::skb};
    EXPECT_FALSE(is_fallen(desired("guard", all), present()));
    EXPECT_FALSE(is_fallen(desired("guard", all), present(attached("guard", XdpMode::hw))));
    EXPECT_FALSE(is_fallen(desired(std::nullopt, all), present(attached("guard", XdpMode::skb))));
    EXPECT_FALSE(is_fallen(desired("guard", {XdpMode::drv}), present(attached("guard", XdpMode::skb))));
    const ActualInterface fallen = present(attached("guard", XdpMode::skb));
    ASSERT_TRUE(is_fallen(desired("guard", all), fallen));
    EXPECT_EQ(climb_step(desired("guard", all), fallen),
              (SwitchXdpMode{"guard", {XdpMode::hw, XdpMode::drv}}));
}

TEST(Reconcile, WritesValuesBeforeTheProgramAndClearsAfterIt) {
    EXPECT_THAT(steps(desired("guard", {XdpMode::drv}, {{udp, {{"pps", 5}}}}),
                      present(attached("counter"), {{tcp, {{"pps", 9}}}})),
                ElementsAre("set limits[udp] to {pps = 5}", "replace by guard", "clear limits[tcp]"));
}

TEST(Reconcile, WritesAValueOnlyWhereItIsAnother) {
    const DesiredInterface should = desired(std::nullopt, {}, {{udp, {{"pps", 5}}}});
    EXPECT_THAT(steps(should, present({}, {{udp, {{"pps", 5}}}})), IsEmpty());
    EXPECT_THAT(steps(should, present({}, {{udp, {{"pps", 5}, {"burst", 1}}}})),
                ElementsAre("set limits[udp] to {pps = 5}"))
        << "an overlay that set burst is gone";
    EXPECT_THAT(steps(should, present({}, {{udp, {{"pps", 6}}}})),
                ElementsAre("set limits[udp] to {pps = 5}"));
    EXPECT_THAT(steps(should, present({}, {{udp, {{"burst", 5}}}})),
                ElementsAre("set limits[udp] to {pps = 5}"));
}

TEST(Reconcile, AttachesReplacesAndDetachesTcProgramsOfEachSideByItself) {
    using enum TcDirection;
    const auto with = [](std::map<TcDirection, std::string> tc) {
        DesiredInterface should = desired("guard");
        should.tc = std::move(tc);
        return should;
    };
    const auto is = [](std::map<TcDirection, AttachedTc> tc) {
        ActualInterface actual = present(attached("guard"));
        actual.tc = std::move(tc);
        return actual;
    };
    EXPECT_THAT(steps(with({{ingress, "shape"}, {egress, "count"}}), is({})),
                ElementsAre("attach shape at TC ingress", "attach count at TC egress"));
    EXPECT_THAT(steps(with({{ingress, "shape"}}), is({{ingress, {"shape", 3}}})), IsEmpty());
    EXPECT_THAT(steps(with({{ingress, "shape"}}), is({{ingress, {"count", 3}}, {egress, {"count", 3}}})),
                ElementsAre("detach at TC egress", "replace by shape at TC ingress"));
    EXPECT_THAT(steps(with({}), is({{ingress, {"foreign:theirs", 3}}})), ElementsAre("detach at TC ingress"))
        << "which fails, and says whose it is";
    DesiredInterface both = with({{egress, "count"}});
    both.entries = {{udp, {{"pps", 5}}}};
    ActualInterface before = is({});
    before.entries = {{tcp, {{"pps", 9}}}};
    EXPECT_THAT(steps(both, before), ElementsAre("set limits[udp] to {pps = 5}", "attach count at TC egress",
                                                 "clear limits[tcp]"));
}

TEST(Reconcile, AnAbsentInterfaceHasNoSteps) {
    EXPECT_THAT(steps(desired("guard", {XdpMode::drv}, {{udp, {{"pps", 5}}}}), ActualInterface{}), IsEmpty());
}

TEST(Reconcile, AnInterfaceThatIsDownIsReconciledAllTheSame) {
    ActualInterface down = present();
    down.up = false;
    EXPECT_THAT(steps(desired("guard"), down), ElementsAre("attach guard (drv)"));
}

} // namespace
} // namespace homeostat
