#include "tests/engine/scenario.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace homeostat::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using namespace std::chrono_literals;

const std::string flood = R"(
[[symptom]]
name = "flood"
raise = "pps > 100"
clear = "max_over_time(pps[3s]) < 50"
keep = "1s"
on_missing = "clear"
)";

const std::string guard = R"(
[[adaptation]]
name = "guard"
when = "flood"
set.interface."{{iface}}".xdp.program = "guard"
set.interface."{{iface}}".maps.limits.udp = { pps = 10 }
)";

const std::string eth0 = "pps{iface='eth0'}";

std::vector<std::string> without_baseline(std::vector<std::string> lines) {
    std::erase_if(lines, [](const std::string& line) {
        return line.starts_with("0s ") || line == "1s eth0: done" || line == "1s eth1: done";
    });
    return lines;
}

TEST(Controller, BringsTheDatapathToItsBaselineFirst) {
    Scenario scenario({flood, guard});
    EXPECT_THAT(scenario.play({{eth0, "10 10 10"}}),
                ElementsAre("0s eth0: attach counter (drv) (because baseline)",
                            "0s eth1: attach counter (drv) (because baseline)", "1s eth0: done",
                            "1s eth1: done"));
}

TEST(Controller, GuardsUnderAFloodAndReturnsToTheBaselineAfterIt) {
    Scenario scenario({flood, guard});
    const auto lines = without_baseline(scenario.play({{eth0, "10 200 200 10x6"}}));
    EXPECT_THAT(lines, ElementsAre("1s flood{iface=\"eth0\"}: inactive -> raised (200)",
                                   "1s apply guard{iface=\"eth0\"}",
                                   "1s eth0: set limits[udp] to {pps = 10}, then replace by guard (because "
                                   "guard{iface=\"eth0\"})",
                                   "2s eth0: done", "5s flood{iface=\"eth0\"}: raised -> clearing (200)",
                                   "6s flood{iface=\"eth0\"}: clearing -> inactive (200)",
                                   "6s remove guard{iface=\"eth0\"}",
                                   "6s eth0: replace by counter, then clear limits[udp] (because baseline)",
                                   "7s eth0: done"));
    const ActualState now = scenario.kernel.read_back();
    EXPECT_EQ(now.at("eth0").xdp->program, "counter");
    EXPECT_THAT(now.at("eth0").entries, IsEmpty());
}

TEST(Controller, TellsWhichTransactionCarriesAReceiptOut) {
    Scenario scenario({flood, guard});
    scenario.play({{eth0, "10 200"}});
    const Decisions& decisions = scenario.history.back();
    ASSERT_EQ(decisions.receipts.size(), 1U);
    ASSERT_EQ(decisions.transactions.size(), 1U);
    EXPECT_THAT(decisions.receipts[0].transactions, ElementsAre(decisions.transactions[0].transaction.id));
    EXPECT_THAT(decisions.receipts[0].targets, ElementsAre("eth0"));
}

TEST(Controller, ChangesNothingInShadow) {
    auto shadow = std::make_shared<Generation>(*generation_of({flood, guard}));
    shadow->shadow = true;
    EngineState state(shadow);
    Inputs inputs;
    inputs.now = at_ms(1000);
    inputs.observed = DatapathInMemory({"eth0", "eth1"}).read_back();
    inputs.readings.batches.push_back({.sensor = {},
                                       .time = inputs.now,
                                       .defined = {{0, labels_of(eth0)}},
                                       .samples = {{0, 200}},
                                       .ended = {},
                                       .error = {}});
    EXPECT_THAT(lines_of(tick(state, inputs)),
                ElementsAre(HasSubstr("flood"), "apply guard{iface=\"eth0\"}"));
}

TEST(Controller, RetriesAFailedTransactionAndTellsEachOutcome) {
    // The first two transactions are the baseline of eth0 and eth1.
    Scenario scenario({flood, guard}, {.config_changes = {}, .failing_transactions = {3, 4}});
    const auto lines = without_baseline(scenario.play({{eth0, "10 200x9"}}));
    const std::string change =
        "eth0: set limits[udp] to {pps = 10}, then replace by guard (because guard{iface=\"eth0\"})";
    EXPECT_THAT(lines, ElementsAre(HasSubstr("1s flood"), "1s apply guard{iface=\"eth0\"}", "1s " + change,
                                   "2s eth0: failed: no memory", "3s " + change, "4s eth0: failed: no memory",
                                   "6s " + change, "7s eth0: done"));
    EXPECT_EQ(scenario.value("transactions_total{iface='eth0',outcome='failed'}"), 2);
    EXPECT_EQ(scenario.value("transactions_total{iface='eth0',outcome='ok'}"), 2);
    EXPECT_EQ(scenario.value("transactions_total{iface='eth1',outcome='failed'}"), 0);
}

TEST(Controller, GivesUpAFailedChangeThatNobodyWantsAnyMore) {
    Scenario scenario({"[[symptom]]\nname = 'flood'\nraise = 'pps > 100'\n", guard},
                      {.config_changes = {}, .failing_transactions = {3}});
    const auto lines = without_baseline(scenario.play({{eth0, "10 200 0 0 0 0"}}));
    EXPECT_THAT(lines,
                ElementsAre(HasSubstr("1s flood"), HasSubstr("1s apply"), HasSubstr("1s eth0: set"),
                            HasSubstr("2s flood"), HasSubstr("2s remove"), "2s eth0: failed: no memory"));
}

TEST(Controller, AnswersDriftThatAnOutcomeShows) {
    Scenario scenario({flood, guard});
    scenario.play({{eth0, "10 10"}});
    scenario.state.knowledge.actual["eth0"].xdp->program = "foreign";
    EXPECT_THAT(lines_of(scenario.tick(2s)), ElementsAre("eth0: replace by counter (because baseline)"));
}

TEST(Controller, LetsAnInterfaceGoAndBringsItBackToWhatIsDesired) {
    Scenario scenario({flood, guard});
    scenario.play({{eth0, "10 10"}});
    scenario.link("eth0", false);
    EXPECT_THAT(lines_of(scenario.tick(2s)), ElementsAre("message: interface eth0 is gone"));
    EXPECT_EQ(scenario.value("link_present{iface='eth0'}"), 0);
    EXPECT_EQ(scenario.value("link_up{iface='eth0'}"), 0);
    EXPECT_EQ(scenario.value("xdp_program{iface='eth0',program='counter'}"), 0);
    EXPECT_THAT(lines_of(scenario.tick(3s)), IsEmpty());
    scenario.link("eth0", true);
    EXPECT_THAT(lines_of(scenario.tick(4s)), ElementsAre("eth0: attach counter (drv) (because baseline)",
                                                         "message: interface eth0 is there"));
    EXPECT_THAT(lines_of(scenario.tick(5s)), ElementsAre("eth0: done"));
    EXPECT_EQ(scenario.value("link_present{iface='eth0'}"), 1);
}

TEST(Controller, AdaptsAnAbsentInterfaceWhenItReturns) {
    Scenario scenario({flood, guard});
    scenario.play({{eth0, "10 10"}});
    scenario.link("eth0", false);
    EXPECT_THAT(lines_of(scenario.tick(2s, {{eth0, 200}})), Not(Contains(HasSubstr("eth0: set"))));
    scenario.link("eth0", true);
    EXPECT_THAT(
        lines_of(scenario.tick(3s, {{eth0, 200}})),
        Contains(
            "eth0: set limits[udp] to {pps = 10}, then attach guard (drv) (because guard{iface=\"eth0\"})"));
}

// ---- sensors

TEST(Sensors, ThatFailMarkTheirSeriesStaleAndRecover) {
    Scenario scenario({"[[symptom]]\nname = 'flood'\nraise = 'pps > 100'\non_missing = 'clear'\n"});
    scenario.play({{eth0, "10 200"}});
    EXPECT_EQ(scenario.value("sensor_up{sensor='packets'}"), 1);
    scenario.fail_sensor("no such map");
    EXPECT_THAT(lines_of(scenario.tick(2s)), ElementsAre("flood{iface=\"eth0\"}: raised -> inactive (200)",
                                                         "message: sensor packets: no such map"));
    EXPECT_EQ(scenario.value("sensor_up{sensor='packets'}"), 0);
    EXPECT_EQ(scenario.value(eth0), std::nullopt);
    scenario.fail_sensor("no such map");
    EXPECT_THAT(lines_of(scenario.tick(3s)), IsEmpty()) << "told once";
    EXPECT_THAT(lines_of(scenario.tick(4s, {{eth0, 300}})),
                ElementsAre("flood{iface=\"eth0\"}: inactive -> raised (300)",
                            "message: sensor packets has recovered"));
    EXPECT_EQ(scenario.value("sensor_up{sensor='packets'}"), 1);
}

TEST(Sensors, ThatFailAnotherWayTellIt) {
    Scenario scenario({flood});
    scenario.play({{eth0, "10 10"}});
    scenario.fail_sensor("one");
    scenario.tick(2s);
    scenario.fail_sensor("two");
    EXPECT_THAT(lines_of(scenario.tick(3s)), ElementsAre("message: sensor packets: two"));
}

// An urgent reading and a periodic one may fall into one millisecond.
TEST(Sensors, ThatFailInTheMillisecondOfTheirLastReadingGoStaleAfterIt) {
    Scenario scenario({flood});
    Inputs inputs;
    inputs.now = at_ms(1'000'000'000'000);
    SampleBatch good;
    good.time = inputs.now;
    good.defined = {{0, labels_of(eth0)}};
    good.samples = {{0, 200}};
    SampleBatch bad;
    bad.time = inputs.now;
    bad.error = "lost";
    inputs.readings.batches = {good, bad};
    tick(scenario.state, inputs);
    scenario.fail_sensor("lost");
    scenario.tick(1s);
    EXPECT_EQ(scenario.value(eth0), std::nullopt);
}

TEST(Sensors, EndASeriesThatTheyNoLongerSee) {
    Scenario scenario({flood});
    scenario.tick(0s, {{eth0, 1}});
    scenario.tick(1s, {{eth0, stale_marker}});
    EXPECT_EQ(scenario.value(eth0), std::nullopt);
    scenario.tick(2s, {{eth0, 2}});
    EXPECT_EQ(scenario.value(eth0), 2);
}

TEST(Sensors, MayGiveANumberToAnotherSeries) {
    EngineState state(generation_of({flood}));
    const auto send = [&](std::int64_t ms, std::vector<SeriesDefinition> defined,
                          std::vector<LocalSample> samples, std::vector<std::uint32_t> ended) {
        Inputs inputs;
        inputs.now = at_ms(ms);
        inputs.readings.batches.push_back({.sensor = {},
                                           .time = inputs.now,
                                           .defined = std::move(defined),
                                           .samples = std::move(samples),
                                           .ended = std::move(ended),
                                           .error = {}});
        return tick(state, inputs);
    };
    send(1000, {{0, labels_of(eth0)}}, {{0, 200}}, {});
    send(2000, {}, {}, {0});
    const Decisions decisions = send(3000, {{0, labels_of("pps{iface='eth1'}")}}, {{0, 300}}, {});
    EXPECT_THAT(lines_of(decisions), Contains("flood{iface=\"eth1\"}: inactive -> raised (300)"));
}

TEST(Sensors, NumbersThatWereNeverDefinedAreIgnored) {
    EngineState state(generation_of({flood}));
    Inputs inputs;
    inputs.now = at_ms(1000);
    SampleBatch batch;
    batch.time = inputs.now;
    batch.samples = {{5, 200}, {4'000'000'000, 1}};
    batch.ended = {7};
    batch.defined = {{4'000'000'000, labels_of(eth0)}};
    inputs.readings.batches = {batch};
    EXPECT_THAT(lines_of(tick(state, inputs)), IsEmpty());
    EXPECT_THAT(state.knowledge.series.named("pps"), IsEmpty());
}

TEST(Sensors, ThatReachTheirLimitOfSeriesSaySoOnceAndCount) {
    EngineState state(generation_of({flood}));
    std::vector<std::string> lines;
    for (int s = 0; s < 3; ++s) {
        Inputs inputs;
        inputs.now = at_ms(std::int64_t{1000} * s);
        SampleBatch batch;
        batch.time = inputs.now;
        batch.refused = 2;
        inputs.readings.batches = {batch};
        for (const std::string& line : lines_of(tick(state, inputs))) lines.push_back(line);
    }
    EXPECT_THAT(
        lines, ElementsAre("message: sensor packets has reached its limit of series: more are not recorded"));
    EXPECT_EQ(state.sensors.at(0).refused, 6U);
}

TEST(Sensors, FaultsCanBeInjectedByTurn) {
    FakeSensor inner;
    SampleBatch reading;
    reading.samples = {{0, 1}};
    for (int i = 0; i < 3; ++i) inner.feed({.batches = {reading}, .links = {}});
    FaultySensor sensor(SensorId{0}, inner, {2});
    std::string health;
    for (int i = 1; i <= 3; ++i) {
        Readings out;
        sensor.collect(at_ms(i), out);
        health += out.batches.at(0).error.empty() ? "+" : "-";
        EXPECT_EQ(out.batches.at(0).time, at_ms(i));
    }
    EXPECT_EQ(health, "+-+");
}

TEST(Controller, ForgetsSeriesThatNobodyCanSeeAnyMoreAndTakesThemUpAgain) {
    Scenario scenario({flood});
    scenario.tick(0s, {{eth0, 1}, {"pps{iface='eth1'}", 1}});
    for (int s = 1; s <= 400; s += 10) scenario.tick(std::chrono::seconds{s}, {{"pps{iface='eth1'}", 1}});
    EXPECT_EQ(scenario.state.knowledge.series.named("pps").size(), 1U);
    scenario.tick(401s, {{"pps{iface='eth1'}", 1}, {eth0, 5}});
    EXPECT_EQ(scenario.value(eth0), 5);
}

TEST(Controller, TellsOfInputsThatWereDropped) {
    Scenario scenario({flood});
    Inputs inputs;
    inputs.now = at_ms(1'000'000'000'000);
    inputs.inputs_dropped = 3;
    EXPECT_THAT(tick(scenario.state, inputs).messages,
                ElementsAre("3 inputs were dropped: the queue was full"));
}

// ---- reload

TEST(Reload, OfARemovedAdaptationTakesItsOverlayAwayAtOnce) {
    Scenario scenario({flood, "[[adaptation]]\nname = 'guard'\nwhen = 'flood'\nmin_hold = '1h'\n"
                              "set.interface.\"{{iface}}\".xdp.program = 'guard'\n"});
    scenario.play({{eth0, "10 200 200"}});
    scenario.reload({flood});
    EXPECT_THAT(lines_of(scenario.tick(3s, {{eth0, 200}})),
                ElementsAre("remove guard{iface=\"eth0\"}: reload closed: the adaptation is no longer there",
                            "eth0: replace by counter (because baseline)"));
    EXPECT_EQ(scenario.history.back().generation, 2U);
    EXPECT_EQ(scenario.value("adaptation_active{adaptation='guard',iface='eth0'}"), std::nullopt);
}

TEST(Reload, OfAChangedEnforcementEndsTheOverlayAndAsksTheGatesAnew) {
    const std::string shadow = "[[adaptation]]\nname = 'guard'\nwhen = 'flood'\nenforcement = 'shadow'\n"
                               "set.interface.\"{{iface}}\".xdp.program = 'guard'\n";
    Scenario scenario({flood, guard});
    scenario.play({{eth0, "10 200 200"}});
    scenario.reload({flood, shadow});
    EXPECT_THAT(lines_of(scenario.tick(3s, {{eth0, 200}})),
                ElementsAre("remove guard{iface=\"eth0\"}: reload closed: its enforcement becomes shadow",
                            "apply (shadow) guard{iface=\"eth0\"}",
                            "eth0: replace by counter, then clear limits[udp] (because baseline)"));
}

// ---- drift

TEST(Drift, IsToldAndReconciled) {
    Scenario scenario({flood});
    scenario.play({{eth0, "10 10"}});
    Inputs detached;
    detached.now = at_ms(1'000'000'000'000);
    detached.observed = scenario.kernel.read_back();
    detached.observed["eth0"].xdp.reset();
    const Decisions decisions = tick(scenario.state, detached);
    EXPECT_THAT(decisions.messages, Contains(testing::HasSubstr("drift on eth0: counter")));
    ASSERT_EQ(decisions.transactions.size(), 1U);
    EXPECT_THAT(decisions.transactions[0].transaction.steps,
                ElementsAre(Step{AttachXdp{"counter", {XdpMode::drv}}}));
}

TEST(Drift, OfATcProgramIsToldWithItsSideAndReconciled) {
    Scenario scenario({"[[symptom]]\nname = 'flood'\nraise = 'pps > 100'\n[[adaptation]]\nname = 'shape'\n"
                       "when = 'flood'\nset.interface.\"{{iface}}\".tc.ingress.program = 'guard'\n"});
    scenario.play({{eth0, "200 200 200"}});
    Inputs detached;
    detached.now = at_ms(1'000'000'000'000);
    detached.observed = scenario.kernel.read_back();
    ASSERT_EQ(detached.observed["eth0"].tc.at(TcDirection::ingress).program, "guard");
    detached.observed["eth0"].tc.clear();
    const Decisions decisions = tick(scenario.state, detached);
    EXPECT_THAT(decisions.messages,
                Contains(testing::MatchesRegex("drift on eth0: guard \\(program [0-9]+\\) was attached at TC "
                                               "ingress, now it is nothing")));
    ASSERT_EQ(decisions.transactions.size(), 1U);
    EXPECT_THAT(decisions.transactions[0].transaction.steps,
                ElementsAre(Step{AttachTc{TcDirection::ingress, "guard"}}));
}

TEST(Drift, IsNotSeenInAnOlderReadingWhileATransactionIsInFlight) {
    Scenario scenario({flood});
    Inputs start;
    start.now = at_ms(1'000);
    start.observed = scenario.kernel.read_back();
    ASSERT_FALSE(tick(scenario.state, start).transactions.empty());
    // Read before the transaction: a program of somebody else's, long replaced.
    start.now = at_ms(2'000);
    start.observed["eth0"].xdp = AttachedXdp{"foreign:old", XdpMode::drv, 7};
    EXPECT_THAT(tick(scenario.state, start).messages, IsEmpty());
}

TEST(Reload, KeepsTheStateOfWhatKeepsItsName) {
    Scenario scenario({flood, guard});
    scenario.play({{eth0, "10 200 200"}});
    scenario.reload({flood, guard});
    EXPECT_THAT(lines_of(scenario.tick(3s, {{eth0, 200}})), IsEmpty());
    EXPECT_EQ(scenario.value("symptom_raised{symptom='flood',iface='eth0'}"), 1);
    EXPECT_EQ(scenario.value("adaptation_active{adaptation='guard',iface='eth0'}"), 1);
}

TEST(Reload, OfAChangedOverlayLaysItAgain) {
    Scenario scenario({flood, guard});
    scenario.play({{eth0, "10 200 200"}});
    scenario.reload({flood, "[[adaptation]]\nname = 'guard'\nwhen = 'flood'\n"
                            "set.interface.\"{{iface}}\".maps.limits.udp = { pps = 20 }\n"});
    EXPECT_THAT(lines_of(scenario.tick(3s, {{eth0, 200}})),
                ElementsAre("eth0: set limits[udp] to {pps = 20}, then replace by counter (because "
                            "guard{iface=\"eth0\"})"));
}

std::string with_raise(const std::string& raise) {
    return "[[symptom]]\nname = 'flood'\nraise = '" + raise + "'\nfor = '3s'\n";
}

TEST(Reload, OfAChangedRaiseResetsPendingOnly) {
    Scenario scenario({with_raise("pps > 100")});
    // eth0 is raised at 3s, eth1 is pending from 3s on.
    scenario.play({{eth0, "200x3"}, {"pps{iface='eth1'}", "_ _ _ 200"}});
    scenario.reload({with_raise("pps > 150")});
    EXPECT_THAT(scenario.play({{eth0, "200x4"}, {"pps{iface='eth1'}", "200x4"}}, 4s),
                ElementsAre("4s flood{iface=\"eth1\"}: inactive -> pending (200)",
                            "7s flood{iface=\"eth1\"}: pending -> raised (200)"));
}

TEST(Reload, OfAnUnchangedRaiseKeepsPending) {
    Scenario scenario({with_raise("pps > 100")});
    scenario.play({{eth0, "200"}});
    scenario.reload({with_raise("pps > 100")});
    EXPECT_THAT(
        scenario.play({{eth0, "200x3"}}, 1s),
        ElementsAre("1s eth0: done", "1s eth1: done", "3s flood{iface=\"eth0\"}: pending -> raised (200)"));
}

TEST(Reload, CountsTheWindowsOfClearAnew) {
    const std::string holding = "[[symptom]]\nname = 'flood'\nraise = 'pps > 100'\nclear = "
                                "'max_over_time(pps[3s]) < 50'\nkeep = '1s'\n";
    Scenario scenario({holding});
    scenario.play({{eth0, "200 10 10 10 10"}});
    ASSERT_THAT(lines_of(scenario.tick(5s, {{eth0, 200}})), Contains(HasSubstr("raised")));
    scenario.tick(6s, {{eth0, 10}});
    scenario.tick(7s, {{eth0, 10}});
    scenario.reload({holding});
    // Without the reload the clearing would begin at 8s.
    EXPECT_THAT(scenario.play({{eth0, "10x4"}}, 8s),
                ElementsAre("11s flood{iface=\"eth0\"}: raised -> clearing (200)",
                            "12s flood{iface=\"eth0\"}: clearing -> inactive (200)"));
}

TEST(Reload, OfARemovedSignalEndsItsSeries) {
    const std::string signal = "[[signal]]\nname = 'twice'\nexpr = 'pps * 2'\n";
    Scenario scenario({flood, signal});
    scenario.tick(0s, {{eth0, 5}});
    EXPECT_EQ(scenario.value("twice{iface='eth0'}"), 10);
    scenario.reload({flood});
    scenario.tick(1s, {{eth0, 5}});
    EXPECT_EQ(scenario.value("twice{iface='eth0'}"), std::nullopt);
}

TEST(Reload, OfARemovedSymptomForgetsIt) {
    Scenario scenario({flood, guard});
    scenario.play({{eth0, "10 200 200"}});
    scenario.reload({});
    scenario.tick(3s, {{eth0, 200}});
    EXPECT_EQ(scenario.value("symptom_raised{symptom='flood',iface='eth0'}"), std::nullopt);
    EXPECT_TRUE(scenario.state.knowledge.symptoms.empty());
}

} // namespace
} // namespace homeostat::test
