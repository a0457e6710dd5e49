// The rules of the policy language, each with tests of its name, over whole ticks: README's rules are these.
#include "tests/engine/scenario.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace homeostat::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using namespace std::chrono_literals;

const std::string eth0 = "pps{iface='eth0'}";
const std::string eth1 = "pps{iface='eth1'}";

std::string symptom(const std::string& name, const std::string& raise, const std::string& more = "") {
    return "[[symptom]]\nname = '" + name + "'\nraise = '''" + raise + "'''\n" + more + "\n";
}

// Sets the program of {{iface}}.
std::string adaptation(const std::string& name, const std::string& when, const std::string& more = "",
                       const std::string& program = "guard") {
    return "[[adaptation]]\nname = '" + name + "'\nwhen = '" + when +
           "'\nset.interface.\"{{iface}}\".xdp.program = '" + program + "'\n" + more + "\n";
}

// Further metrics of the sensor.
const ScenarioOptions more_metrics{.config_changes = {"[[sensor]]", "name = 'more'", "type = 'bpf-map'",
                                                      "map = 'more'", "key = { as = 'src' }",
                                                      "fields = { a = 'drops', b = 'load', c = 'quota' }"},
                                   .failing_transactions = {},
                                   .backwards = false};

std::vector<std::string> with(const std::vector<std::string>& lines, const std::string& word) {
    std::vector<std::string> found;
    std::ranges::copy_if(lines, std::back_inserter(found),
                         [&](const std::string& line) { return line.find(word) != std::string::npos; });
    return found;
}

// "raised" and its kin, one word a tick, of the only instance.
std::vector<std::string> states(Scenario& scenario, const std::string& name,
                                const std::vector<std::pair<std::string, std::vector<double>>>& values,
                                std::size_t ticks) {
    std::vector<std::string> found;
    for (std::size_t i = 0; i < ticks; ++i) {
        std::vector<std::pair<std::string, double>> samples;
        for (const auto& [series, of] : values)
            if (i < of.size() && !std::isnan(of[i])) samples.emplace_back(series, of[i]);
        scenario.tick(std::chrono::seconds{i}, samples);
        const auto& instances = scenario.state.knowledge.symptoms.at(name).instances;
        found.emplace_back(instances.empty() ? "inactive" : to_text(instances.begin()->second.state));
    }
    return found;
}

// ---- 1. keys

TEST(Rule1Keys, AreTheLabelsOfRaiseWithoutTheName) {
    Scenario scenario({symptom("s", "pps > 1")});
    scenario.tick(0s, {{"pps{iface='eth0',src='x'}", 2}});
    EXPECT_EQ(scenario.state.knowledge.symptoms.at("s").instances.begin()->first,
              labels_of("{iface='eth0',src='x'}"));
}

TEST(Rule1Keys, AnySampleRaisesEvenZero) {
    Scenario scenario({symptom("s", "pps == 0")});
    EXPECT_THAT(states(scenario, "s", {{eth0, {0}}}, 1), ElementsAre("raised"));
}

TEST(Rule1Keys, WhereBothHoldRaiseWins) {
    Scenario scenario({symptom("s", "pps > 10", "clear = 'pps > 5'")});
    EXPECT_THAT(states(scenario, "s", {{eth0, {20, 20, 7}}}, 3), ElementsAre("raised", "raised", "inactive"));
}

TEST(Rule1Keys, WithoutClearRaiseMustBeFalse) {
    Scenario scenario({symptom("s", "pps > 10")});
    EXPECT_THAT(states(scenario, "s", {{eth0, {20, 9}}}, 2), ElementsAre("raised", "inactive"));
}

TEST(Rule1Keys, ClearIsMissingUntilItsWindowsAreCoveredSinceStartAndReload) {
    const std::string s = symptom("s", "pps > 10", "clear = 'max_over_time(pps[3s]) < 5'");
    Scenario scenario({s});
    EXPECT_THAT(states(scenario, "s", {{eth0, {20, 1, 1, 1, 1}}}, 5),
                ElementsAre("raised", "raised", "raised", "inactive", "inactive"));
    scenario.tick(5s, {{eth0, 20}});
    scenario.tick(7s, {{eth0, 1}});
    scenario.reload({s});
    EXPECT_THAT(lines_of(scenario.tick(9s, {{eth0, 1}})), IsEmpty())
        << "in the store, but not since the reload";
    scenario.tick(11s, {{eth0, 1}});
    EXPECT_THAT(lines_of(scenario.tick(12s, {{eth0, 1}})), Contains(HasSubstr("raised -> inactive")));
}

TEST(Rule1Keys, AnUncoveredClearClearsNothingEvenWhereMissingDataWould) {
    Scenario scenario(
        {symptom("s", "pps > 10", "clear = 'max_over_time(pps[3s]) < 5'\non_missing = 'clear'")});
    EXPECT_THAT(states(scenario, "s", {{eth0, {20, 1, 1, 1}}}, 4),
                ElementsAre("raised", "raised", "raised", "inactive"));
}

// ---- 2. false or missing

struct Presence {
    std::string raise;
    std::vector<double> pps; // NaN: no sample, and the series ends
    std::string on_missing;
    std::vector<std::string> states;
};

class Rule2FalseOrMissing : public testing::TestWithParam<Presence> {};

TEST_P(Rule2FalseOrMissing, IsToldApart) {
    const Presence& is = GetParam();
    Scenario scenario({symptom("s", is.raise, "on_missing = '" + is.on_missing + "'")}, more_metrics);
    std::vector<std::string> found;
    for (std::size_t i = 0; i < is.pps.size(); ++i) {
        scenario.tick(std::chrono::seconds{i},
                      {{eth0, std::isnan(is.pps[i]) ? stale_marker : is.pps[i]}, {"load{iface='eth0'}", 1}});
        const auto& instances = scenario.state.knowledge.symptoms.at("s").instances;
        found.emplace_back(instances.empty() ? "inactive" : to_text(instances.begin()->second.state));
    }
    EXPECT_EQ(found, is.states) << is.raise << " " << is.on_missing;
}

constexpr double none = std::numeric_limits<double>::quiet_NaN();

INSTANTIATE_TEST_SUITE_P(
    Rules, Rule2FalseOrMissing,
    testing::Values(
        Presence{"pps > 10", {20, none, 5}, "hold", {"raised", "raised", "inactive"}},
        Presence{"pps > 10", {20, none, 5}, "clear", {"raised", "inactive", "inactive"}},
        Presence{"pps > 10", {20, none, 20}, "raise", {"raised", "raised", "raised"}},
        // Outside e, in P(e): false, whatever stands around the comparison.
        Presence{"(pps > 10) * 2", {20, 5}, "hold", {"raised", "inactive"}},
        Presence{
            "pps > 10 and load == 1", {20, 5, 20, none}, "hold", {"raised", "inactive", "raised", "raised"}},
        Presence{"pps unless load == 1", {20, 5}, "hold", {"inactive", "inactive"}},
        Presence{"load unless pps > 10", {20, 5, 20}, "hold", {"inactive", "raised", "inactive"}},
        Presence{"topk(1, pps) > 10", {20, 5}, "hold", {"raised", "inactive"}},
        // absent always has its sample, so it is never missing.
        Presence{
            R"(absent(pps{iface="eth0"}))", {20, none, 20}, "hold", {"inactive", "raised", "inactive"}}));

TEST(Rule2FalseOrMissing, AnInstanceWithoutDataForLongEnds) {
    Scenario scenario({symptom("s", "pps > 10", "forget = '3s'")});
    scenario.tick(0s, {{eth0, 20}});
    scenario.tick(1s, {{eth0, stale_marker}});
    EXPECT_THAT(lines_of(scenario.tick(3s)), IsEmpty());
    EXPECT_THAT(lines_of(scenario.tick(4s)), ElementsAre(HasSubstr("raised -> inactive")));
}

// ---- 3. several symptoms

TEST(Rule3SeveralSymptoms, TheFirstPositiveOneDrivesAndOthersAgreeOnSharedLabels) {
    const std::vector<std::string> policies{symptom("flood", "pps > 10"), symptom("busy", "load > 1"),
                                            adaptation("a", "flood and busy")};
    Scenario scenario(policies, more_metrics);
    scenario.tick(0s);
    EXPECT_THAT(with(lines_of(scenario.tick(1s, {{eth0, 20}, {eth1, 20}, {"load{iface='eth1',cpu='0'}", 2}})),
                     "apply"),
                ElementsAre("apply a{iface=\"eth1\"}"));
}

TEST(Rule3SeveralSymptoms, NotMeansThatNoneAgreesAndOrDrivesFromEitherSide) {
    Scenario scenario({symptom("flood", "pps > 10"), symptom("busy", "load > 1"),
                       adaptation("a", "flood and not busy"), adaptation("b", "flood or busy")},
                      more_metrics);
    scenario.tick(0s);
    const auto lines =
        lines_of(scenario.tick(1s, {{eth0, 20}, {"load{iface='eth0'}", 2}, {"load{iface='eth1'}", 2}}));
    EXPECT_THAT(with(lines, "apply a"), IsEmpty());
    EXPECT_THAT(with(lines, "apply b"), ElementsAre("apply b{iface=\"eth0\"}", "apply b{iface=\"eth1\"}"));
}

// ---- 4. arbitration

const ScenarioOptions three_programs{
    .config_changes = {"[[program]]", "name = 'other'", "object = 'other.bpf.o'"},
    .failing_transactions = {},
    .backwards = false};

std::string program_after(const std::vector<std::string>& policies) {
    Scenario scenario(policies, three_programs);
    scenario.tick(0s);
    for (int i = 1; i < 5; ++i) scenario.tick(std::chrono::seconds{i}, {{eth0, 20}});
    return scenario.kernel.read_back().at("eth0").xdp->program;
}

TEST(Rule4Arbitration, GoesByPriorityThenByNameThenByKey) {
    const std::string s = symptom("s", "pps > 10");
    EXPECT_EQ(program_after(
                  {s, adaptation("a", "s", "priority = 1"), adaptation("b", "s", "priority = 2", "other")}),
              "other");
    EXPECT_EQ(program_after({s, adaptation("b", "s", "", "other"), adaptation("a", "s")}), "guard");
}

TEST(Rule4Arbitration, EnforcementStandsBeforePriority) {
    const std::string s = symptom("s", "pps > 10");
    EXPECT_EQ(program_after({s, adaptation("a", "s", "priority = 9\nenforcement = 'shadow'"),
                             adaptation("b", "s", "priority = 1", "other")}),
              "other");
}

TEST(Rule4Arbitration, RequiresStandsBeforePriority) {
    const std::string s = symptom("s", "pps > 10");
    const std::string never = symptom("never", "pps > 1000");
    EXPECT_EQ(program_after({s, never, adaptation("a", "s", "priority = 9\nrequires = 'c'"),
                             adaptation("b", "s", "priority = 1", "other"), adaptation("c", "never")}),
              "other");
}

TEST(Rule4Arbitration, InhibitsStandsBeforePriority) {
    const std::string s = symptom("s", "pps > 10");
    EXPECT_EQ(program_after({s, adaptation("a", "s", "priority = 9"),
                             adaptation("b", "s", "priority = 1\ninhibits = 'a'", "other")}),
              "other");
}

TEST(Rule4Arbitration, LosersAreRecorded) {
    Scenario scenario({symptom("s", "pps > 10"), adaptation("a", "s"), adaptation("b", "s", "", "guard")});
    scenario.tick(0s);
    EXPECT_THAT(lines_of(scenario.tick(1s, {{eth0, 20}})),
                Contains("apply b{iface=\"eth0\"}, lost eth0 xdp.program to a{iface=\"eth0\"}"));
}

TEST(Rule4Arbitration, TheGlobalLimitStandsAboveAll) {
    ScenarioOptions options;
    options.config_changes = {"[limits]", "changes_per_minute_max = 1"};
    Scenario scenario({symptom("s", "pps > 10"), adaptation("a", "s")}, options);
    scenario.tick(0s);
    EXPECT_THAT(
        with(lines_of(scenario.tick(1s, {{eth0, 20}, {eth1, 20}})), "wait"),
        ElementsAre(HasSubstr("wait a{iface=\"eth1\"}: changes_per_minute closed: 1 in the last 1m")));
}

TEST(Rule4Arbitration, WhatLosesItsRequirementGoesWithIt) {
    Scenario scenario({symptom("s", "pps > 10"), symptom("t", "load > 1"),
                       adaptation("a", "s", "requires = 'b'"), adaptation("b", "t")},
                      more_metrics);
    scenario.tick(0s);
    scenario.tick(1s, {{eth0, 20}, {"load{iface='eth0'}", 2}});
    scenario.tick(2s, {{eth0, 20}, {"load{iface='eth0'}", 2}});
    const auto lines = lines_of(scenario.tick(3s, {{eth0, 20}, {"load{iface='eth0'}", 0}}));
    EXPECT_THAT(with(lines, "remove"),
                ElementsAre("remove b{iface=\"eth0\"}",
                            "remove a{iface=\"eth0\"}: requires closed: b is not active"));
}

// ---- 5. gates

TEST(Rule5Gates, AreOfEachInstanceButForTheBudget) {
    const auto run = [](const std::string& gate) {
        Scenario scenario({symptom("s", "pps > 10"), adaptation("a", "s", gate)});
        scenario.tick(0s);
        scenario.tick(1s, {{eth0, 20}});
        scenario.tick(2s, {{eth0, 1}});
        scenario.tick(3s, {{eth0, 20}});
        return with(lines_of(scenario.tick(4s, {{eth0, 20}, {eth1, 20}})), "eth1");
    };
    EXPECT_THAT(run("cooldown = '1h'"), Contains("apply a{iface=\"eth1\"}"));
    EXPECT_THAT(run("damp = { suppress = 1000 }"), Contains("apply a{iface=\"eth1\"}"));
    EXPECT_THAT(run("budget = '1/1h'"),
                Contains(HasSubstr("wait a{iface=\"eth1\"}: budget closed: 1 in the last 1h")));
}

TEST(Rule5Gates, BudgetCountsApplicationsInASlidingWindowAndNeverUndo) {
    Scenario scenario({symptom("s", "pps > 10"), adaptation("a", "s", "budget = '2/10s'")});
    const auto lines = scenario.play({{eth0, "1 20 1 20 1 20x20"}});
    EXPECT_THAT(with(lines, "apply"), ElementsAre("1s apply a{iface=\"eth0\"}", "3s apply a{iface=\"eth0\"}",
                                                  "11s apply a{iface=\"eth0\"}"));
    EXPECT_THAT(with(lines, "remove"),
                ElementsAre("2s remove a{iface=\"eth0\"}", "4s remove a{iface=\"eth0\"}"));
}

TEST(Rule5Gates, DampSuppressesWhatFlapsUntilItsPenaltyHasDecayed) {
    Scenario scenario({symptom("s", "pps > 10"),
                       adaptation("a", "s", "damp = { half_life = '10s', suppress = 1800, reuse = 900 }")});
    const auto lines = scenario.play({{eth0, "1 20 1 20 1 20x30"}});
    // Twice 1000 within two seconds is 1870, more than 1800; below 900 it is after 10.56 s.
    EXPECT_THAT(with(lines, "apply"), ElementsAre("1s apply a{iface=\"eth0\"}", "3s apply a{iface=\"eth0\"}",
                                                  "14s apply a{iface=\"eth0\"}"));
    EXPECT_THAT(with(lines, "damp"),
                ElementsAre(AllOf(HasSubstr("5s wait"), HasSubstr("damp closed: until"))));
}

TEST(Rule5Gates, MaxActiveHoldsFurtherInstancesBack) {
    Scenario scenario({symptom("s", "pps > 10"), adaptation("a", "s", "max_active = 1")});
    scenario.tick(0s);
    EXPECT_THAT(
        lines_of(scenario.tick(1s, {{eth0, 20}, {eth1, 20}})),
        IsSupersetOf({"apply a{iface=\"eth0\"}", "wait a{iface=\"eth1\"}: max_active closed: 1 are active"}));
    scenario.tick(2s, {{eth0, 1}, {eth1, 20}});
    scenario.tick(3s, {{eth0, 1}, {eth1, 20}});
    EXPECT_EQ(scenario.value("adaptation_active{adaptation='a',iface='eth1'}"), 1);
}

TEST(Rule5Gates, HoldBackChangesAndNeverDetection) {
    Scenario scenario({symptom("s", "pps > 10"), adaptation("a", "s", "budget = '0/1h'")});
    scenario.tick(0s);
    EXPECT_THAT(lines_of(scenario.tick(1s, {{eth0, 20}})), Contains(HasSubstr("inactive -> raised")));
}

TEST(Rule5Gates, QuorumCountsPeriodicTicks) {
    Scenario scenario({symptom("s", "pps > 10", "quorum = '2/3'")});
    EXPECT_THAT(states(scenario, "s", {{eth0, {20, 1, 20, 1, 1}}}, 5),
                ElementsAre("inactive", "inactive", "raised", "inactive", "inactive"));
    Scenario urgent({symptom("s", "pps > 10", "quorum = '2/3'")});
    urgent.tick(0s, {{eth0, 20}});
    for (int i = 1; i < 9; ++i) urgent.urgent_tick(Duration{i}, {{eth0, 20.0 + i}});
    EXPECT_THAT(lines_of(urgent.tick(1s, {{eth0, 20}})), Contains(HasSubstr("inactive -> raised")));
}

// ---- 6. verify

const std::string verified =
    "cooldown = '0s'\n[adaptation.verify]\nexpect = 'drops{iface=\"{{iface}}\"} > 0'\n"
    "settle = '1s'\nwithin = '3s'\nbackoff = '10s'\n";

std::vector<std::string> verify_lines(const std::string& pps, const std::string& drops,
                                      const std::string& policy = verified) {
    Scenario scenario({symptom("s", "pps > 10"), adaptation("a", "s", policy)}, more_metrics);
    auto lines = scenario.play({{eth0, pps}, {"drops{iface='eth0'}", drops}});
    return with(lines, " a{");
}

TEST(Rule6Verify, HoldsOnceTheEffectIsSeen) {
    EXPECT_THAT(verify_lines("1 20x6", "0 0 0 0 5 0 0"), Contains("4s verify a{iface=\"eth0\"}"));
}

TEST(Rule6Verify, AFailureSuspendsTheOverlayWithABackOffThatDoubles) {
    const auto lines = verify_lines("1 20x60", "0x61");
    EXPECT_THAT(lines, Contains("5s rollback a{iface=\"eth0\"}: verify closed: expect does not hold"));
    // Applied at 1s, in effect at 2s, failed at 5s; suspended for 10s; again, then for 20s.
    EXPECT_THAT(with(lines, "apply"), ElementsAre("1s apply a{iface=\"eth0\"}", "15s apply a{iface=\"eth0\"}",
                                                  "39s apply a{iface=\"eth0\"}"));
}

TEST(Rule6Verify, WithoutDataItFailsToo) {
    EXPECT_THAT(verify_lines("1 20x6", "_"),
                Contains("5s rollback a{iface=\"eth0\"}: verify closed: expect has no data"));
}

TEST(Rule6Verify, IsMootWhereTheSymptomClears) {
    const auto lines = verify_lines("1 20 20 1 20 20", "0x6");
    EXPECT_THAT(lines,
                Contains("3s verify a{iface=\"eth0\"}: verify closed: moot: its symptoms have cleared"));
    EXPECT_THAT(lines, Contains("4s apply a{iface=\"eth0\"}")) << "no back-off";
}

TEST(Rule6Verify, IsMootWhereEveryAttributeIsLost) {
    Scenario scenario({symptom("s", "pps > 10"), symptom("t", "load > 1"), adaptation("a", "s", verified),
                       adaptation("b", "t", "priority = 9", "counter")},
                      more_metrics);
    scenario.tick(0s);
    scenario.tick(1s, {{eth0, 20}});
    scenario.tick(2s, {{eth0, 20}, {"load{iface='eth0'}", 5}});
    const auto lines = lines_of(scenario.tick(3s, {{eth0, 20}, {"load{iface='eth0'}", 5}}));
    EXPECT_THAT(lines, Contains(HasSubstr("verify a{iface=\"eth0\"}: verify closed: moot: it has lost")));
}

TEST(Rule6Verify, BlocksChangesOfLowerPriorityOnItsTarget) {
    Scenario scenario({symptom("s", "pps > 10"), symptom("t", "load > 1"),
                       adaptation("a", "s", "priority = 9\n" + verified), adaptation("b", "t")},
                      more_metrics);
    scenario.tick(0s);
    scenario.tick(1s, {{eth0, 20}});
    scenario.tick(2s, {{eth0, 20}});
    const auto lines =
        lines_of(scenario.tick(3s, {{eth0, 20}, {"load{iface='eth0'}", 5}, {"load{iface='eth1'}", 5}}));
    EXPECT_THAT(lines,
                Contains("wait b{iface=\"eth0\"}: verification closed: a{iface=\"eth0\"} is being verified "
                         "on eth0"));
    EXPECT_THAT(lines, Contains("apply b{iface=\"eth1\"}"));
}

TEST(Rule6Verify, DesiredStateIsComputedAnewAndNotRestored) {
    // While the overlay is verified, another one of lower priority takes the program that the rollback
    // leaves.
    Scenario scenario({symptom("s", "pps > 10"), adaptation("a", "s", "priority = 9\n" + verified),
                       adaptation("b", "s", "", "counter")},
                      more_metrics);
    const auto lines = scenario.play({{eth0, "1 20x8"}, {"drops{iface='eth0'}", "0x9"}});
    EXPECT_THAT(lines, Contains("5s eth0: replace by counter (because b{iface=\"eth0\"})"));
}

// ---- 7. one transaction per target

TEST(Rule7Transactions, LaterChangesWaitForTheOneInFlight) {
    Scenario scenario({symptom("s", "pps > 10"), adaptation("a", "s")});
    EXPECT_THAT(lines_of(scenario.tick(0s, {{eth0, 1}})), Contains(HasSubstr("eth0: attach counter")));
    Scenario busy({symptom("s", "pps > 10"), adaptation("a", "s")});
    busy.hold_outcomes(true);
    busy.tick(0s, {{eth0, 1}});
    EXPECT_THAT(with(lines_of(busy.tick(1s, {{eth0, 20}})), "wait"),
                ElementsAre("wait a{iface=\"eth0\"}: in_flight closed: transaction 1 on eth0"));
    busy.hold_outcomes(false);
    EXPECT_THAT(lines_of(busy.tick(2s, {{eth0, 20}})), Contains("apply a{iface=\"eth0\"}"));
}

TEST(Rule7Transactions, FailuresRetryAfterOneSecondDoublingToFiveMinutes) {
    std::set<int> all;
    for (int i = 1; i < 100; ++i) all.insert(i);
    Scenario scenario({symptom("s", "pps > 10")},
                      {.config_changes = {}, .failing_transactions = all, .backwards = false});
    std::vector<Duration::rep> at;
    for (int i = 0; i < 2000; ++i)
        if (!with(lines_of(scenario.tick(std::chrono::seconds{i})), "eth0: attach").empty()) at.push_back(i);
    // The failure is known a tick later; from there 1, 2, 4, 8, ... 256, 300, 300 seconds.
    EXPECT_THAT(at, ElementsAre(0, 2, 5, 10, 19, 36, 69, 134, 263, 520, 821, 1122, 1423, 1724));
}

TEST(Rule7Transactions, OutcomesCarryTheStateThatWasReadBack) {
    Scenario scenario({symptom("s", "pps > 10")});
    scenario.tick(0s);
    scenario.tick(1s);
    const Outcome& outcome = scenario.history.back().outcomes.at(0);
    ASSERT_TRUE(outcome.actual.xdp);
    EXPECT_EQ(outcome.actual.xdp->program, "counter");
    EXPECT_EQ(scenario.state.knowledge.actual.at("eth0").xdp, outcome.actual.xdp);
}

// ---- 8. time; the tick's own time is the runner's, see runner_test

TEST(Rule8Time, ASeriesTakesOneSampleAMillisecondWithTheTimeItWasRead) {
    Scenario scenario({symptom("s", "pps > 10")});
    scenario.tick(0s, {{eth0, 1}});
    scenario.urgent_tick(Duration{1}, {{eth0, 2}});
    EXPECT_EQ(scenario.value(eth0), 2);
    scenario.urgent_tick(Duration{1}, {{eth0, 3}});
    EXPECT_EQ(scenario.value(eth0), 2) << "the same millisecond";
    EXPECT_EQ(scenario.state.knowledge.series.losses().samples_refused, 1U);
}

TEST(Rule8Time, StateSetsTellEveryStateAtEachPeriodicTick) {
    Scenario scenario({symptom("s", "pps > 10")});
    scenario.tick(0s);
    scenario.tick(1s);
    EXPECT_EQ(scenario.value("xdp_mode{iface='eth0',mode='drv'}"), 1);
    EXPECT_EQ(scenario.value("xdp_mode{iface='eth0',mode='skb'}"), 0);
    EXPECT_EQ(scenario.value("xdp_mode{iface='eth0',mode='hw'}"), 0);
}

// ---- 9. map overlays

TEST(Rule9MapOverlays, OwnOnlyTheirKeysAndUndoRestoresTheBaselineElseDeletes) {
    ScenarioOptions options;
    Scenario scenario({symptom("s", "pps > 10"),
                       "[[adaptation]]\nname = 'a'\nwhen = 's'\n[adaptation.set.interface.\"{{iface}}\"]\n"
                       "maps.limits.udp = { pps = 5 }\nmaps.limits.tcp = { pps = 6, burst = 7 }\n"},
                      options);
    scenario.tick(0s);
    scenario.tick(1s);
    // A key of somebody else in the same map.
    const std::vector<std::string> applied = lines_of(scenario.tick(2s, {{eth0, 20}}));
    EXPECT_THAT(applied,
                Contains(HasSubstr("eth0: set limits[tcp] to {burst = 7, pps = 6}, then set limits[udp] to "
                                   "{pps = 5}")));
    scenario.tick(3s, {{eth0, 20}});
    EXPECT_THAT(lines_of(scenario.tick(4s, {{eth0, 1}})),
                Contains(HasSubstr("eth0: clear limits[tcp], then clear limits[udp]")));
}

TEST(Rule9MapOverlays, ValuesAreWrittenBeforeTheirProgramIsAttached) {
    Scenario scenario({symptom("s", "pps > 10"),
                       adaptation("a", "s", "set.interface.\"{{iface}}\".maps.limits.udp = { pps = 5 }\n")});
    scenario.tick(0s);
    scenario.tick(1s);
    EXPECT_THAT(lines_of(scenario.tick(2s, {{eth0, 20}})),
                Contains(HasSubstr("eth0: set limits[udp] to {pps = 5}, then replace by guard")));
}

// ---- 10. templates

TEST(Rule10Templates, AreBoundAfterParsingSoThatALabelIsNeverSyntax) {
    Scenario scenario({symptom("s", "pps > 10"), adaptation("a", "s", verified)}, more_metrics);
    scenario.tick(0s);
    // Bound as text, this label would select every series of drops.
    const std::string hostile = "pps{iface='eth0',src='x\"} or drops{iface=\"eth1'}";
    scenario.tick(1s, {{hostile, 20}});
    scenario.tick(2s, {{hostile, 20}, {"drops{iface='eth1'}", 9}});
    for (int i = 3; i < 5; ++i)
        scenario.tick(std::chrono::seconds{i}, {{hostile, 20}, {"drops{iface='eth1'}", 9}});
    EXPECT_THAT(lines_of(scenario.tick(5s, {{hostile, 20}, {"drops{iface='eth1'}", 9}})),
                Contains(HasSubstr("expect has no data")));
}

TEST(Rule10Templates, AnAbsentLabelIsAGateAndNoEmptyString) {
    Scenario scenario({symptom("s", "pps > 10"), adaptation("a", "s")});
    scenario.tick(0s);
    EXPECT_THAT(with(lines_of(scenario.tick(1s, {{"pps{src='x'}", 20}})), "wait"),
                ElementsAre("wait a{src=\"x\"}: target closed: label 'iface' is absent"));
}

// ---- 11. reload

TEST(Rule11Reload, KeepsWhatKeepsItsNameAndResetsPendingOfAChangedRaise) {
    Scenario scenario({symptom("s", "pps > 10", "for = '5s'")});
    scenario.tick(0s, {{eth0, 20}});
    scenario.reload({symptom("s", "pps > 11", "for = '5s'")});
    scenario.tick(4s, {{eth0, 20}});
    EXPECT_THAT(lines_of(scenario.tick(8s, {{eth0, 20}})), IsEmpty()) << "pending began anew";
    EXPECT_THAT(lines_of(scenario.tick(9s, {{eth0, 20}})), ElementsAre(HasSubstr("pending -> raised")));
    scenario.reload({symptom("s", "pps > 12", "for = '5s'")});
    EXPECT_THAT(lines_of(scenario.tick(10s, {{eth0, 20}})), IsEmpty()) << "and raised stays";
}

TEST(Rule11Reload, ARemovedAdaptationsOverlayGoesAtOnce) {
    Scenario scenario({symptom("s", "pps > 10"), adaptation("a", "s", "min_hold = '1h'")});
    scenario.tick(0s);
    scenario.tick(1s, {{eth0, 20}});
    scenario.tick(2s, {{eth0, 20}});
    scenario.reload({symptom("s", "pps > 10")});
    EXPECT_THAT(lines_of(scenario.tick(3s, {{eth0, 20}})),
                Contains("eth0: replace by counter (because baseline)"));
}

TEST(Rule11Reload, AnInvalidGenerationIsRefusedWhole) {
    EXPECT_THROW((void)generation_of({symptom("s", "pps > 10"), symptom("t", "nothing > 10")}),
                 std::invalid_argument);
}

} // namespace
} // namespace homeostat::test
