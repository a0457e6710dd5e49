#include "tests/policies/lint/told.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace homeostat::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

std::vector<std::string> told(const std::string& raise, std::optional<Duration> period = Duration{100}) {
    return lint_told(used_symptom(raise, "keep = '5s'"), period);
}

const std::string allow_unused = "[check]\nallow = 'unused-signal'\n";

TEST(Windows, HoldTwoSamplesForRates) {
    EXPECT_THAT(
        told("rate(packets_total[100ms]) > 5"),
        ElementsAre(
            "4:10: warning: rate needs two samples, and a window of 100ms rarely holds them at a period "
            "of 100ms; expected at least 200ms [window-too-short]"));
    EXPECT_THAT(told("deriv(x[199ms]) > 5"), ElementsAre(HasSubstr("[window-too-short]")));
    EXPECT_THAT(told("rate(packets_total[200ms]) > 5"), IsEmpty());
    EXPECT_THAT(told("max_over_time(x[100ms]) > 5"), IsEmpty()) << "one sample is enough";
    EXPECT_THAT(told("rate(packets_total[100ms]) > 5", std::nullopt), IsEmpty()) << "the period is not known";
}

TEST(Rates, AreOfCounters) {
    EXPECT_THAT(told("rate(over_limit[1s]) > 5"),
                ElementsAre(HasSubstr("rate is of counters, and 'over_limit' is none")));
    EXPECT_THAT(told("increase(link_up[1m]) > 5"), ElementsAre(HasSubstr("[rate-of-gauge]")));
    EXPECT_THAT(told("rate(sum(packets_total)[1m:1s]) > 5"),
                ElementsAre(HasSubstr("'sum(packets_total)' is none")));
    EXPECT_THAT(told("rate(packets_total[1s]) > 5"), IsEmpty());
    EXPECT_THAT(told("rate(whatever[1s]) > 5"), IsEmpty());
    EXPECT_THAT(told("changes(link_up[1m]) > 5"), IsEmpty());
}

TEST(Rates, AreNotOfSignalsThatAreRates) {
    const auto of_signal = [](const std::string& expr) {
        return lint_told("[[signal]]\nname = 'pps'\nexpr = '" + expr + "'\n" +
                         used_symptom("rate(pps[1s]) > 5", "keep = '5s'"));
    };
    EXPECT_THAT(of_signal("rate(packets_total[1s])"), ElementsAre(HasSubstr("'pps' is none")));
    EXPECT_THAT(of_signal("packets_total{proto=\"udp\"}"), IsEmpty());
}

TEST(Deltas, AreNotOfCounters) {
    EXPECT_THAT(told("delta(packets_total[1m]) > 5"), ElementsAre(HasSubstr("[delta-of-counter]")));
    EXPECT_THAT(told("delta(over_limit[1m]) > 5"), IsEmpty());
}

TEST(Subqueries, NameAStepThatFits) {
    EXPECT_THAT(told("max_over_time((x + 1)[10s:]) > 5"),
                ElementsAre(HasSubstr(
                    "without a step it is evaluated each 1m, in a window of 10s; name a step, such as "
                    "[10s:1s] [subquery-step]")));
    EXPECT_THAT(told("max_over_time((x + 1)[10s:10ms]) > 5"),
                ElementsAre(HasSubstr("a step of 10ms asks more often than there are samples, each 100ms")));
    EXPECT_THAT(told("max_over_time((x + 1)[10s:100ms]) > 5"), IsEmpty());
    EXPECT_THAT(told("max_over_time((x + 1)[1h:]) > 5"), IsEmpty());
}

TEST(Counters, AreNotComparedThemselves) {
    EXPECT_THAT(told("packets_total > 5"),
                ElementsAre(StartsWith("4:10: warning: 'packets_total' is a counter: once")));
    EXPECT_THAT(told("5 < packets_total"), ElementsAre(HasSubstr("[counter-threshold]")));
    EXPECT_THAT(told("packets_total < 5"), IsEmpty()) << "until there was traffic";
    EXPECT_THAT(told("increase(packets_total[1m]) > 5"), IsEmpty());
    EXPECT_THAT(told("over_limit > 5"), IsEmpty());
}

TEST(Comparisons, AreNotOfMeasuredNumbersExactly) {
    EXPECT_THAT(told("rate(packets_total[1s]) == 5"),
                ElementsAre(HasSubstr("rate is hardly ever 5 exactly")));
    EXPECT_THAT(told("rate(packets_total[1s]) == 0"), IsEmpty());
    EXPECT_THAT(told("over_limit == 5"), IsEmpty());
}

TEST(Unused, AreSignalsThatNoExpressionReads) {
    const std::string signals =
        "[[signal]]\nname = 'used'\nexpr = 'x'\n[[signal]]\nname = 'unused'\nexpr = 'x'\n";
    const std::string symptom = used_symptom("used > 5", "keep = '1s'");
    EXPECT_THAT(
        lint_told(signals + symptom),
        ElementsAre(
            "6:9: warning: no expression reads the signal 'unused'; remove it, unless it is for a person "
            "to look at [unused-signal]"));
    EXPECT_THAT(lint_told(allow_unused + signals + symptom), IsEmpty());
    EXPECT_THAT(lint_told(signals + used_symptom("{a=\"b\"} > 5", "keep = '1s'")), IsEmpty())
        << "a selector without a name may read any";
}

TEST(Unused, AreSymptomsThatNobodyWaitsFor) {
    EXPECT_THAT(lint_told(symptom("x > 5", "keep = '1s'")),
                ElementsAre(StartsWith("3:9: warning: no adaptation waits for the symptom 's'")));
    EXPECT_THAT(lint_told(symptom("x > 5", "keep = '1s'") + "[[symptom]]\nname = 't'\nkeep = '1s'\nraise = "
                                                            "'symptom_raised{symptom=\"s\"} == 1'\n"),
                ElementsAre(HasSubstr("the symptom 't'")));
}

TEST(Allowing, MustNameAWarning) {
    EXPECT_THAT(lint_told("[check]\nallow = ['unused-sygnal']\n"),
                ElementsAre("3:11: no warning is named 'unused-sygnal'; did you mean 'unused-signal'?"));
}

} // namespace
} // namespace homeostat::test
