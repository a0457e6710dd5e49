#include "engine/facts.hpp"
#include "tests/engine/scenario.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace homeostat::test {
namespace {

using namespace std::chrono_literals;

const std::string policy = R"(
[[symptom]]
name = "flood"
raise = "pps > 100"
[[adaptation]]
name = "guard"
when = "flood"
set.interface."{{iface}}".xdp.program = "guard"
)";

const std::string eth0 = "pps{iface='eth0'}";

TEST(Facts, AreStateSetsWithEveryState) {
    Scenario scenario({policy});
    scenario.play({{eth0, "10 10"}});
    EXPECT_EQ(scenario.value("xdp_mode{iface='eth0',mode='drv'}"), 1);
    EXPECT_EQ(scenario.value("xdp_mode{iface='eth0',mode='skb'}"), 0);
    EXPECT_EQ(scenario.value("xdp_mode{iface='eth0',mode='hw'}"), 0);
    EXPECT_EQ(scenario.value("xdp_program{iface='eth1',program='counter'}"), 1);
    EXPECT_EQ(scenario.value("xdp_program{iface='eth1',program='guard'}"), 0);
    EXPECT_EQ(scenario.value("link_present{iface='eth1'}"), 1);
    EXPECT_EQ(scenario.value("link_up{iface='eth1'}"), 1);
}

TEST(Facts, TellTheTcProgramOfEachSide) {
    Scenario scenario({"[[symptom]]\nname = 'flood'\nraise = 'pps > 100'\n[[adaptation]]\nname = 'shape'\n"
                       "when = 'flood'\nset.interface.\"{{iface}}\".tc.egress.program = 'guard'\n"});
    scenario.play({{eth0, "10 200 200 200"}});
    EXPECT_EQ(scenario.value("tc_program{iface='eth0',direction='egress',program='guard'}"), 1);
    EXPECT_EQ(scenario.value("tc_program{iface='eth0',direction='egress',program='counter'}"), 0);
    EXPECT_EQ(scenario.value("tc_program{iface='eth0',direction='ingress',program='guard'}"), 0);
    EXPECT_EQ(scenario.value("tc_program{iface='eth1',direction='egress',program='guard'}"), 0);
}

TEST(Facts, FollowSymptomsAndAdaptationsFromTheNextPeriodOn) {
    Scenario scenario({policy});
    scenario.play({{eth0, "10 200 200 10 10"}});
    // Facts are recorded before the symptoms move on; an instance that ended has no series.
    EXPECT_EQ(scenario.value("symptom_raised{symptom='flood',iface='eth0'}"), std::nullopt);
    scenario.tick(5s, {{eth0, 200}});
    scenario.tick(6s, {{eth0, 200}});
    EXPECT_EQ(scenario.value("symptom_raised{symptom='flood',iface='eth0'}"), 1);
    EXPECT_EQ(scenario.value("adaptation_active{adaptation='guard',iface='eth0'}"), 1);
    scenario.tick(7s, {{eth0, 200}});
    EXPECT_EQ(scenario.value("xdp_program{iface='eth0',program='guard'}"), 1);
}

TEST(Facts, AreRecordedAtPeriodicTicksOnly) {
    Scenario scenario({policy});
    scenario.tick(0s, {{eth0, 10}});
    Inputs urgent;
    urgent.now = at_ms(1'000'000'000'500);
    urgent.periodic = false;
    tick(scenario.state, urgent);
    EXPECT_EQ(scenario.value("homeostat_ticks_total"), 1);
    scenario.tick(1s, {{eth0, 10}});
    EXPECT_EQ(scenario.value("homeostat_ticks_total"), 3);
}

TEST(Facts, CanBeAskedByPolicies) {
    Scenario scenario({"[[symptom]]\nname = 'down'\nraise = 'link_up == 0'\n"});
    scenario.tick(0s);
    scenario.link("eth1", false);
    EXPECT_THAT(lines_of(scenario.tick(1s)),
                testing::Contains("down{iface=\"eth1\"}: inactive -> raised (0)"));
}

TEST(Facts, CountTicksThatWereSkippedAndWhatWasLost) {
    Scenario scenario({policy});
    Inputs inputs;
    inputs.now = at_ms(1'000'000'000'000);
    inputs.ticks_skipped = 4;
    inputs.inputs_dropped = 7;
    tick(scenario.state, inputs);
    scenario.tick(1s);
    EXPECT_EQ(scenario.value("homeostat_ticks_total{skipped='true'}"), 4);
    EXPECT_EQ(scenario.value("homeostat_limit_hits_total{limit='inputs_queued_max'}"), 7);
    EXPECT_EQ(scenario.value("homeostat_limit_hits_total{limit='series_max'}"), 0);
}

TEST(Facts, CountHowAdaptationsTurnedOut) {
    Scenario scenario({policy});
    scenario.play({{eth0, "10 10 200 10 200 10 10"}});
    EXPECT_EQ(scenario.value("adaptation_outcome_total{adaptation='guard',outcome='applied'}"), 2);
    EXPECT_EQ(scenario.value("adaptation_outcome_total{adaptation='guard',outcome='removed'}"), 2);
    EXPECT_EQ(scenario.value("adaptation_outcome_total{adaptation='guard',outcome='verified'}"), 0);
    EXPECT_EQ(scenario.value("adaptation_outcome_total{adaptation='guard',outcome='rolled_back'}"), 0);
}

// "flood" asks for generic mode, and no gap that is not known to be shorter than 5 ms.
const std::string switching = R"(
[[symptom]]
name = "flood"
raise = "pps > 100"
[[adaptation]]
name = "generic"
when = "flood"
[adaptation.set.interface."{{iface}}"]
xdp.mode = "skb"
xdp.max_gap = "5ms"
)";

TEST(Facts, TellTheNewestAndTheLongestGapOfAnInterface) {
    Scenario scenario({switching});
    scenario.kernel.set_gap("eth0", {.ns = 9'000'000, .covered = true});
    scenario.play({{eth0, "200 200 10"}});
    EXPECT_EQ(scenario.value("xdp_switch_gap_seconds{iface='eth0'}"), std::nullopt) << "nothing was switched";
    scenario.play({{eth0, "200 200 200"}}, 3s);
    EXPECT_EQ(scenario.value("xdp_mode{iface='eth0',mode='skb'}"), 1);
    scenario.kernel.set_gap("eth0", {.ns = 4'000'000, .covered = false});
    scenario.play({{eth0, "10 10 10"}}, 6s);
    EXPECT_EQ(scenario.value("xdp_switch_gap_seconds{iface='eth0'}"), 0.004);
    EXPECT_EQ(scenario.value("xdp_switch_covered{iface='eth0'}"), 0);
    EXPECT_EQ(scenario.value("xdp_switch_gap_max_seconds{iface='eth0'}"), 0.009);
    EXPECT_EQ(scenario.value("xdp_switch_covered{iface='eth1'}"), std::nullopt);
    scenario.link("eth0", false);
    scenario.tick(10s);
    EXPECT_EQ(scenario.value("xdp_switch_gap_max_seconds{iface='eth0'}"), std::nullopt)
        << "what comes back is another device";
}

TEST(Facts, TellALowerModeOfALadderUntilItIsLeft) {
    Scenario scenario({R"(
[[symptom]]
name = "always"
raise = "pps >= 0"
[[adaptation]]
name = "ladder"
when = "always"
set.interface."{{iface}}".xdp.mode = ["hw", "skb"]
)"});
    scenario.kernel.set_modes("eth0", {XdpMode::skb});
    scenario.play({{eth0, "1 1 1"}});
    EXPECT_EQ(scenario.value("xdp_mode_fallback{iface='eth0'}"), 1);
    EXPECT_EQ(scenario.value("xdp_mode_fallback{iface='eth1'}"), 0);
    scenario.kernel.set_modes("eth0", {});
    scenario.tick(11min, {{eth0, 1}});
    EXPECT_EQ(scenario.value("xdp_mode_fallback{iface='eth0'}"), 1);
    scenario.tick(11min + 1s, {{eth0, 1}});
    EXPECT_EQ(scenario.value("xdp_mode_fallback{iface='eth0'}"), 0);
    EXPECT_EQ(scenario.value("xdp_mode{iface='eth0',mode='hw'}"), 1);
}

TEST(Facts, AreSilentOnASwitchThatWasRefusedForItsGap) {
    Scenario scenario({switching});
    scenario.kernel.set_gap("eth0", {.ns = 1, .covered = false});
    const auto lines = scenario.play({{eth0, "10 200 200 200"}});
    EXPECT_THAT(lines, testing::Contains(testing::HasSubstr("for a time that is not known yet, uncovered")));
    EXPECT_EQ(scenario.value("xdp_mode{iface='eth0',mode='drv'}"), 1);
    EXPECT_EQ(scenario.value("xdp_switch_gap_seconds{iface='eth0'}"), std::nullopt);
}

TEST(Facts, NameThePolicyWhoseEvaluationFails) {
    ScenarioOptions options;
    options.config_changes = {"[limits]", "samples_per_evaluation_max = 2"};
    Scenario scenario({"[[symptom]]\nname = 'many'\nraise = 'sum_over_time(pps[9s]) > 1'\n"
                       "[[symptom]]\nname = 'one'\nraise = 'pps > 1'\n"},
                      options);
    scenario.play({{eth0, "5x6"}});
    EXPECT_EQ(scenario.value("evaluation_failed{kind='symptom',name='many'}"), 1);
    EXPECT_EQ(scenario.value("evaluation_failed{kind='symptom',name='one'}"), 0);
    EXPECT_EQ(scenario.value("symptom_raised{symptom='one',iface='eth0'}"), 1) << "the rest go on";
}

TEST(Facts, OfASensorThatNeverReadIsDown) {
    EngineState state(generation_of({policy}));
    Inputs inputs;
    inputs.now = at_ms(1000);
    tick(state, inputs);
    const auto ids = state.knowledge.series.named("sensor_up");
    ASSERT_EQ(ids.size(), 1U);
    EXPECT_EQ(state.knowledge.series.newest(ids.front(), at_ms(1000), 5min)->value, 0);
}

TEST(Facts, AreAllNamed) {
    Scenario scenario({switching});
    scenario.play({{eth0, "10 200 200 200"}});
    const ProvidedMetrics names = fact_names();
    for (const SeriesId id : scenario.state.knowledge.series.all()) {
        const std::string name(scenario.state.knowledge.series.labels(id).metric_name());
        EXPECT_TRUE(name == "pps" || names.contains(name)) << name;
    }
    for (const std::string& name : names)
        EXPECT_FALSE(scenario.state.knowledge.series.named(name).empty()) << name;
}

} // namespace
} // namespace homeostat::test
