// One evaluation under way: what it reads, what it has used up, and the operations on trees. Internal to this
// folder; evaluate() makes it and throws it away.
#pragma once

#include "policies/promql/functions.hpp"

#include <re2/re2.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace homeostat::promql {

// A callable that is lent for the length of a call, without an allocation.
template <class Argument> class Visitor {
  public:
    template <class Callable> Visitor(const Callable& callable) // NOLINT(google-explicit-constructor)
        : callable_(std::addressof(callable)), call_([](const void* object, Argument argument) {
              (*static_cast<const Callable*>(object))(argument);
          }) {}

    void operator()(Argument argument) const { call_(callable_, argument); }

  private:
    const void* callable_;
    void (*call_)(const void*, Argument);
};

// What a range vector holds of one series; at least one sample, no stale markers.
struct RangeSeries {
    const Labels& labels;
    const Labels& labels_without_name;
    const WindowSummary& summary;
    std::span<const Point> points; // only where the function reads_samples()
};

// One sample that an instant selector chooses.
struct SelectedSample {
    SeriesId series;
    Point point;
};

struct TimeRange {
    Instant start; // not in it
    Instant end;   // in it
};

// The scalar arguments of a call, in order.
struct Parameters {
    static constexpr std::size_t count_max = 4;

    std::array<double, count_max> values{};
    std::size_t count = 0;

    std::span<const double> all() const { return std::span(values).first(count); }
};

// What was seen once, by its canonical text: in the place of what would be read of the store.
using Recorded = std::map<std::string, Vector, std::less<>>;

class Selection; // see selection.hpp

class Evaluation {
  public:
    Evaluation(const SeriesStore& store, Instant now, const EvalOptions& options, Trace* trace,
               const Recorded* recorded = nullptr)
        : store_(store), now_(now), options_(options), trace_(trace), recorded_(recorded),
          start_of_query_(options.query_start.value_or(now)), end_of_query_(options.query_end.value_or(now)) {
    }

    Instant now() const { return now_; }
    const SeriesStore& store() const { return store_; }

    Result<Value> value(const Expr& expr);
    Result<Vector> vector(const Expr& expr);           // of Type::vector
    Result<double> scalar(const Expr& expr);           // of Type::scalar
    const std::string& string(const Expr& expr) const; // of Type::string: a literal

    // The window of a Type::matrix expression at this time.
    TimeRange time_range(const Expr& matrix) const;
    // Calls visit for each series of a Type::matrix expression, in canonical order.
    Result<void> for_each_series(const Expr& matrix, Visitor<const RangeSeries&> visit,
                                 Keeps keeps = Keeps::ends);
    // Calls visit for each sample that an instant selector chooses, in canonical order.
    Result<void> for_each_sample(const Selector& selector, Visitor<const SelectedSample&> visit);

    void trace(const Expr& expr, const Vector& result);

    // Counts work: a unit for each sample that is read or made, each series and label that is looked at, each
    // step of a subquery, each instruction of a regular expression that is compiled. What costs more than its
    // result shows says so here. Fails beyond work_max.
    Result<void> spend(std::size_t units);
    // Compiled once in an evaluation. Error::number is EINVAL where it is no regular expression.
    Result<const RE2*> regex(const std::string& pattern);

  private:
    // Without a cache, searches with `searched`.
    Selection& select_series(Selection& searched, const Selector& selector);
    Result<Vector> select(const Expr& expr, const Selector& selector);
    Result<void> for_each_window(const Selector& selector, Keeps keeps, Visitor<const RangeSeries&> visit);
    Result<void> for_each_step(const Subquery& subquery, Keeps keeps, Visitor<const RangeSeries&> visit);
    Vector recorded(const Expr& expr) const;
    Result<Value> unlimited_value(const Expr& expr);
    Result<Value> call(const Expr& expr, const Call& call);
    Result<Vector> over_range(const Expr& expr, const Call& call, const OfWindow& function);
    Result<Vector> per_sample(const Call& call);
    Result<Parameters> parameters(const Call& call);
    Instant time_of(const std::optional<AtModifier>& at, Duration offset) const;
    Result<void> within_limits() const;

    const SeriesStore& store_;
    Instant now_;
    const EvalOptions& options_;
    Trace* trace_;
    const Recorded* recorded_; // null: read the store
    Instant start_of_query_;   // what start() means, also in a subquery
    Instant end_of_query_;     // what end() means
    std::size_t samples_used_ = 0;
    std::size_t series_used_ = 0;
    std::size_t work_ = 0;
    std::map<std::string, std::shared_ptr<const RE2>> regexes_; // by their text
};

// In binary.cpp and aggregate.cpp.
Result<Value> evaluate_binary(Evaluation& evaluation, const Binary& binary);
Result<Vector> evaluate_aggregation(Evaluation& evaluation, const Aggregation& aggregation);

// Brings the samples to canonical order; fails where two have the same labels.
Result<Vector> distinct(Vector samples);

// The labels that absent() gives its sample: those that equality matchers pin down.
Labels labels_of_absent(const Expr& argument);

// Prometheus's quantile of any number of values: interpolated between the closest ranks. Sorts them; NaN is
// the smallest. NaN where there are none; -Inf for q < 0, +Inf for q > 1.
double quantile(double q, std::vector<double>& values);

// Neumaier's variant of Kahan's summation, as Prometheus has it.
struct CompensatedSum {
    double sum = 0;
    double compensation = 0;

    void add(double value);
    double total() const { return sum + compensation; }
};

// Prometheus's mean: sum by count until the sum would overflow, incremental from there on.
struct Mean {
    CompensatedSum sum;
    double count = 0;
    bool incremental = false;

    void add(double value);
    double mean() const;
};

} // namespace homeostat::promql
