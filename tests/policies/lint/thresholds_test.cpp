#include "policies/lint/thresholds.hpp"

#include "policies/promql/parser.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace homeostat {
namespace {

using testing::ElementsAre;

// "x > 5, y < 3" for each conjunction; "…" where there is more.
std::vector<std::string> read(std::string_view text, Terms terms = Terms::equal) {
    std::vector<std::string> lines;
    for (const Conjunction& conjunction : conjunctions_of(promql::parse(text).value(), terms)) {
        std::string line;
        for (const auto& [term, threshold] : conjunction.thresholds)
            line += (line.empty() ? "" : ", ") + term + " " + to_text(threshold.interval);
        lines.push_back(line + (conjunction.is_all ? "" : "…"));
    }
    return lines;
}

TEST(Thresholds, AreReadOffComparisonsWithNumbers) {
    EXPECT_THAT(read("x > 5"), ElementsAre("x > 5"));
    EXPECT_THAT(read("5 > x"), ElementsAre("x < 5"));
    EXPECT_THAT(read("x <= -2 * 3"), ElementsAre("x <= -6"));
    EXPECT_THAT(read("x * 8 >= 1k"), ElementsAre("x * 8 >= 1000"));
    EXPECT_THAT(read("x == 1"), ElementsAre("x == 1"));
    EXPECT_THAT(read("x > 5 < 9"), ElementsAre("x > 5 and < 9"));
}

TEST(Thresholds, JoinAsTheOperatorsDo) {
    EXPECT_THAT(read("x > 5 and y < 3"), ElementsAre("x > 5, y < 3"));
    EXPECT_THAT(read("x > 5 and x > 7"), ElementsAre("x > 7"));
    EXPECT_THAT(read("x > 5 or y < 3"), ElementsAre("x > 5", "y < 3"));
    EXPECT_THAT(read("(x > 5 or y < 3) and z > 1"), ElementsAre("x > 5, z > 1", "y < 3, z > 1"));
}

TEST(Thresholds, KnowWhereThereIsMoreThanTheyCanRead) {
    EXPECT_THAT(read("x > 5 unless y"), ElementsAre("x > 5…"));
    EXPECT_THAT(read("x > y"), ElementsAre("…"));
    EXPECT_THAT(read("x > bool 5"), ElementsAre("…"));
    EXPECT_THAT(read("x > 5 and on (a) x < 3"), ElementsAre("x > 5…"))
        << "the other side is of other samples";
}

TEST(Thresholds, AreTheSameForAllWindowsWhileValuesRest) {
    EXPECT_THAT(read("max_over_time(x[10s]) < 5", Terms::steady), ElementsAre("x < 5"));
    EXPECT_THAT(read("avg_over_time(rate(x[5s])[1m:1s]) < 5", Terms::steady), ElementsAre("rate(x[1s]) < 5"));
    EXPECT_THAT(read("sum(irate(x[10s])) < 5", Terms::steady), ElementsAre("sum(rate(x[1s])) < 5"));
    EXPECT_THAT(read("increase(x[10s]) < 5", Terms::steady), ElementsAre("increase(x[10s]) < 5"));
}

TEST(Intervals, MeetWhereBothHold) {
    const Interval above{.low = 50, .low_open = true};
    const Interval below{.high = 80, .high_open = true};
    EXPECT_EQ(to_text(intersection(above, below)), "> 50 and < 80");
    EXPECT_EQ(value_in(intersection(above, below)), 65);
    EXPECT_TRUE(intersection(above, {.high = 50}).is_empty());
    EXPECT_FALSE(intersection({.low = 50}, {.high = 50}).is_empty());
    EXPECT_EQ(value_in(intersection({.low = 50}, {.high = 50})), 50);
    EXPECT_EQ(value_in({.low = 0, .high = 1, .low_open = true, .high_open = true}), 0.5);
    EXPECT_EQ(value_in(above), 51);
    EXPECT_EQ(value_in(below), 79);
    EXPECT_EQ(value_in({}), 0);
}

TEST(Intervals, ContainAnother) {
    EXPECT_TRUE((Interval{.low = 0}.contains({.low = 0, .high = 1})));
    EXPECT_FALSE((Interval{.low = 0, .low_open = true}.contains({.low = 0, .high = 1})));
    EXPECT_FALSE((Interval{.low = 0, .high = 1}.contains({.low = 0})));
}

} // namespace
} // namespace homeostat
