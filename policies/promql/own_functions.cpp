// Functions over a range vector that Prometheus does not have.
#include "policies/promql/evaluation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace homeostat::promql {

// The mean of the window's samples, each weighed by its age relative to the newest one: 2^(-age / half-life).
// It depends on the window alone, so that a restart does not change it. A half-life that is not above zero
// has no meaning: NaN.
std::optional<double> ewma(const Window& window) {
    const double half_life_s = window.parameters[0];
    if (!(half_life_s > 0)) return std::numeric_limits<double>::quiet_NaN();
    const Instant newest = window.points.back().time;
    CompensatedSum weighted, weights;
    for (const Point& point : window.points) {
        const double age_s = static_cast<double>((newest - point.time).count()) / 1000.0;
        const double weight = std::exp2(-age_s / half_life_s);
        weighted.add(weight * point.value);
        weights.add(weight);
    }
    return weighted.total() / weights.total();
}

// By how many standard deviations of the window its newest sample is above its mean. A window whose samples
// are all equal has 0, whatever rounding leaves of their deviation.
std::optional<double> zscore(const Window& window) {
    if (window.points.size() < 2) return std::nullopt;
    const double last = window.points.back().value;
    const auto is_last = [last](const Point& point) { return point.value == last; };
    if (std::ranges::all_of(window.points, is_last)) return 0;
    ExactSum sum;
    for (const Point& point : window.points) sum.add(point.value);
    return (last - sum.mean(window.points.size())) / *stddev_over_time.value(window);
}

} // namespace homeostat::promql
