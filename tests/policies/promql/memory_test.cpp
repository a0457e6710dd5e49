// What is remembered from evaluation to evaluation changes no result: windows that moved, selectors that
// searched before, and expressions that run in lanes, each against evaluation from scratch.
#include "policies/promql/introspect.hpp"
#include "policies/promql/lanes.hpp"
#include "policies/promql/parser.hpp"
#include "policies/promql/selection.hpp"
#include "tests/policies/promql/history.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <deque>
#include <map>
#include <set>
#include <stdexcept>

namespace homeostat::promql {
namespace {

struct Subject {
    std::string text;
    Expr expr;
    Expr present;
    Lanes* lanes = nullptr;
    std::size_t member = 0;
    std::size_t yes = 0; // lanes that were seen to stand so
    std::size_t no = 0;
};

Subject subject_of(std::string text) {
    auto expr = parse(text);
    if (!expr) throw std::invalid_argument(text + ": " + expr.error().front().what);
    Expr present = presence(*expr);
    return {.text = std::move(text), .expr = std::move(*expr), .present = std::move(present)};
}

EvalOptions options_with(SelectorCache* cache) {
    EvalOptions options;
    options.lookback = RandomHistory::lookback;
    options.subquery_step = Duration{1'000};
    options.selectors = cache;
    return options;
}

TEST(Memory, OfWindowsAndSelectorsChangesNoResult) {
    for (std::uint32_t seed = 0; seed < 12; ++seed) {
        std::mt19937 random(seed);
        RandomHistory history(seed);
        std::deque<Subject> subjects;
        for (int i = 0; i < 40; ++i) subjects.push_back(subject_of(any_expression(random, i % 3)));
        SelectorCache cache;
        std::size_t samples = 0;
        for (int tick = 0; tick < 150; ++tick) {
            history.tick();
            for (const Subject& subject : subjects) {
                if (random() % 5 == 0) continue; // a condition need not be asked at every tick
                for (const Expr* expr : {&subject.expr, &subject.present}) {
                    const auto remembered =
                        evaluate(*expr, history.store(), history.now(), options_with(&cache));
                    const auto anew = evaluate(*expr, history.store(), history.now(), options_with(nullptr));
                    ASSERT_TRUE(same_result(remembered, anew))
                        << to_text(*expr) << " at tick " << tick << " of seed " << seed << "\n"
                        << result_text(remembered) << "instead of\n"
                        << result_text(anew);
                    if (anew) samples += std::get<Vector>(*anew).size();
                }
            }
        }
        EXPECT_GT(samples, 10'000U) << "there is something to compare";
    }
}

const Sample* find(const Vector& samples, const Labels& key) {
    const auto found = std::ranges::find_if(
        samples, [&](const Sample& sample) { return sample.labels.without_metric_name() == key; });
    return found == samples.end() ? nullptr : &*found;
}

void expect_lanes_are_right(Subject& subject, const RandomHistory& history) {
    const auto in_e = evaluate(subject.expr, history.store(), history.now(), options_with(nullptr));
    const auto in_p = evaluate(subject.present, history.store(), history.now(), options_with(nullptr));
    ASSERT_TRUE(in_e && in_p) << subject.text;
    const auto& yes = std::get<Vector>(*in_e);
    const auto& present = std::get<Vector>(*in_p);
    const Lanes::View lanes = subject.lanes->of(subject.member);
    ASSERT_TRUE(lanes.judged) << subject.text;
    ASSERT_TRUE(std::ranges::is_sorted(lanes.keys));
    std::size_t yes_count = 0;
    std::size_t present_count = 0;
    for (std::size_t lane = 0; lane < lanes.keys.size(); ++lane) {
        const Sample* sample = find(yes, lanes.keys[lane]);
        const Standing right = sample != nullptr                            ? Standing::yes
                               : find(present, lanes.keys[lane]) != nullptr ? Standing::no
                                                                            : Standing::missing;
        ASSERT_EQ(lanes.standings[lane], right) << subject.text << to_text(lanes.keys[lane]);
        if (right == Standing::yes) {
            ASSERT_TRUE(same_bits(lanes.values[lane], sample->value)) << subject.text;
        }
        yes_count += right == Standing::yes ? 1 : 0;
        present_count += right != Standing::missing ? 1 : 0;
    }
    ASSERT_EQ(yes_count, yes.size()) << subject.text << ": every sample has a lane";
    ASSERT_EQ(present_count, present.size()) << subject.text;
    ASSERT_EQ(lanes.any_yes, !yes.empty());
    subject.yes += yes_count;
    subject.no += present_count - yes_count;
}

TEST(Lanes, StandAsEvaluationFromScratchSays) {
    std::size_t yes = 0;
    std::size_t no = 0;
    std::size_t joined = 0;
    for (std::uint32_t seed = 0; seed < 40; ++seed) {
        std::mt19937 random(seed);
        RandomHistory history(seed);
        std::deque<Subject> subjects;
        std::map<std::string, Lanes> by_shape;
        for (int i = 0; i < 60; ++i) {
            Subject& subject = subjects.emplace_back(subject_of(element_wise_expression(random, i % 4)));
            const auto program = LaneProgram::compile(subject.expr);
            ASSERT_TRUE(program) << subject.text;
            const auto [lanes, is_new] = by_shape.try_emplace(program->shape(), *program);
            subject.lanes = &lanes->second;
            subject.member = is_new ? 0 : subject.lanes->join(*program);
            joined += is_new ? 0 : 1;
        }
        SelectorCache cache;
        std::set<const Lanes*> asleep; // a condition need not be asked at every tick
        for (int tick = 0; tick < 60; ++tick) {
            history.tick();
            for (auto& [shape, lanes] : by_shape)
                if (random() % 5 != 0)
                    lanes.evaluate(history.store(), history.now(), options_with(&cache));
                else
                    asleep.insert(&lanes);
            for (Subject& subject : subjects) {
                if (asleep.contains(subject.lanes)) continue;
                expect_lanes_are_right(subject, history);
                if (HasFatalFailure()) return;
            }
            asleep.clear();
        }
        for (const Subject& subject : subjects) {
            yes += subject.yes;
            no += subject.no;
        }
    }
    EXPECT_GT(yes, 100'000U);
    EXPECT_GT(no, 50'000U);
    EXPECT_GT(joined, 100U) << "some share their columns";
}

TEST(Lanes, AreOfElementWiseExpressionsOnly) {
    for (const char* text : {"sum(a)",
                             "a + on (x) b",
                             "a and ignoring (y) b",
                             "a * on (x) group_left b",
                             "absent(a)",
                             "vector(1)",
                             "max_over_time(a[4s:1s])",
                             "{x=\"1\"}",
                             "{__name__=~\"a\"}",
                             "a @ 5",
                             "rate(a[5s] @ 5)",
                             "a > scalar(b)",
                             "label_replace(a, \"y\", \"\", \"x\", \"1\")",
                             "topk(1, a)",
                             "sort(a)",
                             "hour()",
                             "a{__name__!=\"b\"}",
                             "timestamp(a)",
                             "clamp(a, 0, scalar(b))",
                             "abs(sum by (x) (a))"})
        EXPECT_FALSE(LaneProgram::compile(*parse(text))) << text;
    for (const char* text : {"a", "a > 1", "a and b", "rate(a[5s]) / rate(b[5s]) > 2 * 3", "a > time() - 5",
                             "clamp(a, 0, 5 * 2)", "-a", "hour(a)", "a or b unless c"})
        EXPECT_TRUE(LaneProgram::compile(*parse(text))) << text;
}

std::string error_of(const Result<Value>& value) { return value ? "" : value.error().what; }

TEST(Lanes, StepAsideWhereALimitIsReached) {
    SeriesStore store;
    store.set_retention([](const Labels&) { return Duration{60'000}; });
    for (const char* x : {"1", "2", "3"})
        for (int t = 1; t <= 3; ++t)
            store.append(*store.define(Labels{{"__name__", "a"}, {"x", x}}), at_ms(std::int64_t{1000} * t),
                         t);
    const Expr expr = *parse("sum_over_time(a[1m]) > 1 or a");
    SelectorCache cache;
    Lanes lanes(*LaneProgram::compile(expr));
    const auto judge = [&](EvalOptions options) {
        options.selectors = &cache;
        lanes.evaluate(store, at_ms(3000), options);
        const bool by_lanes = lanes.of(0).judged;
        const auto remembered = evaluate(expr, store, at_ms(3000), options);
        options.selectors = nullptr;
        const auto anew = evaluate(expr, store, at_ms(3000), options);
        EXPECT_EQ(error_of(remembered), error_of(anew)) << "limits count the same with a memory";
        EXPECT_TRUE(anew || !by_lanes);
        return by_lanes;
    };
    EXPECT_TRUE(judge({.samples_max = 12, .series_max = 6, .result_max = 3}));
    EXPECT_FALSE(judge({.samples_max = 11}));
    EXPECT_FALSE(judge({.series_max = 5}));
    EXPECT_FALSE(judge({.result_max = 2}));
}

TEST(Lanes, GoOnAfterAnIdWasGivenToAnotherSeries) {
    SeriesStore store({.series_max = 1, .samples_per_series_max = 100});
    store.set_retention([](const Labels&) { return Duration{5'000}; });
    const Expr expr = *parse("sum_over_time(a[5s])");
    SelectorCache cache;
    Lanes lanes(*LaneProgram::compile(expr));
    const auto sum = [&](std::int64_t ms) {
        lanes.evaluate(store, at_ms(ms), options_with(&cache));
        EXPECT_TRUE(lanes.of(0).judged);
        return lanes.of(0).any_yes ? lanes.of(0).values[0] : -1;
    };
    const SeriesId first = *store.define(Labels{{"__name__", "a"}, {"x", "1"}});
    store.append(first, at_ms(1000), 7);
    EXPECT_EQ(sum(1000), 7);
    store.forget_unseen(at_ms(100'000), Duration{1});
    ASSERT_EQ(*store.define(Labels{{"__name__", "a"}, {"x", "2"}}), first);
    store.append(first, at_ms(100'000), 3);
    EXPECT_EQ(sum(100'000), 3);
    EXPECT_EQ(lanes.of(0).keys[0], (Labels{{"x", "2"}}));
}

TEST(Lanes, AreComputedOneByOneWhereTheyAreFewWithTheSameResults) {
    std::mt19937 random(7);
    SeriesStore store;
    store.set_retention([](const Labels&) { return Duration{20'000}; });
    std::vector<SeriesId> ids;
    for (const char* name : {"a", "b", "c"})
        for (const char* x : {"1", "2"}) ids.push_back(*store.define(Labels{{"__name__", name}, {"x", x}}));
    const EvalOptions anew{.lookback = Duration{5'000}};
    std::size_t found = 0;
    std::size_t empty = 0;
    Instant now = at_ms(1'000'000);
    for (const char* text : {"a * b + c / a", "(a + b) / (c - a) > 2", "-a + 1 < bool b", "2 < a offset 3s",
                             "abs(a - b) != 0", "a > b > c", "a{x=\"1\"} - b - time()"}) {
        const Expr expr = *parse(text);
        SelectorCache cache;
        Lanes lanes(*LaneProgram::compile(expr));
        EvalOptions options = anew;
        options.selectors = &cache;
        for (int turn = 0; turn < 400; ++turn) {
            now += Duration{1'000};
            for (const SeriesId id : ids) {
                const std::uint32_t what = random() % 8;
                if (what > 1)
                    store.append(id, now + Duration{random() % 2}, static_cast<double>(random() % 9) - 4);
                if (what == 1) store.append(id, now, stale_marker);
            }
            lanes.evaluate(store, now, options);
            const Lanes::View view = lanes.of(0);
            Vector by_lanes;
            for (std::size_t lane = 0; lane < view.keys.size(); ++lane)
                if (view.standings[lane] == Standing::yes)
                    by_lanes.push_back({view.keys[lane], view.values[lane]});
            const Vector by_evaluation = std::get<Vector>(*evaluate(expr, store, now, anew));
            ASSERT_EQ(by_lanes.size(), by_evaluation.size()) << text;
            for (std::size_t i = 0; i < by_lanes.size(); ++i) {
                ASSERT_EQ(by_lanes[i].labels, by_evaluation[i].labels.without_metric_name()) << text;
                ASSERT_EQ(std::bit_cast<std::uint64_t>(by_lanes[i].value),
                          std::bit_cast<std::uint64_t>(by_evaluation[i].value))
                    << text;
            }
            (by_lanes.empty() ? empty : found) += 1;
        }
    }
    EXPECT_GT(found, 500U);
    EXPECT_GT(empty, 100U);
}

// The programs differ only in how many scalars a call takes.
TEST(Lanes, OfAnOptionalArgumentAreOfAnotherShape) {
    const auto plain = parse("round(x) > 3");
    const auto to_fives = parse("round(x, 5) > 3");
    ASSERT_TRUE(plain && to_fives);
    EXPECT_NE(LaneProgram::compile(*plain)->shape(), LaneProgram::compile(*to_fives)->shape());
    const auto other = parse("round(y) > 4");
    EXPECT_EQ(LaneProgram::compile(*plain)->shape(), LaneProgram::compile(*other)->shape());
}

} // namespace
} // namespace homeostat::promql
