// Evaluates an expression over the store at one instant, as an instant query of Prometheus 3 with default
// features does: a pure function, bit for bit the same for the same inputs.
#pragma once

#include "knowledge/error.hpp"
#include "knowledge/labels.hpp"
#include "knowledge/receipt.hpp"
#include "knowledge/series_store.hpp"
#include "policies/promql/ast.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace homeostat::promql {

struct Sample {
    Labels labels;
    double value;

    bool operator==(const Sample&) const = default;
};

// Label sets are unique. In the canonical order of the labels, unless the outermost operation is sort,
// sort_desc, topk or bottomk: then in the order that it makes.
using Vector = std::vector<Sample>;

// A range vector is no value: it exists only as the argument of a function.
using Value = std::variant<double, Vector, std::string>;

class SelectorCache; // see selection.hpp

struct EvalOptions {
    Duration lookback = std::chrono::minutes(5);      // of instant vector selectors
    Duration subquery_step = std::chrono::minutes(1); // where a subquery names none; > 0
    std::size_t samples_max = 50'000'000;             // samples touched, over the whole evaluation
    std::size_t series_max = 1'000'000;               // series touched, over the whole evaluation
    std::size_t result_max = 100'000;                 // samples in the result of any one operation
    std::size_t work_max = 50'000'000;       // units of work over the whole evaluation, see Evaluation::spend
    std::optional<Instant> query_start = {}; // what @ start() and
    std::optional<Instant> query_end = {};   // @ end() mean; none: the time of the evaluation
    SelectorCache* selectors = nullptr; // not owned; none: every selector searches and every window adds anew
};

// What the expression saw: the result of each instant vector selector and of each call of a function over a
// range vector, in the order of evaluation. Subqueries show as the call around them, not step by step; the
// timestamp of a selector shows as the call.
struct Traced {
    Span at;
    std::string text; // canonical, see to_text(Expr)
    Vector result;
};

struct Trace {
    std::vector<Traced> seen;
};

// One series of a range vector.
struct Series {
    Labels labels;
    std::vector<Point> points; // oldest first, at least one
};

// The series of a range vector, in canonical order, as an instant query for one answers.
Result<std::vector<Series>> evaluate_range_vector(const Expr& matrix, const SeriesStore& store, Instant now,
                                                  const EvalOptions& options = {});

// Errors: a limit that was reached, duplicate label sets, many-to-many matches, a regular expression that is
// computed and wrong, a range vector as the outermost expression. They name what to change where that is
// known.
Result<Value> evaluate(const Expr& expr, const SeriesStore& store, Instant now,
                       const EvalOptions& options = {}, Trace* trace = nullptr);

// Evaluates without a store: what a trace would show is taken from `seen`, where a selector or a call that
// has no value had an empty result. With all that a trace of the expression showed at the same time, the
// result is the same, bit for bit.
Result<Value> evaluate_from(const Expr& expr, std::span<const SeenValue> seen, Instant now,
                            const EvalOptions& options = {});

} // namespace homeostat::promql
