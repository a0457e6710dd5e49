#include "policies/overlay.hpp"

#include "tests/policies/policy_run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace homeostat::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

const Attribute program{"eth0", Attribute::Kind::program, {}};
const Attribute mode{"eth0", Attribute::Kind::mode, {}};
const Attribute limit{"eth0", Attribute::Kind::entry, {"limits", "udp"}};

Overlay overlay(const std::string& name, std::int64_t priority, std::map<Attribute, AttributeValue> settings,
                Labels key = {}) {
    return {.adaptation = name, .key = std::move(key), .priority = priority, .settings = std::move(settings)};
}

TEST(Arbitration, WithoutOverlaysTheBaselineIsDesired) {
    const Arbitration arbitration = arbitrate(two_interfaces(), {});
    EXPECT_EQ(arbitration.desired, two_interfaces());
    EXPECT_TRUE(arbitration.because.empty());
    EXPECT_TRUE(arbitration.lost.empty());
}

TEST(Arbitration, OnEachAttributeTheHighestPriorityWins) {
    const Arbitration arbitration = arbitrate(
        two_interfaces(), {overlay("a-low", 1, {{program, "guard"}, {limit, MapValue{{"pps", 1}}}}),
                           overlay("b-high", 2, {{program, "drop"}, {mode, std::vector{XdpMode::skb}}})});
    const DesiredInterface& eth0 = arbitration.desired.at("eth0");
    EXPECT_EQ(eth0.program, "drop");
    EXPECT_EQ(eth0.ladder, std::vector{XdpMode::skb});
    EXPECT_EQ(eth0.entries.at({"limits", "udp"}), (MapValue{{"pps", 1}}));
    EXPECT_THAT(arbitration.because.at("eth0"), ElementsAre("b-high{}", "a-low{}"));
    EXPECT_THAT(arbitration.lost.at("a-low").at(Labels()),
                ElementsAre(LostAttribute{"eth0 xdp.program", "b-high{}"}));
    EXPECT_EQ(arbitration.desired.at("eth1"), two_interfaces().at("eth1"));
}

TEST(Arbitration, TheGapThatASwitchMayLeaveIsAnAttributeLikeAnyOther) {
    const Attribute gap{"eth0", Attribute::Kind::gap_max, {}};
    const Arbitration arbitration = arbitrate(
        two_interfaces(), {overlay("a", 1, {{gap, Duration{5}}}), overlay("b", 2, {{gap, Duration{1}}})});
    EXPECT_EQ(arbitration.desired.at("eth0").gap_max, Duration{1});
    EXPECT_THAT(arbitration.lost.at("a").at(Labels()), ElementsAre(LostAttribute{"eth0 xdp.max_gap", "b{}"}));
    EXPECT_EQ(to_text(AttributeValue(Duration{1})), "1ms");
}

TEST(Arbitration, TheTcProgramOfEachSideIsAnAttributeOfItsOwn) {
    const Attribute into{"eth0", Attribute::Kind::tc_ingress, {}};
    const Attribute out{"eth0", Attribute::Kind::tc_egress, {}};
    DesiredState baseline = two_interfaces();
    baseline.at("eth0").tc = {{TcDirection::ingress, "count"}, {TcDirection::egress, "count"}};
    const Arbitration arbitration = arbitrate(
        baseline, {overlay("a", 1, {{into, "shape"}, {out, "none"}}), overlay("b", 2, {{into, "drop"}})});
    EXPECT_EQ(arbitration.desired.at("eth0").tc,
              (std::map<TcDirection, std::string>{{TcDirection::ingress, "drop"}}));
    EXPECT_THAT(arbitration.lost.at("a").at(Labels()),
                ElementsAre(LostAttribute{"eth0 tc.ingress.program", "b{}"}));
    EXPECT_EQ(to_text(out), "eth0 tc.egress.program");
}

TEST(Arbitration, OfEqualPrioritiesTheFirstNameWins) {
    const Arbitration arbitration = arbitrate(
        two_interfaces(), {overlay("b", 1, {{program, "of b"}}), overlay("a", 1, {{program, "of a"}})});
    EXPECT_EQ(arbitration.desired.at("eth0").program, "of a");
}

TEST(Arbitration, TheOverlayThatWinsComesFirstByRank) {
    std::vector<Overlay> overlays{overlay("b", 1, {}), overlay("c", 9, {}), overlay("a", 1, {}, {{"x", "2"}}),
                                  overlay("a", 1, {}, {{"x", "1"}})};
    rank(overlays);
    std::vector<std::string> names;
    for (const Overlay& one : overlays) names.push_back(one.name());
    EXPECT_THAT(names, ElementsAre("c{}", R"(a{x="1"})", R"(a{x="2"})", "b{}"));
}

TEST(Arbitration, OfOneAdaptationTheFirstKeyWins) {
    const Arbitration arbitration =
        arbitrate(two_interfaces(), {overlay("a", 1, {{program, "of 2"}}, {{"x", "2"}}),
                                     overlay("a", 1, {{program, "of 1"}}, {{"x", "1"}})});
    EXPECT_EQ(arbitration.desired.at("eth0").program, "of 1");
    EXPECT_EQ(arbitration.lost.at("a").at(Labels{{"x", "2"}}).at(0).winner, "a{x=\"1\"}");
}

TEST(Arbitration, DoesNotDependOnTheOrderOfTheOverlays) {
    std::vector<Overlay> overlays{overlay("a", 1, {{program, "1"}, {limit, MapValue{{"", 1}}}}, {{"x", "1"}}),
                                  overlay("a", 1, {{program, "2"}}, {{"x", "2"}}),
                                  overlay("b", 1, {{program, "3"}, {mode, std::vector{XdpMode::hw}}}),
                                  overlay("c", 5, {{mode, std::vector{XdpMode::skb}}})};
    const Arbitration first = arbitrate(two_interfaces(), overlays);
    std::ranges::sort(overlays, {}, &Overlay::name);
    do {
        const Arbitration again = arbitrate(two_interfaces(), overlays);
        EXPECT_EQ(again.desired, first.desired);
        EXPECT_EQ(again.because, first.because);
        EXPECT_EQ(again.lost, first.lost);
    } while (std::ranges::next_permutation(overlays, {}, &Overlay::name).found);
}

TEST(Arbitration, NoneMeansNothingAttached) {
    EXPECT_EQ(arbitrate(two_interfaces(), {overlay("a", 1, {{program, "none"}})}).desired.at("eth0").program,
              std::nullopt);
}

TEST(Arbitration, AnOverlayOnlyChangesItsOwnMapEntries) {
    DesiredState baseline = two_interfaces();
    baseline["eth0"].entries = {{{"limits", "udp"}, {{"pps", 5}}}, {{"limits", "tcp"}, {{"pps", 6}}}};
    const auto desired = arbitrate(baseline, {overlay("a", 1, {{limit, MapValue{{"pps", 1}}}})}).desired;
    EXPECT_EQ(desired.at("eth0").entries.at({"limits", "udp"}), (MapValue{{"pps", 1}}));
    EXPECT_EQ(desired.at("eth0").entries.at({"limits", "tcp"}), (MapValue{{"pps", 6}}));
}

constexpr std::string_view two_adaptations = R"(
[[symptom]]
name = "flood"
raise = "pps > 100"
[[symptom]]
name = "siege"
raise = "pps > 200"
[[adaptation]]
name = "guard"
when = "flood"
priority = 1
set.interface."{{iface}}".xdp.program = "guard"
[[adaptation]]
name = "drop"
when = "siege"
priority = 2
set.interface."{{iface}}".xdp.program = "drop"
)";

TEST(Overlays, LosersAreRecordedWhenTheyLoseAndWhenTheyWinAgain) {
    PolicyRun run(two_adaptations);
    const auto lines = run.play({{"pps{iface='eth0'}", "150 250 250 150 50"}});
    EXPECT_THAT(
        lines,
        ElementsAre(HasSubstr("0s flood"), "0s apply guard{iface=\"eth0\"}", HasSubstr("1s siege"),
                    "1s apply drop{iface=\"eth0\"}",
                    "1s arbitrate guard{iface=\"eth0\"}, lost eth0 xdp.program to drop{iface=\"eth0\"}",
                    HasSubstr("3s siege"), "3s remove drop{iface=\"eth0\"}",
                    "3s arbitrate guard{iface=\"eth0\"}", HasSubstr("4s flood"),
                    "4s remove guard{iface=\"eth0\"}"));
    EXPECT_EQ(run.knowledge.desired, two_interfaces());
}

TEST(Overlays, OneThatLosesFromTheStartSaysSoInItsFirstReceipt) {
    PolicyRun run(two_adaptations);
    const Decisions decisions = run.tick(0s, {{"pps{iface='eth0'}", 250}});
    EXPECT_THAT(
        lines_of(decisions),
        testing::Contains("apply guard{iface=\"eth0\"}, lost eth0 xdp.program to drop{iface=\"eth0\"}"));
    EXPECT_EQ(run.knowledge.desired.at("eth0").program, "drop");
    EXPECT_THAT(run.knowledge.desired_because.at("eth0"), ElementsAre("drop{iface=\"eth0\"}"));
}

TEST(Overlays, AreOnePerInstance) {
    PolicyRun run(
        "[[symptom]]\nname = 'source'\nraise = 'pps > 100'\n[[adaptation]]\nname = 'block'\nwhen = 'source'\n"
        "set.interface.\"{{iface}}\".maps.blocked.\"{{src}}\" = true\n");
    run.tick(0s, {{"pps{iface='eth0',src='a'}", 200},
                  {"pps{iface='eth0',src='b'}", 200},
                  {"pps{iface='eth1',src='a'}", 200}});
    EXPECT_THAT(run.knowledge.desired.at("eth0").entries,
                ElementsAre(testing::Key(MapEntry{"blocked", "a"}), testing::Key(MapEntry{"blocked", "b"})));
    EXPECT_EQ(run.knowledge.desired.at("eth1").entries.size(), 1U);
    run.tick(1s, {{"pps{iface='eth0',src='a'}", 0}});
    EXPECT_THAT(run.knowledge.desired.at("eth0").entries,
                ElementsAre(testing::Key(MapEntry{"blocked", "b"})));
}

} // namespace
} // namespace homeostat::test
