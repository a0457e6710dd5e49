// The functions over a range vector, each as a pure function of a window's summary. Sources of the methods:
// Prometheus 3's documentation and behaviour; the compensated summation is Neumaier's (1974), the running
// variance Welford's (1962). Sums over a window are exact, where Prometheus compensates.
#include "policies/promql/evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace homeostat::promql {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

double seconds(Duration d) { return static_cast<double>(d.count()) / 1000.0; }

// The samples seldom reach the edges of the window. Where an edge is nearer than 1.1 average intervals, the
// series is taken to go on to it; where it is farther, to begin or end half an interval from its outermost
// sample. A counter is not extended to before it would have been zero. Returns the factor by which the change
// grows.
double extrapolation(const Window& window, double change, bool is_counter) {
    const Point& first = window.summary.first();
    const Point& last = window.summary.last();
    const double sampled = seconds(last.time - first.time);
    const double average_interval = sampled / static_cast<double>(window.summary.count() - 1);
    const double threshold = average_interval * 1.1;
    double to_start = seconds(first.time - window.start);
    double to_end = seconds(window.end - last.time);
    if (to_start >= threshold) to_start = average_interval / 2;
    if (is_counter && change > 0 && first.value >= 0) {
        const double to_zero = sampled * (first.value / change);
        if (to_zero < to_start) to_start = to_zero;
    }
    if (to_end >= threshold) to_end = average_interval / 2;
    return (sampled + to_start + to_end) / sampled;
}

// A counter rises by the difference of its ends and what its resets to zero swallowed.
template <bool is_counter, bool per_second> std::optional<double> extrapolated(const Window& window) {
    const WindowSummary& summary = window.summary;
    if (summary.count() < 2) return std::nullopt;
    double change = summary.last().value - summary.first().value;
    if (is_counter) change += summary.swallowed();
    double factor = extrapolation(window, change, is_counter);
    if (per_second) factor /= seconds(window.end - window.start);
    return change * factor;
}

// Of the last two samples.
template <bool is_counter> std::optional<double> instant_change(const Window& window) {
    if (window.summary.count() < 2) return std::nullopt;
    const Point& last = window.summary.last();
    const Point& previous = window.summary.last_but_one();
    const bool was_reset = is_counter && last.value < previous.value;
    const double change = was_reset ? last.value : last.value - previous.value;
    return is_counter ? change / seconds(last.time - previous.time) : change;
}

std::optional<double> sum(const Window& window) {
    const ExactSum& exact = window.summary.sum();
    if (!exact.is_torn()) return exact.value();
    CompensatedSum compensated;
    for (const Point& point : window.points) compensated.add(point.value);
    return compensated.total();
}

std::optional<double> mean(const Window& window) {
    const ExactSum& exact = window.summary.sum();
    if (!exact.is_torn()) return exact.mean(window.summary.count());
    Mean compensated;
    for (const Point& point : window.points) compensated.add(point.value);
    return compensated.mean();
}

std::optional<double> extreme(const Window& window) { return window.summary.extreme(); }
std::optional<double> last(const Window& window) { return window.summary.last().value; }
std::optional<double> one(const Window&) { return 1; }
std::optional<double> times(const Window& window) { return static_cast<double>(window.summary.times()); }
std::optional<double> number(const Window& window) { return static_cast<double>(window.summary.count()); }

double variance(std::span<const Point> points) {
    CompensatedSum mean;
    CompensatedSum squares;
    double count = 0;
    for (const Point& point : points) {
        ++count;
        const double delta = point.value - mean.total();
        mean.add(delta / count);
        squares.add(delta * (point.value - mean.total()));
    }
    return squares.total() / count;
}

struct Line {
    double slope;
    double at_origin;
};

// Least squares; x in seconds from `origin`.
Line regression(std::span<const Point> points, Instant origin) {
    const double first = points.front().value;
    if (std::ranges::all_of(points, [first](const Point& p) { return p.value == first; }))
        return std::isinf(first) ? Line{nan, nan} : Line{0, first};
    CompensatedSum xs, ys, xys, x2s;
    for (const Point& point : points) {
        const double x = seconds(point.time - origin);
        xs.add(x);
        ys.add(point.value);
        xys.add(x * point.value);
        x2s.add(x * x);
    }
    const auto n = static_cast<double>(points.size());
    const double covariance = xys.total() - xs.total() * ys.total() / n;
    const double variance_x = x2s.total() - xs.total() * xs.total() / n;
    const double slope = covariance / variance_x;
    return {slope, ys.total() / n - slope * xs.total() / n};
}

} // namespace

void CompensatedSum::add(double value) {
    const double next = sum + value;
    if (std::isinf(next))
        compensation = 0;
    else if (std::abs(sum) >= std::abs(value))
        compensation += (sum - next) + value;
    else
        compensation += (value - next) + sum;
    sum = next;
}

void Mean::add(double value) {
    ++count;
    if (!incremental) {
        CompensatedSum next = sum;
        next.add(value);
        if (count == 1 || !std::isinf(next.sum)) {
            sum = next;
            return;
        }
        incremental = true;
        sum.sum /= count - 1;
        sum.compensation /= count - 1;
    }
    const double weight = (count - 1) / count;
    sum.sum *= weight;
    sum.compensation *= weight;
    sum.add(value / count);
}

double Mean::mean() const {
    return incremental ? sum.sum + sum.compensation : sum.sum / count + sum.compensation / count;
}

double quantile(double q, std::vector<double>& values) {
    if (values.empty() || std::isnan(q)) return nan;
    if (q < 0) return -std::numeric_limits<double>::infinity();
    if (q > 1) return std::numeric_limits<double>::infinity();
    std::ranges::sort(values, [](double a, double b) { return std::isnan(a) ? !std::isnan(b) : a < b; });
    const double rank = q * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(std::floor(rank));
    const std::size_t above = std::min(values.size() - 1, below + 1);
    const double weight = rank - std::floor(rank);
    return values[below] * (1 - weight) + values[above] * weight;
}

namespace {

std::optional<double> window_variance(const Window& window) { return variance(window.points); }
std::optional<double> window_deviation(const Window& window) { return std::sqrt(variance(window.points)); }

std::optional<double> window_quantile(const Window& window) {
    std::vector<double> values;
    values.reserve(window.points.size());
    for (const Point& point : window.points) values.push_back(point.value);
    return quantile(window.parameters[0], values);
}

std::optional<double> slope(const Window& window) {
    if (window.points.size() < 2) return std::nullopt;
    return regression(window.points, window.points.front().time).slope;
}

std::optional<double> prediction(const Window& window) {
    if (window.points.size() < 2) return std::nullopt;
    const Line line = regression(window.points, window.now);
    return line.slope * window.parameters[0] + line.at_origin;
}

} // namespace

constinit const OfWindow rate{extrapolated<true, true>, Keeps::rise};
constinit const OfWindow increase{extrapolated<true, false>, Keeps::rise};
constinit const OfWindow delta{extrapolated<false, false>, Keeps::ends};
constinit const OfWindow irate{instant_change<true>, Keeps::ends};
constinit const OfWindow idelta{instant_change<false>, Keeps::ends};
constinit const OfWindow avg_over_time{mean, Keeps::sum};
constinit const OfWindow sum_over_time{sum, Keeps::sum};
constinit const OfWindow min_over_time{extreme, Keeps::minimum};
constinit const OfWindow max_over_time{extreme, Keeps::maximum};
constinit const OfWindow count_over_time{number, Keeps::ends};
constinit const OfWindow last_over_time{last, Keeps::ends};
constinit const OfWindow present_over_time{one, Keeps::ends};
constinit const OfWindow changes{times, Keeps::changes};
constinit const OfWindow resets{times, Keeps::falls};
constinit const OfWindow quantile_over_time{window_quantile};
constinit const OfWindow stddev_over_time{window_deviation};
constinit const OfWindow stdvar_over_time{window_variance};
constinit const OfWindow deriv{slope};
constinit const OfWindow predict_linear{prediction};

} // namespace homeostat::promql
