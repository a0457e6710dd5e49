#include "policies/promql/evaluation.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <numbers>

namespace homeostat::promql {

namespace {

// ---- of one number

double sgn(double x) { return x < 0 ? -1 : x > 0 ? 1 : x; }
double rad(double x) { return x * std::numbers::pi / 180; }
double deg(double x) { return x * 180 / std::numbers::pi; }

// The calendar repeats itself after these.
constexpr std::int64_t years_of_cycle = 400;
constexpr std::int64_t seconds_of_cycle = std::int64_t{146'097} * 86'400;

// A number that is no time of 64 bits is none.
std::optional<std::int64_t> whole_seconds(double seconds) {
    constexpr double seconds_max = 9.2e18;
    if (!(std::abs(seconds) < seconds_max)) return std::nullopt;
    return static_cast<std::int64_t>(seconds);
}

// The parts of a time that is given in seconds, in UTC. std::chrono's calendar holds some 32,000 years, so a
// time is moved by whole cycles into the first one after 1970.
template <class Part> double part_of_time(double seconds, Part part) {
    const auto whole = whole_seconds(seconds);
    if (!whole) return std::numeric_limits<double>::quiet_NaN();
    const std::int64_t rest = *whole % seconds_of_cycle;
    const std::chrono::sys_seconds time{std::chrono::seconds{rest < 0 ? rest + seconds_of_cycle : rest}};
    const auto day = std::chrono::floor<std::chrono::days>(time);
    return static_cast<double>(part(day, time - day));
}

using Day = std::chrono::sys_days;
using OfDay = std::chrono::seconds;
using Date = std::chrono::year_month_day;

double year(double s) {
    const double of_cycle =
        part_of_time(s, [](Day day, OfDay) { return static_cast<int>(Date(day).year()); });
    if (std::isnan(of_cycle)) return of_cycle;
    const std::int64_t whole = *whole_seconds(s);
    const std::int64_t cycles = whole / seconds_of_cycle - (whole % seconds_of_cycle < 0 ? 1 : 0);
    return of_cycle + static_cast<double>(cycles * years_of_cycle);
}
double month(double s) {
    return part_of_time(s, [](Day day, OfDay) { return static_cast<unsigned>(Date(day).month()); });
}
double day_of_month(double s) {
    return part_of_time(s, [](Day day, OfDay) { return static_cast<unsigned>(Date(day).day()); });
}
double day_of_week(double s) {
    return part_of_time(s, [](Day day, OfDay) { return std::chrono::weekday(day).c_encoding(); });
}
double day_of_year(double s) {
    return part_of_time(s, [](Day day, OfDay) {
        return (day - Day(Date(day).year() / std::chrono::January / 1)).count() + 1;
    });
}
double days_in_month(double s) {
    return part_of_time(s, [](Day day, OfDay) {
        const Date date(day);
        return static_cast<unsigned>((date.year() / date.month() / std::chrono::last).day());
    });
}
double hour(double s) {
    return part_of_time(s, [](Day, OfDay time) { return time.count() / 3600; });
}
double minute(double s) {
    return part_of_time(s, [](Day, OfDay time) { return time.count() / 60 % 60; });
}

// ---- of a number and scalars

std::optional<double> round(double x, std::span<const double> parameters) {
    const double inverse = 1.0 / (parameters.empty() ? 1.0 : parameters[0]);
    return std::floor(x * inverse + 0.5) / inverse;
}

constexpr double infinity = std::numeric_limits<double>::infinity();

// As Go's math.Max and math.Min: NaN wins, but for the infinity that nothing can exceed.
double go_max(double a, double b) {
    if (a == infinity || b == infinity) return infinity;
    return std::isnan(a) || std::isnan(b) ? std::numeric_limits<double>::quiet_NaN() : std::max(a, b);
}

double go_min(double a, double b) { return -go_max(-a, -b); }

std::optional<double> between(double x, double low, double high) {
    if (high < low) return std::nullopt;
    return go_max(low, go_min(high, x));
}

std::optional<double> clamp(double x, std::span<const double> p) { return between(x, p[0], p[1]); }
std::optional<double> clamp_min(double x, std::span<const double> p) { return between(x, p[0], infinity); }
std::optional<double> clamp_max(double x, std::span<const double> p) { return between(x, -infinity, p[0]); }

// ---- of whole arguments

double now_s(const Evaluation& evaluation) { return static_cast<double>(to_ms(evaluation.now())) / 1000.0; }

Result<Value> time(Evaluation& evaluation, const Call&) { return now_s(evaluation); }
Result<Value> pi(Evaluation&, const Call&) { return std::numbers::pi; }

Result<Value> vector(Evaluation& evaluation, const Call& call) {
    const Result<double> value = evaluation.scalar(*call.arguments[0]);
    if (!value) return std::unexpected(value.error());
    return Vector{{{}, *value}};
}

Result<Value> scalar(Evaluation& evaluation, const Call& call) {
    const Result<Vector> samples = evaluation.vector(*call.arguments[0]);
    if (!samples) return std::unexpected(samples.error());
    return samples->size() == 1 ? samples->front().value : std::numeric_limits<double>::quiet_NaN();
}

// A selector's samples have times of their own; everything else is as old as the evaluation.
Result<Value> timestamp(Evaluation& evaluation, const Call& call) {
    const Expr& argument = *call.arguments[0];
    Vector made;
    if (const auto* selector = std::get_if<Selector>(&argument.node)) {
        const auto done = evaluation.for_each_sample(*selector, [&](const SelectedSample& found) {
            const SeriesStore& store = evaluation.store();
            const double time_s = static_cast<double>(to_ms(found.point.time)) / 1000.0;
            made.push_back({store.labels_without_name(found.series), time_s});
        });
        if (!done) return std::unexpected(done.error());
    } else {
        const Result<Vector> samples = evaluation.vector(argument);
        if (!samples) return std::unexpected(samples.error());
        for (const Sample& sample : *samples)
            made.push_back({sample.labels.without_metric_name(), now_s(evaluation)});
    }
    return distinct(std::move(made));
}

// NaN comes last in either order; equal values keep the canonical order.
template <bool descending> Result<Value> sorted(Evaluation& evaluation, const Call& call) {
    Result<Vector> samples = evaluation.vector(*call.arguments[0]);
    if (!samples) return std::unexpected(std::move(samples.error()));
    std::ranges::stable_sort(
        *samples,
        [](double a, double b) {
            if (std::isnan(a) || std::isnan(b)) return !std::isnan(a) && std::isnan(b);
            return descending ? a > b : a < b;
        },
        &Sample::value);
    return *std::move(samples);
}

Result<Value> always_absent_sample(Evaluation&, const Call& call) {
    return Vector{{labels_of_absent(*call.arguments[0]), 1}};
}

Result<Value> absent(Evaluation& evaluation, const Call& call) {
    const Result<Vector> samples = evaluation.vector(*call.arguments[0]);
    if (!samples) return std::unexpected(samples.error());
    return samples->empty() ? always_absent_sample(evaluation, call) : Vector{};
}

Result<Value> absent_over_time(Evaluation& evaluation, const Call& call) {
    bool any = false;
    const auto done =
        evaluation.for_each_series(*call.arguments[0], [&any](const RangeSeries&) { any = true; });
    if (!done) return std::unexpected(done.error());
    return any ? Vector{} : always_absent_sample(evaluation, call);
}

// ---- the table

constexpr Type S = Type::scalar, V = Type::vector, M = Type::matrix, T = Type::string;

using Evaluator = decltype(Function::evaluate);

Function of_numbers(std::string_view name, OfNumber f) { return {name, {V}, 1, false, V, Evaluator(f)}; }

Function of_time(std::string_view name, OfNumber f) { return {name, {V}, 0, false, V, Evaluator(f)}; }

Function of_window(std::string_view name, OfWindow f, std::vector<Type> arguments = {M}) {
    const std::size_t required = arguments.size();
    return {name, std::move(arguments), required, false, V, Evaluator(f)};
}

Function of_call(std::string_view name, OfCall f, std::vector<Type> arguments, Type result) {
    const std::size_t required = arguments.size();
    return {name, std::move(arguments), required, false, result, Evaluator(f)};
}

std::vector<Function> make_table() {
    return {
        of_numbers("abs", std::fabs),
        of_numbers("acos", std::acos),
        of_numbers("acosh", std::acosh),
        of_numbers("asin", std::asin),
        of_numbers("asinh", std::asinh),
        of_numbers("atan", std::atan),
        of_numbers("atanh", std::atanh),
        of_numbers("ceil", std::ceil),
        of_numbers("cos", std::cos),
        of_numbers("cosh", std::cosh),
        of_numbers("deg", deg),
        of_numbers("exp", std::exp),
        of_numbers("floor", std::floor),
        of_numbers("ln", std::log),
        of_numbers("log10", std::log10),
        of_numbers("log2", std::log2),
        of_numbers("rad", rad),
        of_numbers("sgn", sgn),
        of_numbers("sin", std::sin),
        of_numbers("sinh", std::sinh),
        of_numbers("sqrt", std::sqrt),
        of_numbers("tan", std::tan),
        of_numbers("tanh", std::tanh),

        of_time("day_of_month", day_of_month),
        of_time("day_of_week", day_of_week),
        of_time("day_of_year", day_of_year),
        of_time("days_in_month", days_in_month),
        of_time("hour", hour),
        of_time("minute", minute),
        of_time("month", month),
        of_time("year", year),

        {"clamp", {V, S, S}, 3, false, V, clamp},
        {"clamp_max", {V, S}, 2, false, V, clamp_max},
        {"clamp_min", {V, S}, 2, false, V, clamp_min},
        {"round", {V, S}, 1, false, V, round},

        of_window("avg_over_time", avg_over_time),
        of_window("changes", changes),
        of_window("count_over_time", count_over_time),
        of_window("delta", delta),
        of_window("deriv", deriv),
        of_window("idelta", idelta),
        of_window("increase", increase),
        of_window("irate", irate),
        {"last_over_time", {M}, 1, false, V, last_over_time, true},
        of_window("max_over_time", max_over_time),
        of_window("min_over_time", min_over_time),
        of_window("predict_linear", predict_linear, {M, S}),
        of_window("present_over_time", present_over_time),
        of_window("quantile_over_time", quantile_over_time, {S, M}),
        of_window("rate", rate),
        of_window("resets", resets),
        of_window("stddev_over_time", stddev_over_time),
        of_window("stdvar_over_time", stdvar_over_time),
        of_window("sum_over_time", sum_over_time),

        // ours
        of_window("ewma", ewma, {M, S}),
        of_window("zscore", zscore),

        of_call("absent", absent, {V}, V),
        of_call("absent_over_time", absent_over_time, {M}, V),
        of_call("histogram_fraction", histogram_fraction, {S, S, V}, V),
        of_call("histogram_quantile", histogram_quantile, {S, V}, V),
        {"label_join", {V, T, T, T}, 3, true, V, label_join},
        of_call("label_replace", label_replace, {V, T, T, T, T}, V),
        of_call("pi", pi, {}, S),
        of_call("scalar", scalar, {V}, S),
        of_call("sort", sorted<false>, {V}, V),
        of_call("sort_desc", sorted<true>, {V}, V),
        of_call("time", time, {}, S),
        of_call("timestamp", timestamp, {V}, V),
        of_call("vector", vector, {S}, V),
    };
}

const std::vector<Function>& table() {
    static const std::vector<Function> made = make_table();
    return made;
}

constexpr std::array<std::string_view, 26> refused{"double_exponential_smoothing",
                                                   "end",
                                                   "first_over_time",
                                                   "histogram_avg",
                                                   "histogram_count",
                                                   "histogram_quantiles",
                                                   "histogram_stddev",
                                                   "histogram_stdvar",
                                                   "histogram_sum",
                                                   "holt_winters",
                                                   "info",
                                                   "integral",
                                                   "limit_ratio",
                                                   "limitk",
                                                   "mad_over_time",
                                                   "max_of",
                                                   "min_of",
                                                   "range",
                                                   "sort_by_label",
                                                   "sort_by_label_desc",
                                                   "start",
                                                   "step",
                                                   "ts_of_first_over_time",
                                                   "ts_of_last_over_time",
                                                   "ts_of_max_over_time",
                                                   "ts_of_min_over_time"};

} // namespace

const Function* find_function(std::string_view name) {
    const auto found = std::ranges::find(table(), name, &Function::name);
    return found == table().end() ? nullptr : &*found;
}

std::vector<std::string> function_names() {
    std::vector<std::string> names;
    for (const Function& function : table()) names.emplace_back(function.name);
    return names;
}

bool is_refused_function(std::string_view name) { return std::ranges::find(refused, name) != refused.end(); }

const Function& always_absent() {
    static const Function made{"absent", {V}, 1, false, V, always_absent_sample};
    return made;
}

Labels labels_of_absent(const Expr& argument) {
    const auto* selector = std::get_if<Selector>(&argument.node);
    if (!selector) return {};
    Labels labels;
    std::vector<std::string> pinned;
    for (const Matcher& m : selector->matchers) {
        if (m.label == metric_name_label) continue;
        const bool pins = m.op == MatchOp::equal && std::ranges::find(pinned, m.label) == pinned.end();
        labels = labels.with(m.label, pins ? m.value : "");
        if (pins) pinned.push_back(m.label);
    }
    return labels;
}

} // namespace homeostat::promql
