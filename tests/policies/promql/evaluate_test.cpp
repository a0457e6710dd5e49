#include "policies/promql/evaluate.hpp"
#include "policies/promql/parser.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace homeostat::promql {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// Samples of `labels` every second from second 1 on.
void fill(SeriesStore& store, const Labels& labels, const std::vector<double>& values) {
    const SeriesId id = *store.define(labels);
    for (std::size_t i = 0; i < values.size(); ++i)
        store.append(id, at_ms(static_cast<std::int64_t>(i + 1) * 1000), values[i]);
}

SeriesStore keeping_all() {
    SeriesStore store;
    store.set_retention([](const Labels&) { return Duration(std::chrono::hours(24)); });
    return store;
}

Labels named(const std::string& name, const std::string& x) { return Labels{{"__name__", name}, {"x", x}}; }

Result<Value> run(const SeriesStore& store, std::string_view text, std::int64_t ms,
                  const EvalOptions& options = {}) {
    const auto expr = parse(text);
    if (!expr) return failure("parse: " + expr.error()[0].what);
    return evaluate(*expr, store, at_ms(ms), options);
}

Vector vector_of(const SeriesStore& store, std::string_view text, std::int64_t ms) {
    const auto value = run(store, text, ms);
    if (value && std::holds_alternative<Vector>(*value)) return std::get<Vector>(*value);
    ADD_FAILURE() << text << ": " << (value ? "no vector" : value.error().what);
    return {};
}

double scalar_of(const SeriesStore& store, std::string_view text, std::int64_t ms) {
    const auto value = run(store, text, ms);
    if (value && std::holds_alternative<double>(*value)) return std::get<double>(*value);
    ADD_FAILURE() << text << ": " << (value ? "no scalar" : value.error().what);
    return 0;
}

TEST(Evaluate, WindowsAreOpenOnTheLeftAndClosedOnTheRight) {
    auto store = keeping_all();
    fill(store, named("a", "1"), {1, 2, 3, 4});
    EXPECT_EQ(vector_of(store, "count_over_time(a[2s])", 4000)[0].value, 2);
    EXPECT_EQ(vector_of(store, "sum_over_time(a[2s] offset 1s)", 4000)[0].value, 5);
    EXPECT_EQ(vector_of(store, "count_over_time(a[2001ms])", 4000)[0].value, 3);
}

TEST(Evaluate, TheLookbackIsOpenOnTheLeft) {
    auto store = keeping_all();
    fill(store, named("a", "1"), {7});
    EXPECT_EQ(vector_of(store, "a", 300'999).size(), 1U);
    EXPECT_EQ(vector_of(store, "a", 301'000).size(), 0U);
    const auto value = run(store, "a", 3000, {.lookback = Duration(2000)});
    EXPECT_EQ(std::get<Vector>(*value).size(), 0U);
}

TEST(Evaluate, StaleMarkersEndASeriesAndDoNotCountInAWindow) {
    auto store = keeping_all();
    fill(store, named("a", "1"), {1, 2, stale_marker, 4, stale_marker});
    EXPECT_TRUE(vector_of(store, "a", 5000).empty());
    EXPECT_EQ(vector_of(store, "a", 4000)[0].value, 4);
    EXPECT_EQ(vector_of(store, "count_over_time(a[1m])", 5000)[0].value, 3);
    EXPECT_EQ(vector_of(store, "last_over_time(a[1m])", 5000)[0].value, 4);
    EXPECT_TRUE(vector_of(store, "count_over_time(a[1s])", 5000).empty());
}

TEST(Evaluate, AnOrdinaryNanIsAValue) {
    auto store = keeping_all();
    fill(store, named("a", "1"), {1, nan});
    EXPECT_TRUE(std::isnan(vector_of(store, "a", 2000)[0].value));
    EXPECT_EQ(vector_of(store, "count_over_time(a[1m])", 2000)[0].value, 2);
}

TEST(Evaluate, RateExtrapolatesToTheEdgesOfItsWindow) {
    auto store = keeping_all();
    fill(store, named("a", "1"), {10, 20, 30, 40, 50});
    EXPECT_DOUBLE_EQ(vector_of(store, "rate(a[4s])", 5000)[0].value, 10);
    EXPECT_DOUBLE_EQ(vector_of(store, "increase(a[4s])", 5000)[0].value, 40);
    EXPECT_TRUE(vector_of(store, "rate(a[1s])", 5000).empty());
}

TEST(Evaluate, ResultsAreInCanonicalOrderWhateverTheOrderOfTheirMaking) {
    auto store = keeping_all();
    for (const char* x : {"b", "a", "c"}) fill(store, Labels{{"__name__", "m"}, {"A", x}}, {1});
    fill(store, Labels{{"__name__", "m"}}, {1});
    fill(store, Labels{{"__name__", "m"}, {"z", "1"}}, {1});
    for (const char* text : {"m", "abs(m)", "last_over_time(m[1m])", "rate(m[1m:1s]) or m", "m * 2", "-m",
                             "m + on (A, z) m", "count by (A) (m)"}) {
        const Vector samples = vector_of(store, text, 1000);
        EXPECT_FALSE(samples.empty()) << text;
        EXPECT_TRUE(std::ranges::is_sorted(samples, {}, &Sample::labels)) << text;
    }
}

TEST(Evaluate, SortAndTopkKeepTheirOwnOrder) {
    auto store = keeping_all();
    fill(store, named("a", "1"), {3});
    fill(store, named("a", "2"), {nan});
    fill(store, named("a", "3"), {5});
    fill(store, named("a", "4"), {4});
    const auto order = [&](std::string_view text) {
        std::string made;
        for (const Sample& sample : vector_of(store, text, 1000)) made += sample.labels.get("x");
        return made;
    };
    EXPECT_EQ(order("sort(a)"), "1432");
    EXPECT_EQ(order("sort_desc(a)"), "3412");
    EXPECT_EQ(order("topk(3, a)"), "341");
    EXPECT_EQ(order("bottomk(2, a)"), "14");
    EXPECT_EQ(order("topk(9, a)"), "3412");
    EXPECT_EQ(order("topk(0, a)"), "");
    EXPECT_EQ(order("topk(-1, a)"), "");
    EXPECT_EQ(order("topk(3, a) + 1"), "134");
}

TEST(Evaluate, TheMetricNameGoesWhereTheValueIsAnotherOne) {
    auto store = keeping_all();
    fill(store, named("a", "1"), {3});
    const Labels kept = named("a", "1");
    const Labels dropped{{"x", "1"}};
    for (const char* text :
         {"a", "a > 1", "5 > a", "last_over_time(a[1m])", "topk(1, a)", "sort(a)", "a and a", "a unless b",
          "a or b", "a == a", "+a", "label_replace(a, \"y\", \"\", \"x\", \"1\")"})
        EXPECT_EQ(vector_of(store, text, 1000)[0].labels, kept) << text;
    for (const char* text :
         {"a + 1", "-a", "a > bool 1", "abs(a)", "max_over_time(a[1m])", "a + a", "timestamp(a)",
          "sum by (x) (a)", "sum without () (a)", "clamp_min(a, 1)", "a == bool a", "round(a)"})
        EXPECT_EQ(vector_of(store, text, 1000)[0].labels, dropped) << text;
}

TEST(Evaluate, DuplicateLabelSetsAreAnError) {
    auto store = keeping_all();
    fill(store, named("a", "1"), {3});
    fill(store, named("b", "1"), {3});
    for (const char* text :
         {"{x=\"1\"} + 1", "abs({x=\"1\"})", "-{x=\"1\"}", "rate({x=\"1\"}[1m:1s])",
          "max_over_time({x=\"1\"}[1m])", "(a or on () b) and {x=\"1\"} * 2", "timestamp({x=\"1\"})"}) {
        const auto value = run(store, text, 1000);
        if (std::string_view(text).starts_with("rate")) {
            EXPECT_TRUE(value); // one sample each: no rate, so nothing is doubled
            continue;
        }
        ASSERT_FALSE(value) << text;
        EXPECT_NE(value.error().what.find("vector cannot contain metrics with the same labelset"),
                  std::string::npos);
    }
    EXPECT_TRUE(run(store, "last_over_time({x=\"1\"}[1m])", 1000));
}

TEST(Evaluate, ManyToManyMatchesAreAnError) {
    auto store = keeping_all();
    fill(store, named("a", "1"), {3});
    fill(store, named("a", "2"), {4});
    fill(store, named("b", "1"), {3});
    fill(store, named("b", "2"), {4});
    EXPECT_FALSE(run(store, "a + on () b", 1000));
    EXPECT_FALSE(run(store, "a + on () group_left b", 1000));
    EXPECT_FALSE(run(store, "a + on () sum(b)", 1000)); // many to one must be said
    EXPECT_EQ(vector_of(store, "a + on () group_left sum(b)", 1000).size(), 2U);
    EXPECT_FALSE(run(store, "a + ignoring (x) group_left (y) sum by (y) (b) * on () group_left a", 1000));
}

TEST(Evaluate, FiltersOverAGroupOnTheRightKeepTheLeftValue) {
    auto store = keeping_all();
    fill(store, Labels{{"__name__", "one"}}, {10});
    fill(store, named("many", "1"), {3});
    fill(store, named("many", "2"), {30});
    const Vector samples = vector_of(store, "one > on () group_right many", 1000);
    ASSERT_EQ(samples.size(), 1U);
    EXPECT_EQ(samples[0], (Sample{named("many", "1"), 10}));
}

TEST(Evaluate, CompensatedSummationKeepsSmallTerms) {
    auto store = keeping_all();
    fill(store, named("a", "1"), {1});
    fill(store, named("a", "2"), {1e100});
    fill(store, named("a", "3"), {1});
    fill(store, named("a", "4"), {-1e100});
    EXPECT_EQ(vector_of(store, "sum(a)", 1000)[0].value, 2);
    EXPECT_EQ(vector_of(store, "avg(a)", 1000)[0].value, 0.5);
}

TEST(Evaluate, AggregationsOfNothingYieldNothing) {
    auto store = keeping_all();
    for (const char* text :
         {"sum(a)", "count(a)", "avg by (x) (a)", "topk(1, a)", "quantile(0.5, a)", "count_values(\"v\", a)"})
        EXPECT_TRUE(vector_of(store, text, 1000).empty()) << text;
    EXPECT_TRUE(std::isnan(scalar_of(store, "scalar(a)", 1000)));
}

TEST(Evaluate, ScalarsAreComputed) {
    auto store = keeping_all();
    EXPECT_EQ(scalar_of(store, "time()", 1500), 1.5);
    EXPECT_EQ(scalar_of(store, "1 + 2 * 3 ^ 2 % 5", 0), 4);
    EXPECT_EQ(scalar_of(store, "-(5 - 3)", 0), -2);
    EXPECT_EQ(scalar_of(store, "2 > bool 1", 0), 1);
    EXPECT_EQ(scalar_of(store, "-5 % 3", 0), -2);
    EXPECT_EQ(std::get<std::string>(*run(store, "'x'", 0)), "x");
}

TEST(Evaluate, ARangeVectorIsNoResult) {
    const auto value = run(keeping_all(), "a[5m]", 0);
    ASSERT_FALSE(value);
    EXPECT_NE(value.error().what.find("range vector"), std::string::npos);
}

TEST(Evaluate, SubqueriesStepOnMultiplesOfTheirStep) {
    auto store = keeping_all();
    fill(store, named("a", "1"), {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
    EXPECT_EQ(vector_of(store, "sum_over_time(a[4s:2s])", 9000)[0].value, 6 + 8);
    EXPECT_EQ(vector_of(store, "sum_over_time(a[4s:2s])", 10'000)[0].value, 8 + 10);
    EXPECT_EQ(vector_of(store, "sum_over_time(a[4s:2s] offset 2s)", 10'000)[0].value, 6 + 8);
    EXPECT_EQ(vector_of(store, "max_over_time(rate(a[2s])[4s:1s])", 10'000)[0].value, 1);
    EXPECT_EQ(vector_of(store, "count_over_time(a[1m:])", 10'000).size(),
              0U); // the last minute began before a
}

TEST(Evaluate, AtFixesTheTime) {
    auto store = keeping_all();
    fill(store, named("a", "1"), {1, 2, 3, 4});
    EXPECT_EQ(vector_of(store, "a @ 2", 4000)[0].value, 2);
    EXPECT_EQ(vector_of(store, "a @ 3 offset 1s", 4000)[0].value, 2);
    EXPECT_EQ(vector_of(store, "a @ end()", 4000)[0].value, 4);
    EXPECT_EQ(vector_of(store, "sum_over_time(a[2s:1s] @ 3)", 4000)[0].value, 5);
}

TEST(Evaluate, NegativeOffsetsLookAhead) {
    auto store = keeping_all();
    fill(store, named("a", "1"), {1, 2, 3, 4});
    EXPECT_EQ(vector_of(store, "a offset -2s", 2000)[0].value, 4);
}

TEST(Evaluate, ClampDropsEverythingWhereItsBoundsCross) {
    auto store = keeping_all();
    fill(store, named("a", "1"), {5});
    EXPECT_EQ(vector_of(store, "clamp(a, 0, 3)", 1000)[0].value, 3);
    EXPECT_TRUE(vector_of(store, "clamp(a, 3, 0)", 1000).empty());
    EXPECT_TRUE(std::isnan(vector_of(store, "clamp_max(a, NaN)", 1000)[0].value));
}

TEST(Evaluate, RegexMatchersAreAnchored) {
    auto store = keeping_all();
    fill(store, named("a", "eth0"), {1});
    fill(store, named("a", "veth0"), {1});
    EXPECT_EQ(vector_of(store, "a{x=~\"eth.*\"}", 1000).size(), 1U);
    EXPECT_EQ(vector_of(store, "a{x!~\"eth.*\"}", 1000).size(), 1U);
    EXPECT_EQ(vector_of(store, "a{y=\"\"}", 1000).size(), 2U);
    EXPECT_EQ(vector_of(store, "{__name__=~\"a|b\",x=\"eth0\"}", 1000).size(), 1U);
}

std::string error_of(const SeriesStore& store, std::string_view text, const EvalOptions& options) {
    const auto value = run(store, text, 3000, options);
    return value ? "" : value.error().what;
}

TEST(Limits, EachHasItsOwnError) {
    auto store = keeping_all();
    for (const char* x : {"1", "2", "3"}) fill(store, named("a", x), {1, 2, 3});
    EXPECT_NE(error_of(store, "sum_over_time(a[1m])", {.samples_max = 8}).find("reads more samples than 8"),
              std::string::npos);
    EXPECT_EQ(error_of(store, "sum_over_time(a[1m])", {.samples_max = 9}), "");
    EXPECT_NE(error_of(store, "sum(a)", {.series_max = 2}).find("looks at more series than 2"),
              std::string::npos);
    EXPECT_NE(error_of(store, "sum(a)", {.result_max = 2}).find("yields more samples than 2"),
              std::string::npos);
    EXPECT_NE(error_of(store, "absent_over_time(none[100y:1ms])", {.samples_max = 1000}).find("samples"),
              std::string::npos);
}

std::string nested(const std::string& before, const std::string& inner, const std::string& after, int times) {
    std::string made = inner;
    for (int i = 0; i < times; ++i) made = before + made + after;
    return made;
}

TEST(Limits, WorkIsCountedWhereverItIsDone) {
    auto store = keeping_all();
    for (int i = 0; i < 100; ++i) fill(store, named("a", std::to_string(i)), {1, 2, 3});
    const EvalOptions options{.work_max = 1'000};
    const auto is_too_much = [&](std::string_view text) {
        return error_of(store, text, options).find("takes more work than 1000 units") != std::string::npos;
    };
    EXPECT_EQ(error_of(store, "sum(a) + sum(a)", options), "");
    EXPECT_TRUE(is_too_much("max_over_time(vector(1)[1h:1ms])")) << "steps of a subquery";
    EXPECT_TRUE(is_too_much(R"(max_over_time(rate(a{x="none"}[1s])[1m:1s]))")) << "series that are looked at";
    EXPECT_TRUE(is_too_much(nested("abs(", "a", ")", 20))) << "operations";
    EXPECT_TRUE(is_too_much("sum by (b, c, d, e, f, g, h, i, j, k) (a)")) << "labels";
    EXPECT_TRUE(is_too_much(R"(label_replace(vector(1), "x", "y", "z", "((q{30}){30})?((q{30}){30})?"))"))
        << "regular expressions";
}

TEST(Limits, LabelValuesCannotGrowWithoutEnd) {
    auto store = keeping_all();
    fill(store, named("a", "0123456789"), {1});
    EXPECT_EQ(error_of(store, nested("label_join(", "a", R"(, "x", "", "x", "x"))", 8), {}), "");
    EXPECT_EQ(error_of(store, nested("label_join(", "a", R"(, "x", "", "x", "x"))", 40), {}),
              "label_join() makes a label value longer than 4096 bytes");
    EXPECT_EQ(error_of(store, nested("label_replace(", "a", R"(, "x", "$0$0$0", "x", ".+"))", 40), {}),
              "label_replace() makes a label value longer than 4096 bytes");
}

TEST(Trace, ShowsEverySelectorAndEveryRangeFunction) {
    auto store = keeping_all();
    fill(store, named("a", "1"), {1, 2, 3});
    fill(store, named("b", "1"), {5, 5, 5});
    const Expr expr = *parse("rate( a[2s] ) + b > max_over_time(rate(a[2s])[2s:1s]) or absent(c)");
    Trace trace;
    ASSERT_TRUE(evaluate(expr, store, at_ms(3000), {}, &trace));
    std::vector<std::string> texts;
    for (const Traced& traced : trace.seen) texts.push_back(traced.text);
    EXPECT_EQ(texts,
              (std::vector<std::string>{"rate(a[2s])", "b", "max_over_time(rate(a[2s])[2s:1s])", "c"}));
    EXPECT_EQ(trace.seen[0].result, (Vector{{Labels{{"x", "1"}}, 1}}));
    EXPECT_EQ(trace.seen[0].at, (Span{0, 13}));
    EXPECT_TRUE(trace.seen[3].result.empty());
}

TEST(Trace, ShowsWhatTimestampAndAbsentOverTimeLookedAt) {
    auto store = keeping_all();
    fill(store, named("a", "1"), {1});
    Trace trace;
    ASSERT_TRUE(evaluate(*parse("timestamp(a) or absent_over_time(a[1m])"), store, at_ms(1000), {}, &trace));
    ASSERT_EQ(trace.seen.size(), 2U);
    EXPECT_EQ(trace.seen[0].text, "timestamp(a)");
    EXPECT_EQ(trace.seen[0].result, (Vector{{Labels{{"x", "1"}}, 1}}));
    EXPECT_EQ(trace.seen[1].text, "absent_over_time(a[1m])");
}

} // namespace
} // namespace homeostat::promql
