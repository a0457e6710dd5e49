#include "tests/policies/policy_run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace homeostat::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

TEST(Symptoms, HaveOneInstanceForEachLabelSet) {
    EXPECT_THAT(
        decisions_of("[[symptom]]\nname = 'flood'\nraise = 'pps > 100'\n",
                     {{"pps{iface='eth0'}", "50 150 150 50"}, {"pps{iface='eth1'}", "150 150 50 50"}}),
        ElementsAre(R"(0s flood{iface="eth1"}: inactive -> raised (150))",
                    R"(1s flood{iface="eth0"}: inactive -> raised (150))",
                    R"(2s flood{iface="eth1"}: raised -> inactive (150))",
                    R"(3s flood{iface="eth0"}: raised -> inactive (150))"));
}

TEST(Symptoms, AreRaisedByAnySampleAlsoByZero) {
    EXPECT_THAT(decisions_of("[[symptom]]\nname = 's'\nraise = 'pps == bool 1'\n", {{"pps{a='x'}", "0"}}),
                ElementsAre(R"(0s s{a="x"}: inactive -> raised (0))"));
}

// pps is false, missing where it has no sample, and false again.
constexpr std::string_view with_on_missing = R"(
[[symptom]]
name = "hold"
raise = "pps > 100"
on_missing = "hold"
[[symptom]]
name = "raise"
raise = "pps > 100"
on_missing = "raise"
[[symptom]]
name = "clear"
raise = "pps > 100"
on_missing = "clear"
)";

TEST(Symptoms, TellFalseFromMissing) {
    EXPECT_THAT(
        decisions_of(with_on_missing, {{"pps{a='x'}", "200 stale _ 50"}}),
        ElementsAre(
            R"(0s clear{a="x"}: inactive -> raised (200))", R"(0s hold{a="x"}: inactive -> raised (200))",
            R"(0s raise{a="x"}: inactive -> raised (200))", R"(1s clear{a="x"}: raised -> inactive (200))",
            R"(3s hold{a="x"}: raised -> inactive (200))", R"(3s raise{a="x"}: raised -> inactive (200))"));
}

TEST(Symptoms, MissingOneSideOfAConditionIsMissing) {
    EXPECT_THAT(
        decisions_of("[[symptom]]\nname = 's'\nraise = 'a / b > 2'\non_missing = 'hold'\n",
                     {{"a{x='1'}", "9x9"}, {"b{x='1'}", "1 stale _ 9"}}),
        ElementsAre(R"(0s s{x="1"}: inactive -> raised (9))", R"(3s s{x="1"}: raised -> inactive (9))"));
}

TEST(Symptoms, WithUnlessFallSilentAndAreFalseNotMissing) {
    EXPECT_THAT(
        decisions_of("[[symptom]]\nname = 's'\nraise = 'a > 1 unless b'\n",
                     {{"a{x='1'}", "9x4"}, {"b{x='1'}", "_ _ 1"}}),
        ElementsAre(R"(0s s{x="1"}: inactive -> raised (9))", R"(2s s{x="1"}: raised -> inactive (9))"));
}

TEST(Symptoms, OutsideTheTopAreFalseNotMissing) {
    EXPECT_THAT(decisions_of("[[symptom]]\nname = 's'\nraise = 'topk(1, a)'\n",
                             {{"a{x='1'}", "9 1"}, {"a{x='2'}", "5 5"}}),
                ElementsAre(R"(0s s{x="1"}: inactive -> raised (9))",
                            R"(1s s{x="1"}: raised -> inactive (9))",
                            R"(1s s{x="2"}: inactive -> raised (5))"));
}

TEST(Symptoms, OfAbsenceAreFalseWhereTheDataIsThere) {
    EXPECT_THAT(
        decisions_of("[[symptom]]\nname = 's'\nraise = 'absent(up{job=\"j\"})'\n", {{"up{job='j'}", "_ 1"}}),
        ElementsAre(R"(0s s{job="j"}: inactive -> raised (1))", R"(1s s{job="j"}: raised -> inactive (1))"));
}

TEST(Symptoms, WhoseOperandOfOrIsAbsentUseTheOther) {
    EXPECT_THAT(
        decisions_of("[[symptom]]\nname = 's'\nraise = 'a > 5 or b > 5'\n",
                     {{"a{x='1'}", "9 1"}, {"b{x='1'}", "_ 9 1"}}),
        ElementsAre(R"(0s s{x="1"}: inactive -> raised (9))", R"(2s s{x="1"}: raised -> inactive (9))"));
}

TEST(Symptoms, CountClearAsMissingUntilItsWindowIsCovered) {
    EXPECT_THAT(
        decisions_of("[[symptom]]\nname = 's'\nraise = 'a > 5'\nclear = 'max_over_time(a[3s]) < 5'\n",
                     {{"a{x='1'}", "9 1 1 1 1 1"}}),
        ElementsAre("0s s{x=\"1\"}: inactive -> raised (9)", "3s s{x=\"1\"}: raised -> inactive (9)"));
    // At 2s the window holds 1 only, but the process has not seen it whole.
    EXPECT_THAT(decisions_of("[[symptom]]\nname = 's'\nraise = 'a > 5'\nclear = 'avg_over_time(a[3s]) < 9'\n",
                             {{"a{x='1'}", "9 1 1 1"}}),
                Contains("3s s{x=\"1\"}: raised -> inactive (9)"));
}

TEST(Symptoms, ClearByTheSameKeyOnly) {
    EXPECT_THAT(decisions_of("[[symptom]]\nname = 's'\nraise = 'a > 5'\nclear = 'a < 3'\n",
                             {{"a{x='1'}", "9 4 2"}, {"a{x='2'}", "9 9 4"}}),
                ElementsAre(HasSubstr("0s s{x=\"1\"}"), HasSubstr("0s s{x=\"2\"}"),
                            "2s s{x=\"1\"}: raised -> inactive (9)"));
}

TEST(Symptoms, LiveThroughPendingRaisedAndClearing) {
    EXPECT_THAT(
        decisions_of("[[symptom]]\nname = 's'\nraise = 'a > 5'\nclear = 'a < 3'\nfor = '2s'\nkeep = '2s'\n",
                     {{"a{x='1'}", "1 9 9 9 4 2 2 2"}}),
        ElementsAre("1s s{x=\"1\"}: inactive -> pending (9)", "3s s{x=\"1\"}: pending -> raised (9)",
                    "5s s{x=\"1\"}: raised -> clearing (9)", "7s s{x=\"1\"}: clearing -> inactive (9)"));
}

TEST(Symptoms, AreForgottenWhereTheirDataStaysAway) {
    EXPECT_THAT(decisions_of("[[symptom]]\nname = 's'\nraise = 'a > 5'\nforget = '3s'\n",
                             {{"a{x='1'}", "9 stale _x5"}}),
                ElementsAre(HasSubstr("0s"), "4s s{x=\"1\"}: raised -> inactive (9)"));
}

TEST(Symptoms, TellWhatTheySaw) {
    PolicyRun run("[[symptom]]\nname = 's'\nraise = 'sum_over_time(a[5s]) > 5 and on(x) b == 1'\nseverity = "
                  "'critical'\n"
                  "summary = '{{x}} at {{value}} of {{nothing}}'\n");
    const Decisions decisions =
        run.tick(0s, {{"a{x='1'}", 9}, {"b{x='1'}", 1}, {"a{x='2'}", 1}, {"b{x='2'}", 1}});
    ASSERT_EQ(decisions.symptoms.size(), 1U);
    const SymptomChange& change = decisions.symptoms.front();
    EXPECT_EQ(change.severity, "critical");
    EXPECT_EQ(change.summary, "label 'nothing' is absent");
    EXPECT_EQ(change.evidence.seen, (std::vector<SeenValue>{{"sum_over_time(a[5s])", labels_of("{x='1'}"), 9},
                                                            {"b", labels_of("b{x='1'}"), 1}}));
}

TEST(Symptoms, FillTheirSummaryFromKeyAndValue) {
    PolicyRun run("[[symptom]]\nname = 's'\nraise = 'a > 5'\nsummary = 'flood on {{x}}: {{value}}'\n");
    EXPECT_EQ(run.tick(0s, {{"a{x='1'}", 9.5}}).symptoms.at(0).summary, "flood on 1: 9.5");
}

TEST(Symptoms, BeyondTheirLimitAreCountedAndToldOnce) {
    PolicyRun run("[[symptom]]\nname = 's'\nraise = 'a > 5'\n");
    run.analyze.instances_per_symptom_max = 2;
    const auto lines = run.play(
        {{"a{x='1'}", "9 9 1 9"}, {"a{x='2'}", "9x3"}, {"a{x='3'}", "9x3"}, {"a{x='4'}", "9 1 1 1"}});
    EXPECT_THAT(
        lines, ElementsAre("0s s{x=\"1\"}: inactive -> raised (9)", "0s s{x=\"2\"}: inactive -> raised (9)",
                           "0s message: symptom s has 2 instances, its limit: more are ignored",
                           "2s s{x=\"1\"}: raised -> inactive (9)", "3s s{x=\"1\"}: inactive -> raised (9)"));
    EXPECT_EQ(run.knowledge.symptoms.at("s").instances_refused, 5U);
}

TEST(Symptoms, ThatCannotBeEvaluatedAreMissingAndSaySoOnce) {
    PolicyRun run("[[symptom]]\nname = 's'\nraise = 'a > 5'\n[[symptom]]\nname = 't'\nraise = "
                  "'{__name__=~\"a|b\"} > 5'\n");
    EXPECT_THAT(run.play({{"a{x='1'}", "9 9 1 1"}, {"b{x='1'}", "_ 9 9 stale"}}),
                ElementsAre(HasSubstr("0s s"), HasSubstr("0s t"),
                            HasSubstr("1s message: symptom t: two series have the labels"), HasSubstr("2s s"),
                            HasSubstr("3s t{x=\"1\"}: raised -> inactive")));
}

TEST(Symptoms, WhoseClearCannotBeEvaluatedSaySoOnce) {
    PolicyRun run("[[symptom]]\nname = 't'\nraise = 'a > 5'\nclear = '{__name__=~\"a|b\"} < 5'\n");
    EXPECT_THAT(run.play({{"a{x='1'}", "9 1 1 1 1"}, {"b{x='1'}", "1 1 1 stale _"}}),
                ElementsAre(HasSubstr("0s t"), HasSubstr("1s message: symptom t: two series have the labels"),
                            "3s t{x=\"1\"}: raised -> inactive (9)"));
}

TEST(Signals, AreRecordedUnderTheirNameAndReadInTheSameTick) {
    EXPECT_THAT(
        decisions_of(
            "[[symptom]]\nname = 's'\nraise = 'double > 10'\n[[signal]]\nname = 'double'\nexpr = 'half * 4'\n"
            "[[signal]]\nname = 'half'\nexpr = 'a / 2'\n",
            {{"a{x='1'}", "4 6"}}),
        ElementsAre("1s s{x=\"1\"}: inactive -> raised (12)"));
}

TEST(Signals, EndASeriesWhoseLabelSetVanishes) {
    EXPECT_THAT(decisions_of("[[symptom]]\nname = 's'\nraise = 'sig > 0'\non_missing = 'clear'\n"
                             "[[signal]]\nname = 'sig'\nexpr = 'a > 5'\n",
                             {{"a{x='1'}", "9 1"}, {"a{x='2'}", "9 9"}}),
                ElementsAre(HasSubstr("0s s{x=\"1\"}"), HasSubstr("0s s{x=\"2\"}"),
                            "1s s{x=\"1\"}: raised -> inactive (9)"));
}

TEST(Signals, ThatCannotBeEvaluatedEndTheirSeriesAndTheOthersGoOn) {
    PolicyRun run(
        "[[signal]]\nname = 'bad'\nexpr = 'a + on(y) b'\n[[signal]]\nname = 'good'\nexpr = 'a + 1'\n"
        "[[symptom]]\nname = 's'\nraise = 'bad > 0'\non_missing = 'clear'\n"
        "[[symptom]]\nname = 't'\nraise = 'good > 0'\non_missing = 'clear'\n");
    EXPECT_THAT(
        run.play({{"a{x='1',y='1'}", "1x3"}, {"b{x='1',y='1'}", "1x3"}, {"b{x='2',y='1'}", "_ 1 1 stale"}}),
        ElementsAre(HasSubstr("0s s{y=\"1\"}: inactive -> raised"), HasSubstr("0s t"),
                    HasSubstr("1s s{y=\"1\"}: raised -> inactive"), HasSubstr("1s message: signal bad: "),
                    HasSubstr("3s s{y=\"1\"}: inactive -> raised")));
}

TEST(Signals, AtTheStoresLimitSaySoOnceAndRecordWhatFits) {
    PolicyRun run("[[signal]]\nname = 'sig'\nexpr = 'a'\n[[symptom]]\nname = 's'\nraise = 'sig > 0'\n");
    run.knowledge = Knowledge(StoreLimits{.series_max = 3, .samples_per_series_max = 100});
    EXPECT_THAT(run.play({{"a{x='1'}", "1x3"}, {"a{x='2'}", "1x3"}}),
                ElementsAre(HasSubstr("0s s{x=\"1\"}"),
                            HasSubstr("0s message: signal sig: the store holds 3 series")));
}

} // namespace
} // namespace homeostat::test
