// What a controller answers, in its exact words, over whole ticks.
#include "engine/questions.hpp"
#include "tests/engine/scenario.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace homeostat::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;
using Kind = Question::Kind;

const std::string flood = "[[symptom]]\nname = 'flood'\nraise = 'pps > 100'\n";
const std::string eth0 = "pps{iface='eth0'}";

std::string guard(const std::string& more = "", const std::string& name = "guard",
                  const std::string& program = "guard") {
    return "[[adaptation]]\nname = '" + name + "'\nwhen = 'flood'\n" + more +
           "\nset.interface.\"{{iface}}\".xdp.program = '" + program + "'\n";
}

Answer must_ask(const Scenario& scenario, const Question& question, const QuestionLimits& limits = {}) {
    const auto answer = ask(scenario.state, question, limits);
    if (!answer) throw std::runtime_error(answer.error().what);
    return *answer;
}

std::string refusal(const Scenario& scenario, const Question& question) {
    const auto answer = ask(scenario.state, question);
    return answer ? "answered" : answer.error().what;
}

std::vector<WhyNot> why_not(const Scenario& scenario, const std::string& name,
                            std::optional<Moment> at = {}) {
    return std::get<std::vector<WhyNot>>(
        must_ask(scenario, {.kind = Kind::whynot, .text = name, .at = at}).what);
}

// Of the one instance that answers.
std::vector<std::string> why_lines(const Scenario& scenario, const std::string& name,
                                   std::optional<Moment> at = {}) {
    const auto answers = why_not(scenario, name, at);
    EXPECT_EQ(answers.size(), 1U);
    return answers.at(0).lines;
}

std::vector<std::string> explained(const Scenario& scenario, const std::string& name) {
    const Answer answer = must_ask(scenario, {.kind = Kind::explain, .text = name});
    std::vector<std::string> lines;
    for (const Explanation& explanation : std::get<std::vector<Explanation>>(answer.what))
        lines.insert(lines.end(), explanation.lines.begin(), explanation.lines.end());
    return lines;
}

Evaluation evaluate(const Scenario& scenario, const std::string& text, std::optional<Moment> at = {}) {
    return std::get<Evaluation>(must_ask(scenario, {.kind = Kind::eval, .text = text, .at = at}).what);
}

// ---- whynot: each gate

class WhyNotApplied : public testing::Test {
  protected:
    // The answer after the script, with this in the policy.
    static std::vector<std::string> after(const std::string& values, const std::string& more,
                                          const std::vector<std::string>& others = {},
                                          ScenarioOptions options = {}) {
        std::vector<std::string> policies{flood, guard(more)};
        policies.insert(policies.end(), others.begin(), others.end());
        Scenario scenario(policies, std::move(options));
        scenario.play({{eth0, values}});
        return why_lines(scenario, "guard");
    }
};

TEST_F(WhyNotApplied, GateEnforcement) {
    EXPECT_THAT(after("10 200", "enforcement = 'off'"),
                ElementsAre("guard{iface=\"eth0\"} is not applied: gate enforcement is closed: its policy "
                            "switches it off (off)"));
}
TEST_F(WhyNotApplied, GateTarget) {
    Scenario scenario({flood, guard()});
    scenario.play({{"pps{iface='eth7'}", "10 200"}});
    EXPECT_THAT(why_lines(scenario, "guard"),
                ElementsAre("guard{iface=\"eth7\"} is not applied: gate target is closed: there is nothing "
                            "that it could change (interface 'eth7' is not managed here)"));
}
TEST_F(WhyNotApplied, GateRequires) {
    EXPECT_THAT(after("10 200", "requires = ['base']", {guard("enforcement = 'off'", "base")}),
                ElementsAre("guard{iface=\"eth0\"} is not applied: gate requires is closed: it needs another "
                            "adaptation (base is not active)"));
}
TEST_F(WhyNotApplied, GateInhibits) {
    EXPECT_THAT(after("10 200", "", {guard("inhibits = ['guard']", "other")}),
                ElementsAre("guard{iface=\"eth0\"} is not applied: gate inhibits is closed: another "
                            "adaptation keeps it away (other{iface=\"eth0\"} is active)"));
}
TEST_F(WhyNotApplied, GateBackoff) {
    EXPECT_THAT(
        after("10 200x4", "verify = { expect = 'pps < 1', within = '2s', backoff = '30s' }"),
        ElementsAre(
            "guard{iface=\"eth0\"} is not applied: gate backoff is closed: its change did not show the "
            "expected effect (1 verification failed in a row, until 2001-09-09T01:47:14.000Z, 29s left)"));
}
TEST_F(WhyNotApplied, GateCooldown) {
    EXPECT_THAT(after("10 200 10 10 200", "cooldown = '10s'"),
                ElementsAre("guard{iface=\"eth0\"} is not applied: gate cooldown is closed: it was removed "
                            "lately (until 2001-09-09T01:46:52.000Z, 8s left)"));
}
TEST_F(WhyNotApplied, GateDamp) {
    EXPECT_THAT(
        after("10 200 10 10 200 10 10 200", "damp = { half_life = '1m', suppress = 1500, reuse = 700 }"),
        ElementsAre("guard{iface=\"eth0\"} is not applied: gate damp is closed: it came and went too often "
                    "(until 2001-09-09T01:48:13.388Z, 1m26s388ms left)"));
}
TEST_F(WhyNotApplied, GateMaxActive) {
    Scenario scenario({flood, guard("max_active = 1")});
    scenario.play({{eth0, "10 200"}, {"pps{iface='eth1'}", "10 200"}});
    EXPECT_THAT(why_lines(scenario, "guard{iface='eth1'}"),
                ElementsAre("guard{iface=\"eth1\"} is not applied: gate max_active is closed: no more "
                            "instances may be active at one time (1 are active)"));
}
TEST_F(WhyNotApplied, GateBudget) {
    EXPECT_THAT(
        after("10 200 10 10 200", "budget = '1/1m'"),
        ElementsAre("guard{iface=\"eth0\"} is not applied: gate budget is closed: it was applied as often as "
                    "it may be (1 in the last 1m, until 2001-09-09T01:47:41.000Z, 57s left)"));
}
TEST_F(WhyNotApplied, GateVerification) {
    const std::string verify = "verify = { expect = 'pps < 1', within = '1h' }";
    EXPECT_THAT(
        after("10 200 200 200", "", {guard("priority = 9\n" + verify, "first")}),
        ElementsAre("guard{iface=\"eth0\"} is not applied: gate verification is closed: a change of higher "
                    "priority is not verified yet (first{iface=\"eth0\"} is being verified on eth0)"));
}
TEST_F(WhyNotApplied, GateInFlight) {
    Scenario scenario({flood, guard()});
    scenario.tick(0s);
    Inputs before_the_outcome;
    before_the_outcome.now = *scenario.state.history.now() + 100ms;
    SampleBatch batch;
    batch.time = before_the_outcome.now;
    batch.defined = {{0, labels_of(eth0)}};
    batch.samples = {{0, 200}};
    before_the_outcome.readings.batches = {batch};
    tick(scenario.state, before_the_outcome);
    EXPECT_THAT(why_lines(scenario, "guard"),
                ElementsAre("guard{iface=\"eth0\"} is not applied: gate in_flight is closed: an earlier "
                            "change is still under way (transaction 1 on eth0)"));
}
TEST_F(WhyNotApplied, GateChangesPerMinute) {
    EXPECT_THAT(after("10 200 10 10 200", "", {},
                      {.config_changes = {"[limits]", "changes_per_minute_max = 1"},
                       .failing_transactions = {},
                       .backwards = false}),
                ElementsAre("guard{iface=\"eth0\"} is not applied: gate changes_per_minute is closed: all "
                            "adaptations together changed as much as they may (1 in the last 1m, until "
                            "2001-09-09T01:47:41.000Z, 57s left)"));
}
TEST_F(WhyNotApplied, GateMinHold) {
    EXPECT_THAT(after("10 200 10 10", "min_hold = '1m'"),
                ElementsAre("guard{iface=\"eth0\"} is active since 2001-09-09T01:46:41.000Z",
                            "its symptoms have cleared, and it stays because gate min_hold is closed: it "
                            "must stay for a while (until 2001-09-09T01:47:41.000Z, 58s left)"));
}

// ---- whynot: before the gates, and after them

TEST(WhyNotWanted, BecauseRaiseDoesNotHold) {
    Scenario scenario({flood, guard()});
    scenario.play({{eth0, "10 20"}});
    EXPECT_THAT(why_lines(scenario, "guard"),
                ElementsAre("guard is not wanted: when = \"flood\" does not hold",
                            "flood{iface=\"eth0\"} is inactive: raise = \"pps > 100\" does not hold, it saw "
                            "pps of {iface=\"eth0\"} = 20"));
    EXPECT_EQ(why_not(scenario, "guard").at(0).blocker, "when");
}

TEST(WhyNotWanted, BecauseTheSymptomIsPending) {
    Scenario scenario({flood + "for = '5s'\n", guard()});
    scenario.play({{eth0, "10 200 200"}});
    EXPECT_THAT(why_lines(scenario, "guard"),
                ElementsAre("guard is not wanted: when = \"flood\" does not hold",
                            "flood{iface=\"eth0\"} is pending since 2001-09-09T01:46:41.000Z: raise must "
                            "hold for 5s, 4s left"));
    scenario.tick(4s, {{eth0, stale_marker}});
    EXPECT_THAT(why_lines(scenario, "flood"),
                ElementsAre("flood{iface=\"eth0\"} is pending since 2001-09-09T01:46:41.000Z: raise must "
                            "hold for 5s; that time rests since 2001-09-09T01:46:44.000Z: there is no data"));
}

TEST(WhyNotWanted, BecauseTheQuorumIsNotReached) {
    Scenario scenario({flood + "quorum = '2/3'\n", guard()});
    scenario.play({{eth0, "10 200"}});
    EXPECT_THAT(
        why_lines(scenario, "guard"),
        ElementsAre(
            "guard is not wanted: when = \"flood\" does not hold",
            "flood{iface=\"eth0\"} is inactive: raise held in 1 of the last 3 periodic ticks, 2 are needed"));
}

TEST(WhyNotWanted, BecauseThereIsNoData) {
    Scenario scenario({flood, guard()});
    scenario.fail_sensor("no such map");
    scenario.tick(0s);
    EXPECT_THAT(why_lines(scenario, "guard"),
                ElementsAre("guard is not wanted: when = \"flood\" does not hold",
                            "flood is inactive: raise = \"pps > 100\" has no data here; on_missing is hold, "
                            "which changes nothing",
                            "no series matches pps", "sensor packets is down: no such map"));
    EXPECT_THAT(why_lines(scenario, "flood{iface='eth3'}"),
                ElementsAre("flood is inactive: raise = \"pps > 100\" has no data here; on_missing is hold, "
                            "which changes nothing",
                            "no series matches pps", "sensor packets is down: no such map"));
}

TEST(WhyNotWanted, BecauseTheDataAreTooOld) {
    Scenario scenario({flood, guard()});
    scenario.tick(0s, {{eth0, 10}});
    scenario.tick(1s, {{eth0, stale_marker}});
    EXPECT_THAT(why_lines(scenario, "guard"),
                ElementsAre("guard is not wanted: when = \"flood\" does not hold",
                            "flood is inactive: raise = \"pps > 100\" has no data here; on_missing is hold, "
                            "which changes nothing",
                            "what matches pps ended at 2001-09-09T01:46:41.000Z, 0s ago"));
}

TEST(WhyNotWanted, BecauseAnotherSymptomIsOrIsNotRaised) {
    const std::string calm = "[[symptom]]\nname = 'calm'\nraise = 'pps > 1000'\n";
    const std::string both = "[[adaptation]]\nname = 'both'\nwhen = 'flood and calm'\n"
                             "set.interface.\"{{iface}}\".xdp.program = 'guard'\n";
    const std::string without = "[[adaptation]]\nname = 'without'\nwhen = 'flood and not calm'\n"
                                "set.interface.\"{{iface}}\".xdp.program = 'guard'\n";
    Scenario scenario({flood, calm, both, without});
    scenario.play({{eth0, "10 200"}});
    EXPECT_THAT(why_lines(scenario, "both"),
                ElementsAre("both{iface=\"eth0\"} is not wanted: when = \"flood and calm\" does not hold",
                            "calm{iface=\"eth0\"} is inactive: raise = \"pps > 1000\" does not hold, it saw "
                            "pps of {iface=\"eth0\"} = 200"));
    scenario.play({{eth0, "10 10 10 2000"}}, 2s);
    EXPECT_THAT(
        why_lines(scenario, "without"),
        ElementsAre("without{iface=\"eth0\"} is not wanted: when = \"flood and not calm\" does not hold",
                    "not calm: calm{iface=\"eth0\"} is raised since 2001-09-09T01:46:45.000Z"));
}

TEST(WhyNotInEffect, BecauseItLostItsAttribute) {
    Scenario scenario({flood, guard(), guard("priority = 9", "other", "counter")});
    scenario.play({{eth0, "10 200 200"}});
    EXPECT_THAT(why_lines(scenario, "guard"),
                ElementsAre("guard{iface=\"eth0\"} is active since 2001-09-09T01:46:41.000Z",
                            "it lost eth0 xdp.program to other{iface=\"eth0\"}"));
    EXPECT_EQ(why_not(scenario, "guard").at(0).blocker, "arbitration");
}

TEST(WhyNotInEffect, BecauseTheTransactionIsInFlightOrFailed) {
    Scenario scenario({flood, guard()},
                      {.config_changes = {}, .failing_transactions = {3}, .backwards = false});
    scenario.play({{eth0, "10 200"}});
    EXPECT_THAT(why_lines(scenario, "guard"),
                ElementsAre("guard{iface=\"eth0\"} is active since 2001-09-09T01:46:41.000Z",
                            "transaction 3 on eth0 is in flight: replace by guard"));
    scenario.tick(2s, {{eth0, 200}});
    EXPECT_THAT(why_lines(scenario, "guard"),
                ElementsAre("guard{iface=\"eth0\"} is active since 2001-09-09T01:46:41.000Z",
                            "transaction 3 on eth0 failed: no memory (1 failure); next try at "
                            "2001-09-09T01:46:43.000Z, 1s left"));
}

TEST(WhyNotInEffect, BecauseTheInterfaceIsAbsent) {
    Scenario scenario({flood, guard()});
    scenario.play({{eth0, "10 200 200"}});
    scenario.link("eth0", false);
    scenario.tick(3s, {{eth0, 200}});
    EXPECT_THAT(why_lines(scenario, "guard"),
                ElementsAre("guard{iface=\"eth0\"} is active since 2001-09-09T01:46:41.000Z",
                            "eth0 is absent; it is changed as soon as it is there"));
}

TEST(WhyNotInEffect, NothingStandsInTheWay) {
    Scenario scenario({flood, guard()});
    scenario.play({{eth0, "10 200 200"}});
    EXPECT_THAT(why_lines(scenario, "guard"),
                ElementsAre("guard{iface=\"eth0\"} is active since 2001-09-09T01:46:41.000Z"));
    EXPECT_EQ(why_not(scenario, "guard").at(0).blocker, "");
    EXPECT_THAT(why_lines(scenario, "flood"),
                ElementsAre("flood{iface=\"eth0\"} is raised since 2001-09-09T01:46:41.000Z"));
}

// ---- whynot, at a past time

TEST(WhyNotThen, TellsWhatWasDecidedLastBefore) {
    Scenario scenario({flood, guard("cooldown = '10s'")});
    scenario.play({{eth0, "10 200 10 10 200 10"}});
    EXPECT_THAT(why_lines(scenario, "guard", 5s),
                ElementsAre("nothing was decided about guard from 2001-09-09T01:46:40.000Z to "
                            "2001-09-09T01:46:40.000Z: when = \"flood\" did not come to hold"));
    EXPECT_THAT(why_lines(scenario, "guard", 4s),
                ElementsAre("guard{iface=\"eth0\"} was active (receipt 1 of 2001-09-09T01:46:41.000Z)"));
    EXPECT_THAT(why_lines(scenario, "guard", 2s),
                ElementsAre("guard{iface=\"eth0\"} was removed (receipt 2 of 2001-09-09T01:46:42.000Z): its "
                            "symptoms had cleared"));
    EXPECT_THAT(
        why_lines(scenario, "guard", 1s),
        ElementsAre("guard{iface=\"eth0\"} was not applied: gate cooldown is closed: it was removed lately "
                    "(until 2001-09-09T01:46:52.000Z, 8s left) (receipt 3 of 2001-09-09T01:46:44.000Z)"));
    EXPECT_THAT(why_lines(scenario, "flood", 1s),
                ElementsAre("flood{iface=\"eth0\"} was raised since 2001-09-09T01:46:44.000Z",
                            "it saw then: pps of {iface=\"eth0\"} = 200"));
    EXPECT_EQ(refusal(scenario, {.kind = Kind::whynot, .text = "guard", .at = Moment{6s}}),
              "nothing is known of 2001-09-09T01:46:39.000Z: the history begins at 2001-09-09T01:46:40.000Z");
    EXPECT_EQ(refusal(scenario, {.kind = Kind::whynot, .text = "guard", .at = Moment{-1s}}),
              "2001-09-09T01:46:46.000Z is in the future: it is 2001-09-09T01:46:45.000Z here");
}

// ---- explain

TEST(Explain, TellsAReceiptInPlainWords) {
    Scenario scenario({flood, guard()});
    scenario.play({{eth0, "10 200 200"}});
    EXPECT_THAT(
        explained(scenario, "guard"),
        ElementsAre("receipt 1 of 2001-09-09T01:46:41.000Z, generation 1: apply guard{iface=\"eth0\"}",
                    "  when: flood: held",
                    "  flood{iface=\"eth0\"} was raised since 2001-09-09T01:46:41.000Z, value 200",
                    "    raise: pps > 100: holds", "    saw: pps of {iface=\"eth0\"} = 200",
                    "  gates open: enforcement, target, requires, inhibits, backoff, cooldown, damp, "
                    "max_active, budget, verification, in_flight, changes_per_minute",
                    "  sets eth0 xdp.program = guard",
                    "  transaction 3 on eth0: replace by guard (because of guard{iface=\"eth0\"})",
                    "    done at 2001-09-09T01:46:42.000Z in 0 ms: guard runs as program 3 in mode drv"));
    EXPECT_EQ(explained(scenario, "1"), explained(scenario, "guard"));
    EXPECT_EQ(explained(scenario, "guard{iface=~'eth.*'}"), explained(scenario, "guard"));
    EXPECT_THAT(explained(scenario, "flood"),
                ElementsAre("symptom flood{iface=\"eth0\"} went from inactive to raised at "
                            "2001-09-09T01:46:41.000Z, generation 1",
                            "  flood{iface=\"eth0\"} was raised since 2001-09-09T01:46:41.000Z, value 200",
                            "    raise: pps > 100: holds", "    saw: pps of {iface=\"eth0\"} = 200"));
}

TEST(Explain, TellsOfAFailureAndOfLosers) {
    Scenario scenario(
        {flood, guard(), guard("priority = 9", "other", "counter"), guard("priority = -1", "third")},
        {.config_changes = {}, .failing_transactions = {1}, .backwards = false});
    scenario.play({{eth0, "200 200 200 200"}});
    EXPECT_THAT(
        explained(scenario, "guard"),
        ElementsAre("receipt 1 of 2001-09-09T01:46:40.000Z, generation 1: apply guard{iface=\"eth0\"}",
                    "  when: flood: held",
                    "  flood{iface=\"eth0\"} was raised since 2001-09-09T01:46:40.000Z, value 200",
                    "    raise: pps > 100: holds", "    saw: pps of {iface=\"eth0\"} = 200",
                    "  gates open: enforcement, target, requires, inhibits, backoff, cooldown, damp, "
                    "max_active, budget, verification, in_flight, changes_per_minute",
                    "  lost eth0 xdp.program to other{iface=\"eth0\"}", "  sets eth0 xdp.program = guard",
                    "  transaction 1 on eth0: attach counter (drv) (because of other{iface=\"eth0\"})",
                    "    failed at 2001-09-09T01:46:41.000Z: no memory"));
}

TEST(Explain, TellsAnExpectation) {
    Scenario scenario({flood, guard("verify.expect = 'pps < 1'\nverify.within = '2s'")});
    scenario.play({{eth0, "10 200x4"}});
    EXPECT_THAT(
        explained(scenario, "2"),
        ElementsAre("receipt 2 of 2001-09-09T01:46:44.000Z, generation 1: rollback guard{iface=\"eth0\"}",
                    "  when: flood: held",
                    "  flood{iface=\"eth0\"} was raised since 2001-09-09T01:46:41.000Z, value 200",
                    "    raise: pps > 100: holds", "    saw: pps of {iface=\"eth0\"} = 200",
                    "  gate verify is closed: its verification (expect does not hold)",
                    "  takes away eth0 xdp.program = guard",
                    "  expected pps < 1: does not hold, saw pps of {iface=\"eth0\"} = 200",
                    "  transaction 4 on eth0: replace by counter (because of baseline)",
                    "    done at 2001-09-09T01:46:45.000Z in 0 ms: counter runs as program 4 in mode drv"));
}

TEST(Explain, TellsWhatARemovalTakesAwayAndWhatOthersWouldSet) {
    Scenario scenario(
        {flood, guard("min_hold = '2s'\ncooldown = '1h'"), guard("enforcement = 'shadow'", "shy")});
    scenario.play({{eth0, "10 200 10 10 10 200"}});
    const auto verbs = [&](const std::string& adaptation) {
        std::vector<std::string> found;
        for (const Decided& decided : scenario.state.history.decided())
            if (const auto* receipt = std::get_if<Receipt>(&decided.what);
                receipt != nullptr && receipt->adaptation == adaptation)
                for (const std::string& line : explained(scenario, std::to_string(receipt->id)))
                    if (line.ends_with(" eth0 xdp.program = guard"))
                        found.push_back(std::string(to_text(receipt->action)) + ":" +
                                        line.substr(1, line.find(" eth0") - 1));
        return found;
    };
    EXPECT_THAT(verbs("guard"),
                ElementsAre("apply: sets", "wait: sets", "remove: takes away", "wait: would set"))
        << "it waits first to be removed, then to be applied";
    EXPECT_THAT(verbs("shy"), ElementsAre("apply: would set", "remove: would take away", "apply: would set"));
}

TEST(UnknownLabels, AreToldWithThoseThatThereAre) {
    Scenario scenario({flood, guard(), "[[signal]]\nname = 'twice'\nexpr = 'pps * 2'\n"});
    scenario.play({{eth0, "10 200"}});
    const auto notes = [&](Kind kind, const std::string& text) {
        return must_ask(scenario, {.kind = kind, .text = text}).notes;
    };
    const auto told = [](const std::string& name) {
        return "nothing of " + name + " has the label 'ifac'; there are: iface";
    };
    EXPECT_THAT(notes(Kind::whynot, "guard{ifac='eth0'}"), ElementsAre(told("guard")));
    EXPECT_THAT(notes(Kind::whynot, "flood{ifac='eth0'}"), ElementsAre(told("flood")));
    EXPECT_THAT(notes(Kind::symptoms, "flood{ifac='eth0'}"), ElementsAre(told("flood")));
    EXPECT_THAT(notes(Kind::signals, "twice{ifac='eth0'}"), ElementsAre(told("twice")));
    EXPECT_THAT(notes(Kind::decisions, "flood{ifac='eth0',iface='eth0'}"), ElementsAre(told("flood")));
    EXPECT_EQ(refusal(scenario, {.kind = Kind::explain, .text = "guard{ifac='eth0'}"}),
              "nothing was decided about guard{ifac='eth0'}: " + told("guard"));
    EXPECT_THAT(notes(Kind::whynot, "guard{iface='eth7'}"), IsEmpty()) << "a value that may come";
    Scenario silent({flood, guard()});
    silent.tick(0s);
    EXPECT_THAT(must_ask(silent, {.kind = Kind::whynot, .text = "guard{ifac='eth0'}"}).notes, IsEmpty())
        << "any label may come";
}

TEST(Explain, SuggestsTheNameThatWasMeant) {
    Scenario scenario({flood, guard()});
    scenario.play({{eth0, "10"}});
    EXPECT_EQ(refusal(scenario, {.kind = Kind::explain, .text = "gaurd"}),
              "there is no adaptation or symptom 'gaurd'; did you mean 'guard'?");
    EXPECT_EQ(refusal(scenario, {.kind = Kind::whynot, .text = "xyzzy"}),
              "there is no adaptation or symptom 'xyzzy'; there are:\n  guard\n  flood");
    EXPECT_EQ(refusal(scenario, {.kind = Kind::explain, .text = "guard"}),
              "nothing was decided about guard: the history begins at 2001-09-09T01:46:40.000Z; whynot tells "
              "what stands in its way");
    EXPECT_EQ(
        refusal(scenario, {.kind = Kind::explain, .text = "17"}),
        "there is no receipt 17: the history begins at 2001-09-09T01:46:40.000Z, the next receipt is 1");
    EXPECT_EQ(refusal(scenario, {.kind = Kind::explain, .text = "guard{iface"}),
              "'guard{iface': the expression ends too early; expected NAME or NAME{label=\"value\"}");
}

// ---- eval

TEST(Eval, TellsScalarsVectorsStringsAndSamples) {
    Scenario scenario({flood, guard()});
    scenario.play({{eth0, "10 20"}, {"pps{iface='eth1'}", "1 2"}});
    EXPECT_EQ(std::get<double>(evaluate(scenario, "1 + 2k").value), 2001);
    EXPECT_EQ(std::get<std::string>(evaluate(scenario, "'x'").value), "x");
    const auto vector = std::get<promql::Vector>(evaluate(scenario, "sum(pps)").value);
    ASSERT_EQ(vector.size(), 1U);
    EXPECT_EQ(vector[0].value, 22);
    const auto series =
        std::get<std::vector<SeriesSamples>>(evaluate(scenario, "pps{iface='eth1'}[1m]").value);
    ASSERT_EQ(series.size(), 1U);
    EXPECT_EQ(series[0].points.back().value, 2);
}

TEST(Eval, TellsMistakesWithTheirPlace) {
    Scenario scenario({flood});
    scenario.play({{eth0, "10"}});
    EXPECT_EQ(refusal(scenario, {.kind = Kind::eval, .text = "sum(pps"}),
              "column 8: the expression ends too early; expected ')' after the arguments of sum");
    EXPECT_EQ(
        refusal(scenario, {.kind = Kind::eval, .text = "max_over_time(pps)"}),
        "column 15: expected type range vector in call to function \"max_over_time\", got instant vector");
    EXPECT_EQ(refusal(scenario, {.kind = Kind::eval, .text = "sum(\n  pps,\n  $)"}),
              "line 3, column 3: unexpected character '$'");
    EXPECT_THAT(refusal(scenario, {.kind = Kind::eval, .text = "pps \xff"}),
                "column 5: unexpected character '\\xff'");
    EXPECT_EQ(
        refusal(scenario, {.kind = Kind::eval, .text = "pps[5m:1m]"}),
        "a subquery has no samples of its own to show; put a function around it, such as max_over_time");
}

TEST(Eval, LooksBackAsFarAsTheStoreReachesAndSaysWhereItEnds) {
    Scenario scenario({flood, "[[signal]]\nname = 'mean'\nexpr = 'avg_over_time(pps[10s])'\n"});
    scenario.play({{eth0, "0+1x30"}});
    const Question then{.kind = Kind::eval, .text = "pps", .at = Moment{5s}};
    const Answer answer = must_ask(scenario, then);
    EXPECT_EQ(std::get<promql::Vector>(std::get<Evaluation>(answer.what).value).at(0).value, 25);
    EXPECT_THAT(answer.notes, IsEmpty());
    const Answer wide = must_ask(scenario, {.kind = Kind::eval, .text = "sum_over_time(pps[1m])"});
    EXPECT_THAT(wide.notes, ElementsAre("pps: 1 series has samples from 2001-09-09T01:47:00.000Z on only; "
                                        "this needs them from 2001-09-09T01:46:10.000Z on"));
}

TEST(Eval, SaysThatNothingIsKnownOfATimeBeforeTheFirstTick) {
    Scenario scenario({flood, "[[signal]]\nname = 'mean'\nexpr = 'avg_over_time(pps[1h])'\n"});
    scenario.play({{eth0, "0+1x3"}});
    EXPECT_THAT(must_ask(scenario, {.kind = Kind::eval, .text = "pps", .at = Moment{10s}}).notes,
                ElementsAre("nothing is known of 2001-09-09T01:46:33.000Z: the oldest sample is of "
                            "2001-09-09T01:46:40.000Z"));
    EXPECT_THAT(must_ask(scenario, {.kind = Kind::eval, .text = "1 + 1", .at = Moment{10s}}).notes,
                IsEmpty());
}

TEST(Eval, IsBounded) {
    Scenario scenario({flood});
    scenario.play({{eth0, "10"}, {"pps{iface='eth1'}", "1"}, {"pps{iface='eth2'}", "1"}});
    const auto refused = ask(scenario.state, {.kind = Kind::eval, .text = "sum(pps)"}, {.samples_max = 2});
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().what, HasSubstr("samples"));
    const Answer cut = must_ask(scenario, {.kind = Kind::eval, .text = "pps"}, {.rows_max = 2});
    EXPECT_EQ(cut.left_out, 1U);
    EXPECT_EQ(std::get<promql::Vector>(std::get<Evaluation>(cut.what).value).size(), 2U);
}

// ---- rows

TEST(Rows, OfSymptomsAndSignalsTellEveryName) {
    const std::string twice = "[[signal]]\nname = 'twice'\nexpr = 'pps * 2'\n";
    Scenario scenario({flood, twice, "[[symptom]]\nname = 'calm'\nraise = 'pps < 0'\n"});
    scenario.play({{eth0, "10 200"}});
    const auto rows = std::get<std::vector<SymptomRow>>(must_ask(scenario, {.kind = Kind::symptoms}).what);
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0].name, "calm");
    EXPECT_EQ(rows[0].since, std::nullopt);
    EXPECT_EQ(rows[1].state, SymptomState::raised);
    EXPECT_EQ(rows[1].value, 200);
    const auto signals = std::get<std::vector<SignalRow>>(
        must_ask(scenario, {.kind = Kind::signals, .text = "twice{iface='eth0'}"}).what);
    ASSERT_EQ(signals.size(), 1U);
    EXPECT_EQ(signals[0].point->value, 400);
    EXPECT_EQ(refusal(scenario, {.kind = Kind::signals, .text = "twize"}),
              "there is no signal 'twize'; did you mean 'twice'?");
}

TEST(Rows, OfDecisionsAreTheNewestOfTheirKindAndName) {
    Scenario scenario({flood, guard()});
    scenario.play({{eth0, "10 200 10 200"}});
    const auto ask_for = [&](const Question& question) {
        return std::get<std::vector<Decided>>(must_ask(scenario, question).what);
    };
    const auto receipts = ask_for({.kind = Kind::decisions, .only = "receipt"});
    ASSERT_EQ(receipts.size(), 3U);
    EXPECT_EQ(std::get<Receipt>(receipts[2].what).action, Receipt::Action::apply);
    EXPECT_EQ(ask_for({.kind = Kind::decisions, .newest = 1}).at(0), scenario.state.history.decided().back());
    EXPECT_EQ(ask_for({.kind = Kind::decisions, .text = "flood"}).size(), 3U);
    EXPECT_EQ(ask_for({.kind = Kind::decisions, .text = "flood", .since = Moment{0s}}).size(), 1U);
    EXPECT_EQ(refusal(scenario, {.kind = Kind::decisions, .only = "reciept"}),
              "there is no kind of decisions 'reciept'; did you mean 'receipt'?");
}

// ---- history

TEST(History, ForgetsTheOldestAtItsLimitAndSaysSoOnceAndCounts) {
    Scenario scenario({flood, guard()}, {.config_changes = {"[limits]", "decisions_kept_max = 4"},
                                         .failing_transactions = {},
                                         .backwards = false});
    const auto lines = scenario.play({{eth0, "10 200 10 200 10 200"}});
    EXPECT_THAT(lines,
                Contains("1s message: the history holds 4 decisions, its limit: the oldest are forgotten"));
    EXPECT_EQ(std::ranges::count_if(
                  lines, [](const std::string& line) { return line.find("forgotten") != std::string::npos; }),
              1);
    EXPECT_EQ(scenario.state.history.decided().size(), 4U);
    const std::uint64_t forgotten = scenario.state.history.forgotten();
    scenario.tick(6s, {{eth0, 200}});
    EXPECT_EQ(scenario.value("homeostat_limit_hits_total{limit='decisions_kept_max'}"),
              static_cast<double>(forgotten));
    EXPECT_EQ(refusal(scenario, {.kind = Kind::whynot, .text = "guard", .at = Moment{5s}}),
              "nothing is known of 2001-09-09T01:46:41.000Z: the history begins at 2001-09-09T01:46:45.001Z");
}

TEST(History, BeginsWithTheFirstTick) {
    const EngineState state(generation_of({flood}));
    const auto answer = ask(state, {.kind = Kind::symptoms});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().what, "the controller has not made its first tick yet; ask again");
}

} // namespace
} // namespace homeostat::test
