#include "policies/promql/evaluate.hpp"

#include "policies/promql/introspect.hpp"
#include "policies/promql/lanes.hpp"
#include "policies/promql/parser.hpp"
#include "policies/promql/selection.hpp"
#include "tests/fuzz/series.hpp"
#include "tests/fuzz/target.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <set>

namespace homeostat::fuzz {

namespace {

using promql::EvalOptions;
using promql::Expr;
using promql::Value;
using promql::Vector;

bool same_bits(double a, double b) {
    return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b) ||
           (std::isnan(a) && std::isnan(b));
}

bool same(const Result<Value>& a, const Result<Value>& b) {
    if (!a || !b) return a.has_value() == b.has_value();
    if (const auto* number = std::get_if<double>(&*a)) return same_bits(*number, std::get<double>(*b));
    if (const auto* text = std::get_if<std::string>(&*a)) return *text == std::get<std::string>(*b);
    return std::ranges::equal(std::get<Vector>(*a), std::get<Vector>(*b), [](const auto& x, const auto& y) {
        return x.labels == y.labels && same_bits(x.value, y.value);
    });
}

EvalOptions limits(promql::SelectorCache* cache) {
    return {.subquery_step = std::chrono::seconds{10},
            .samples_max = 20'000,
            .series_max = 20'000,
            .result_max = 1'000,
            .work_max = 20'000,
            .selectors = cache};
}

std::string wrong_result(const Result<Value>& result) {
    if (!result) return result.error().what.empty() ? "an error without words" : "";
    const auto* samples = std::get_if<Vector>(&*result);
    if (samples == nullptr) return "";
    if (samples->size() > limits(nullptr).result_max) return "more samples than the limit";
    std::vector<Labels> keys;
    for (const auto& sample : *samples) keys.push_back(sample.labels);
    std::ranges::sort(keys);
    return std::ranges::adjacent_find(keys) == keys.end() ? "" : "a label set stands twice in the result";
}

// The receipt alone must give the same result.
std::string wrong_receipt(const Expr& expr, const Result<Value>& result, const promql::Trace& trace,
                          Instant now) {
    if (!result) return "";
    std::vector<SeenValue> seen;
    std::set<std::string> told; // what stands in the expression twice is seen twice
    for (const promql::Traced& traced : trace.seen) {
        if (!told.insert(traced.text).second) continue;
        for (const promql::Sample& sample : traced.result)
            seen.push_back({.expression = traced.text, .labels = sample.labels, .value = sample.value});
    }
    const auto again = promql::evaluate_from(expr, seen, now, limits(nullptr));
    return same(result, again) ? "" : "what was seen gives another result";
}

// Lanes are another way to the same answer, where evaluate() has one.
std::string wrong_lanes(promql::Lanes& lanes, const Result<Value>& result, const SeriesStore& store,
                        Instant now, promql::SelectorCache& cache) {
    if (!result || !lanes.evaluate(store, now, limits(&cache))) return "";
    std::map<Labels, double> expected;
    for (const auto& sample : std::get<Vector>(*result))
        expected[sample.labels.without_metric_name()] = sample.value;
    std::size_t yes = 0;
    for (std::size_t lane = 0; lane < lanes.keys().size(); ++lane) {
        if (lanes.standings()[lane] != promql::Standing::yes) continue;
        ++yes;
        const auto found = expected.find(lanes.keys()[lane]);
        if (found == expected.end() || !same_bits(found->second, lanes.values()[lane]))
            return "a lane has another value";
    }
    return yes == expected.size() ? "" : "a sample has no lane";
}

struct Subject {
    const Expr& expr;
    Expr present;
    std::optional<promql::Lanes> lanes;
    promql::SelectorCache cache;
};

std::string wrong_at(Subject& subject, const SeriesStore& store, Instant now) {
    promql::Trace trace;
    const auto anew = promql::evaluate(subject.expr, store, now, limits(nullptr), &trace);
    if (std::string wrong = wrong_result(anew); !wrong.empty()) return wrong;
    const auto remembered = promql::evaluate(subject.expr, store, now, limits(&subject.cache));
    if (anew && remembered && !same(anew, remembered)) return "with memory the result is another one";
    if (std::string wrong = wrong_receipt(subject.expr, anew, trace, now); !wrong.empty()) return wrong;
    const auto present = promql::evaluate(subject.present, store, now, limits(nullptr));
    if (std::string wrong = wrong_result(present); !wrong.empty()) return "P(e): " + wrong;
    if (!subject.lanes) return "";
    return wrong_lanes(*subject.lanes, anew, store, now, subject.cache);
}

} // namespace

// An expression, a zero byte, samples (see append_samples); evaluated after each third of them.
std::string evaluate(std::string_view bytes) {
    const std::size_t end = std::min(bytes.find('\0'), bytes.size());
    const std::string_view samples = bytes.substr(std::min(end + 1, bytes.size()));
    const auto expr = promql::parse(bytes.substr(0, end), {.length_max = 4'096});
    if (!expr || expr->type == promql::Type::matrix) return "";
    Subject subject{.expr = *expr,
                    .present = promql::presence(*expr),
                    .lanes = promql::Lanes::compile(*expr),
                    .cache = {}};
    SeriesStore store = store_of_series();
    Instant now = first_instant;
    const std::size_t third = samples.size() / 6 * 2;
    for (int turn = 0; turn < 3; ++turn) {
        const std::size_t from = third * static_cast<std::size_t>(turn);
        now =
            append_samples(store, now, samples.substr(from, turn == 2 ? samples.npos : third)) + Duration{1};
        if (std::string wrong = wrong_at(subject, store, now); !wrong.empty()) return wrong;
    }
    return "";
}

} // namespace homeostat::fuzz
