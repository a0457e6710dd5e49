// Evaluates an expression over the store at one instant, as an instant query of Prometheus 3 with default
// features does: a pure function, bit for bit the same for the same inputs.
#pragma once

#include "knowledge/error.hpp"
#include "knowledge/labels.hpp"
#include "knowledge/series_store.hpp"
#include "policies/promql/ast.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
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

// Remembers which series each selector chooses while the store's index stays the same. Only a memory: results
// are the same without it. It knows selectors by their address, so it must not outlive the expressions that
// were evaluated with it, and belongs to one store.
class SelectorCache {
  public:
    // In canonical order; valid until the next call.
    std::span<const SeriesId> series_of(const Selector& selector, const SeriesStore& store);

  private:
    struct Chosen {
        std::uint64_t index_version;
        std::vector<SeriesId> series;
    };
    std::unordered_map<const Selector*, Chosen> chosen_; // look-up only, never iterated
};

struct EvalOptions {
    Duration lookback = std::chrono::minutes(5);      // of instant vector selectors
    Duration subquery_step = std::chrono::minutes(1); // where a subquery names none; > 0
    std::size_t samples_max = 50'000'000;             // samples touched, over the whole evaluation
    std::size_t series_max = 1'000'000;               // series touched, over the whole evaluation
    std::size_t result_max = 100'000;                 // samples in the result of any one operation
    std::optional<Instant> query_start = {};          // what @ start() and
    std::optional<Instant> query_end = {};            // @ end() mean; none: the time of the evaluation
    SelectorCache* selectors = nullptr;               // not owned; none: every selector searches anew
};

// What the expression saw: the result of each instant vector selector and of each call of a function over a
// range vector, in the order of evaluation. Subqueries show as the call around them, not step by step.
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

} // namespace homeostat::promql
