#include "policies/promql/evaluate.hpp"
#include "policies/promql/introspect.hpp"
#include "policies/promql/parser.hpp"

#include <gtest/gtest.h>

namespace homeostat::promql {
namespace {

std::string presence_of(std::string_view text) { return to_text(presence(*parse(text))); }

TEST(Presence, FilteringComparisonsReturnBool) {
    EXPECT_EQ(presence_of("a > 5"), "a > bool 5");
    EXPECT_EQ(presence_of("(a > 5 and b < c) or d == bool 1"), "a > bool 5 and b < bool c or d == bool 1");
    EXPECT_EQ(presence_of("a > on (x) group_left (y) b"), "a > bool on (x) group_left (y) b");
    EXPECT_EQ(presence_of("-(a > 5)"), "-(a > bool 5)");
    EXPECT_EQ(presence_of("abs(a > 5) + sum by (x) (b < 1)"), "abs(a > bool 5) + sum by (x) (b < bool 1)");
    EXPECT_EQ(presence_of("max_over_time((a > 5)[1m:1s])"), "max_over_time((a > bool 5)[1m:1s])");
}

TEST(Presence, UnlessBecomesItsLeftSide) { EXPECT_EQ(presence_of("a > 1 unless b"), "a > bool 1"); }

TEST(Presence, TopkAndBottomkBecomeTheirOperand) {
    EXPECT_EQ(presence_of("topk(3, a) > 5"), "a > bool 5");
    EXPECT_EQ(presence_of("bottomk by (x) (1, a > 1)"), "a > bool 1");
}

TEST(Presence, AbsentAlwaysYieldsItsSample) {
    SeriesStore store;
    store.append(*store.define(Labels{{"__name__", "up"}, {"job", "x"}}), at_ms(1000), 1);
    for (const char* text : {"absent(up{job=\"x\"})", "absent_over_time(up{job=\"x\"}[5m])"}) {
        const Expr expr = *parse(text);
        EXPECT_EQ(std::get<Vector>(*evaluate(expr, store, at_ms(1000))), Vector{});
        EXPECT_EQ(std::get<Vector>(*evaluate(presence(expr), store, at_ms(1000))),
                  (Vector{{Labels{{"job", "x"}}, 1}}));
    }
}

TEST(Presence, WhatDoesNotChangeIsShared) {
    const Expr expr = *parse("rate(a[5m])");
    EXPECT_EQ(presence_of("rate(a[5m])"), "rate(a[5m])");
    EXPECT_EQ(presence(expr).at, expr.at);
}

std::vector<Duration> histories(std::string_view text) {
    std::vector<Duration> made;
    for (const SelectorNeed& need : selectors(*parse(text))) made.push_back(need.history);
    return made;
}

TEST(Selectors, NeedTheirRangeAndOffset) {
    using std::chrono::minutes;
    EXPECT_EQ(histories("a + b offset 5m + rate(c[10m] offset 1m)"),
              (std::vector<Duration>{minutes(0), minutes(5), minutes(11)}));
}

TEST(Selectors, NeedTheSubqueriesAroundThem) {
    using std::chrono::minutes;
    EXPECT_EQ(histories("max_over_time(rate(a[5m])[30m:1m] offset 2m) > a"),
              (std::vector<Duration>{minutes(37), minutes(0)}));
}

TEST(Selectors, SayWhenNoHistoryIsEnoughOrTheFutureIsRead) {
    const auto needs = selectors(*parse("a @ 5 + b offset -5m + rate(c[1m:1s] @ 9) + d @ end()"));
    ASSERT_EQ(needs.size(), 4U);
    EXPECT_TRUE(needs[0].fixed_time);
    EXPECT_TRUE(needs[1].looks_ahead);
    EXPECT_EQ(needs[1].history, Duration(0));
    EXPECT_TRUE(needs[2].fixed_time);
    EXPECT_FALSE(needs[3].fixed_time || needs[3].looks_ahead);
}

TEST(Selectors, HistoryIsTheLongestThatMatchesTheLabels) {
    const auto needs =
        selectors(*parse("rate(a[1m]) + rate(a{x=\"1\"}[5m]) + rate({__name__=~\"a|b\"}[3m])"));
    EXPECT_EQ(history_for(needs, Labels{{"__name__", "a"}}), std::chrono::minutes(3));
    EXPECT_EQ(history_for(needs, Labels{{"__name__", "a"}, {"x", "1"}}), std::chrono::minutes(5));
    EXPECT_EQ(history_for(needs, Labels{{"__name__", "b"}}), std::chrono::minutes(3));
    EXPECT_EQ(history_for(needs, Labels{{"__name__", "c"}}), Duration(0));
    EXPECT_EQ(longest_window(*parse("rate(a[1m]) + b offset 3m")), std::chrono::minutes(3));
}

TEST(MetricNames, AreToldWithTheirPlaces) {
    EXPECT_EQ(metric_names(*parse("a + rate(b{x=\"1\"}[5m]) + {y=\"1\"} + a")),
              (std::vector<MetricName>{{"a", {0, 1}}, {"b", {9, 12}}, {"a", {35, 1}}}));
}

} // namespace
} // namespace homeostat::promql
