// The table of functions: adding a function is adding one row. Internal to this folder.
#pragma once

#include "policies/promql/evaluate.hpp"
#include "policies/promql/window.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace homeostat::promql {

class Evaluation; // see evaluation.hpp

// What a function over a range vector sees of one series: the samples in (start, end], at least one, none of
// them a stale marker.
struct Window {
    const WindowSummary& summary;
    std::span<const Point> points; // oldest first; only where it reads_samples()
    Instant start;
    Instant end;
    Instant now;                        // the evaluation's time, which offset and @ do not shift
    std::span<const double> parameters; // the function's scalar arguments, in order
};

using OfNumber = double (*)(double);
using OfNumberAndParameters = std::optional<double> (*)(double, std::span<const double> parameters);
struct OfWindow {
    using Value = std::optional<double> (*)(const Window&); // none: the series has no sample in the result

    constexpr OfWindow(Value f, Keeps k = Keeps::samples) // NOLINT(google-explicit-constructor)
        : value(f), keeps(k) {}

    Value value;
    Keeps keeps; // what it needs of the window
};
using OfCall = Result<Value> (*)(Evaluation&, const Call&);

struct Function {
    std::string_view name;
    std::vector<Type> arguments; // the scalars of OfWindow may stand before or after the range vector
    std::size_t required;        // the rest may be left out
    bool repeats_last = false;   // the last argument any number of times, also none
    Type result;
    std::variant<OfNumber, OfNumberAndParameters, OfWindow, OfCall> evaluate;
    bool keeps_metric_name = false;
};

// nullptr where there is none of that name.
const Function* find_function(std::string_view name);
std::vector<std::string> function_names();

// Functions of Prometheus that are refused: experimental ones and those of native histograms.
bool is_refused_function(std::string_view name);

// What presence() puts in the place of absent and absent_over_time: the sample that they would yield, always.
const Function& always_absent();

// Range functions, in range_functions.cpp.
extern const OfWindow rate;
extern const OfWindow increase;
extern const OfWindow delta;
extern const OfWindow irate;
extern const OfWindow idelta;
extern const OfWindow avg_over_time;
extern const OfWindow sum_over_time;
extern const OfWindow min_over_time;
extern const OfWindow max_over_time;
extern const OfWindow count_over_time;
extern const OfWindow last_over_time;
extern const OfWindow present_over_time;
extern const OfWindow stddev_over_time;
extern const OfWindow stdvar_over_time;
extern const OfWindow quantile_over_time;
extern const OfWindow changes;
extern const OfWindow resets;
extern const OfWindow deriv;
extern const OfWindow predict_linear;

// Ours, in own_functions.cpp.
std::optional<double> ewma(const Window&);
std::optional<double> zscore(const Window&);

// Any text in UTF-8 that is not empty may name a label. In type_check.cpp.
bool is_label_name(std::string_view name);

// Functions over labels, in label_functions.cpp.
Result<Value> label_replace(Evaluation&, const Call&);
Result<Value> label_join(Evaluation&, const Call&);

// Functions over classic histograms, in histogram_functions.cpp.
Result<Value> histogram_quantile(Evaluation&, const Call&);
Result<Value> histogram_fraction(Evaluation&, const Call&);

} // namespace homeostat::promql
