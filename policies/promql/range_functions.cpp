// The functions over a range vector. Sources of the methods: Prometheus 3's documentation and behaviour; the
// compensated summation is Neumaier's (1974), the running variance Welford's (1962).
#include "policies/promql/evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace homeostat::promql {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

double seconds(Duration d) { return static_cast<double>(d.count()) / 1000.0; }

// What the counter rose by, a fall counting as a reset to zero; for a gauge, the difference of its ends.
double rise(std::span<const Point> points, bool is_counter) {
    double total = points.back().value - points.front().value;
    for (std::size_t i = 1; is_counter && i < points.size(); ++i)
        if (points[i].value < points[i - 1].value) total += points[i - 1].value;
    return total;
}

// The samples seldom reach the edges of the window. Where an edge is nearer than 1.1 average intervals, the
// series is taken to go on to it; where it is farther, to begin or end half an interval from its outermost
// sample. A counter is not extended to before it would have been zero. Returns the factor by which the change
// grows.
double extrapolation(const Window& window, double change, bool is_counter) {
    const Point& first = window.points.front();
    const Point& last = window.points.back();
    const double sampled = seconds(last.time - first.time);
    const double average_interval = sampled / static_cast<double>(window.points.size() - 1);
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

std::optional<double> extrapolated(const Window& window, bool is_counter, bool per_second) {
    if (window.points.size() < 2) return std::nullopt;
    const double change = rise(window.points, is_counter);
    double factor = extrapolation(window, change, is_counter);
    if (per_second) factor /= seconds(window.end - window.start);
    return change * factor;
}

// Of the last two samples.
std::optional<double> instant_change(const Window& window, bool is_counter) {
    if (window.points.size() < 2) return std::nullopt;
    const Point& last = window.points.back();
    const Point& previous = window.points[window.points.size() - 2];
    const bool was_reset = is_counter && last.value < previous.value;
    const double change = was_reset ? last.value : last.value - previous.value;
    return is_counter ? change / seconds(last.time - previous.time) : change;
}

template <class Better> double extreme(std::span<const Point> points, Better better) {
    double found = points.front().value;
    for (const Point& point : points)
        if (better(point.value, found) || std::isnan(found)) found = point.value;
    return found;
}

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

std::optional<double> rate(const Window& window) { return extrapolated(window, true, true); }
std::optional<double> increase(const Window& window) { return extrapolated(window, true, false); }
std::optional<double> delta(const Window& window) { return extrapolated(window, false, false); }
std::optional<double> irate(const Window& window) { return instant_change(window, true); }
std::optional<double> idelta(const Window& window) { return instant_change(window, false); }

std::optional<double> avg_over_time(const Window& window) {
    Mean mean;
    for (const Point& point : window.points) mean.add(point.value);
    return mean.mean();
}

std::optional<double> sum_over_time(const Window& window) {
    CompensatedSum sum;
    for (const Point& point : window.points) sum.add(point.value);
    return sum.total();
}

std::optional<double> min_over_time(const Window& window) { return extreme(window.points, std::less<>()); }
std::optional<double> max_over_time(const Window& window) { return extreme(window.points, std::greater<>()); }
std::optional<double> count_over_time(const Window& window) {
    return static_cast<double>(window.points.size());
}
std::optional<double> last_over_time(const Window& window) { return window.points.back().value; }
std::optional<double> present_over_time(const Window&) { return 1; }
std::optional<double> stddev_over_time(const Window& window) { return std::sqrt(variance(window.points)); }
std::optional<double> stdvar_over_time(const Window& window) { return variance(window.points); }

std::optional<double> quantile_over_time(const Window& window) {
    std::vector<double> values;
    values.reserve(window.points.size());
    for (const Point& point : window.points) values.push_back(point.value);
    return quantile(window.parameters[0], values);
}

std::optional<double> changes(const Window& window) {
    double count = 0;
    for (std::size_t i = 1; i < window.points.size(); ++i) {
        const double before = window.points[i - 1].value;
        const double after = window.points[i].value;
        if (before != after && !(std::isnan(before) && std::isnan(after))) ++count;
    }
    return count;
}

std::optional<double> resets(const Window& window) {
    double count = 0;
    for (std::size_t i = 1; i < window.points.size(); ++i)
        if (window.points[i].value < window.points[i - 1].value) ++count;
    return count;
}

std::optional<double> deriv(const Window& window) {
    if (window.points.size() < 2) return std::nullopt;
    return regression(window.points, window.points.front().time).slope;
}

std::optional<double> predict_linear(const Window& window) {
    if (window.points.size() < 2) return std::nullopt;
    const Line line = regression(window.points, window.now);
    return line.slope * window.parameters[0] + line.at_origin;
}

} // namespace homeostat::promql
