#include "tests/policies/lint/told.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace homeostat::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

std::vector<std::string> told(const std::string& raise, const std::string& more = "keep = '5s'") {
    return lint_told(used_symptom(raise, more));
}

TEST(RaiseAndClear, MayNotBothHold) {
    EXPECT_THAT(
        told("x > 50", "clear = 'x < 80'"),
        ElementsAre(
            "5:10: warning: at 65 both hold: raise is > 50, clear is < 80, and raise wins; let a gap be "
            "between them [overlapping-clear]"));
    EXPECT_THAT(told("x > 50", "clear = 'max_over_time(x[10s]) < 80'"),
                ElementsAre(HasSubstr("at 65 both hold")));
    EXPECT_THAT(told("rate(x[1s]) > 50", "clear = 'rate(x[10s]) < 80'"),
                ElementsAre(HasSubstr("at 65 both hold")));
    EXPECT_THAT(told("x >= 50", "clear = 'x <= 50'"),
                ElementsAre(HasSubstr("at 50 both hold"), HasSubstr("no-hyst")));
    EXPECT_THAT(told("x > 50 and y > 5", "clear = 'x < 80 and z < 2'"),
                ElementsAre(HasSubstr("at 65 both hold")));
    EXPECT_THAT(told("y == 1 or x > 50", "clear = 'x < 80'"), ElementsAre(HasSubstr("at 65 both hold")));
    EXPECT_THAT(told("x > 50", "clear = 'x > 80'"), ElementsAre(HasSubstr("at 81 both hold")));
}

TEST(RaiseAndClear, MayLieApart) {
    for (const std::string clear :
         {"x < 30", "max_over_time(x[10s]) < 50", "x < 80 and x < 20", "y < 80", "sum by (iface) (x) < 80"})
        EXPECT_THAT(told("x > 50", "clear = '" + clear + "'\nkeep = '1s'"), IsEmpty()) << clear;
    EXPECT_THAT(told("x > 50 and y > 5", "clear = 'x < 80 and y < 2'"), IsEmpty());
    EXPECT_THAT(told("x > 50 or z == 1", "clear = 'max_over_time(x[10s]) < 20'"), IsEmpty());
    EXPECT_THAT(told("rate(x[1s]) > 50", "clear = 'max_over_time(rate(x[1s])[10s:1s]) < 20'"), IsEmpty());
}

TEST(Hysteresis, IsMissedWhereRaiseAndClearMeet) {
    EXPECT_THAT(
        told("x > 50", ""),
        ElementsAre("4:10: warning: 's' raises and clears at 50: it follows each swing around it; give it a "
                    "'clear' that lies apart, or 'for' or 'keep' [no-hysteresis]"));
    EXPECT_THAT(told("x > 50", "clear = 'x <= 50'"),
                ElementsAre(StartsWith("5:10: warning: 's' raises and clears at 50")));
    EXPECT_THAT(told("x < 0.5", "clear = 'x > 0.5'"), ElementsAre(HasSubstr("raises and clears at 0.5")));
}

TEST(Hysteresis, IsATimeOrAGap) {
    for (const std::string more : {"for = '1s'", "keep = '1s'", "quorum = '3/5'", "clear = 'x < 40'",
                                   "clear = 'max_over_time(x[5s]) <= 50'"})
        EXPECT_THAT(told("x > 50", more), IsEmpty()) << more;
}

TEST(Hysteresis, IsNotMissedInStatesAndEvents) {
    for (const std::string raise : {"link_up == 0", "link_up < 1", "x > 0", "increase(x[10s]) > 0",
                                    "max_over_time(x[10s]) > 5", "x > 5 and y > 2", "absent(x)"})
        EXPECT_THAT(told(raise, ""), IsEmpty()) << raise;
}

TEST(Raise, MustBeAbleToBeTrue) {
    for (const std::string raise :
         {"link_up == 2", "link_up > 1", "rate(packets_total[1s]) < 0", "x > 50 and x < 40", "x > 50 < 40",
          "count(x) < 1", "abs(x) < 0", "vector(1) > 2", "(x > bool 5) > 1"})
        EXPECT_THAT(told(raise), ElementsAre(StartsWith("4:10: warning: 'raise' can never be true")))
            << raise;
    EXPECT_THAT(told("x > 50 or link_up == 2"),
                ElementsAre(HasSubstr("one side of an 'or' in 'raise' can never")));
    EXPECT_THAT(told("x > 50", "clear = 'link_up > 1'"), ElementsAre(HasSubstr("'clear' can never be true")));
}

TEST(Raise, MayNotBeTrueAlways) {
    for (const std::string raise : {"link_up >= 0", "rate(packets_total[1s]) >= 0", "count(x) > 0",
                                    "vector(1) > 0", "packets_total > -1"})
        EXPECT_THAT(told(raise), testing::Contains(HasSubstr("'raise' is true whenever there is data")))
            << raise;
}

TEST(Raise, MayBeTrueAndFalse) {
    for (const std::string raise :
         {"link_up == 0", "link_up > 0", "rate(packets_total[1s]) > 0", "x > 40 and x < 50", "count(x) > 1",
          "x >= 0", "x > 50 and on (proto) x < 40"})
        EXPECT_THAT(told(raise), IsEmpty()) << raise;
}

TEST(Raise, IsNotRaisedByJustAnySample) {
    for (const std::string raise :
         {"x > bool 5", "link_up", "rate(packets_total[1s])", "sum(packets_total)",
          "link_up == bool 0 or vector(0)", "vector(1)", "rate(packets_total[1s]) * 8"})
        EXPECT_THAT(told(raise), ElementsAre(HasSubstr("any sample raises, even 0"))) << raise;
}

TEST(Raise, MayBeWhatComesAndGoes) {
    for (const std::string raise :
         {"over_limit", "unknown", "sum by (iface) (link_up == 0)", "link_up unless packets_total",
          "absent(packets_total)", "topk(3, packets_total)", "rate(packets_total[1s]) and link_up == 1"})
        EXPECT_THAT(told(raise), IsEmpty()) << raise;
}

TEST(Raise, MayBeASignalThatComesAndGoes) {
    const auto of_signal = [](const std::string& expr) {
        return lint_told("[[signal]]\nname = 'busy'\nexpr = '" + expr + "'\n" +
                         used_symptom("busy", "keep = '1s'"));
    };
    EXPECT_THAT(of_signal("rate(packets_total[1s]) > 5"), IsEmpty());
    EXPECT_THAT(of_signal("rate(packets_total[1s])"), ElementsAre(HasSubstr("any sample raises, even 0")));
    EXPECT_THAT(of_signal("x > bool 5"), ElementsAre(HasSubstr("any sample raises, even 0")));
}

TEST(Timing, MakesIrateUselessWithFor) {
    EXPECT_THAT(told("irate(packets_total[1s]) > 5", "for = '1s'"),
                ElementsAre(HasSubstr("[irate-with-for]")));
    EXPECT_THAT(told("irate(packets_total[1s]) > 5", "keep = '1s'"), IsEmpty());
    EXPECT_THAT(told("rate(packets_total[1s]) > 5", "for = '1s'"), IsEmpty());
}

TEST(Timing, IsNotForgottenBeforeItHasPassed) {
    EXPECT_THAT(
        told("x > 5", "for = '1m'\nforget = '30s'"),
        ElementsAre(HasSubstr("'s' is forgotten after 30s without data, sooner than its 'for' of 1m")));
    EXPECT_THAT(told("x > 5", "keep = '1m'\nforget = '30s'"), ElementsAre(HasSubstr("its 'keep' of 1m")));
    EXPECT_THAT(told("x > 5", "for = '1m'\nkeep = '1m'\nforget = '1m'"), IsEmpty());
}

TEST(Timing, OfForIsLongerThanAQuorumLasts) {
    EXPECT_THAT(told("x > 5", "quorum = '3/10'\nfor = '700ms'"),
                ElementsAre(HasSubstr(
                    "a quorum of 3/10 holds for 700ms after its last tick: a 'for' of 700ms only")));
    EXPECT_THAT(told("x > 5", "quorum = '3/10'\nfor = '800ms'"), IsEmpty());
    EXPECT_THAT(lint_told(used_symptom("x > 5", "quorum = '3/10'\nfor = '700ms'"), std::nullopt), IsEmpty());
}

} // namespace
} // namespace homeostat::test
