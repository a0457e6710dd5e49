// The functions over classic histograms: buckets that are series of their own, told apart by the label `le`.
#include "policies/promql/evaluation.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>

namespace homeostat::promql {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

struct Bucket {
    double upper_bound;
    double count; // of observations up to the bound
};

std::optional<double> parse_bound(std::string_view text) {
    if (text.starts_with('+')) text.remove_prefix(1);
    double value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value); // takes "inf" in any case of letters
    if (text.empty() || error != std::errc{} || stop != end) return std::nullopt;
    return value;
}

void merge_equal_bounds(std::vector<Bucket>& buckets) {
    std::vector<Bucket> merged;
    for (const Bucket& bucket : buckets) {
        if (!merged.empty() && merged.back().upper_bound == bucket.upper_bound)
            merged.back().count += bucket.count;
        else
            merged.push_back(bucket);
    }
    buckets = std::move(merged);
}

// Whether they are apart by no more than float error.
bool almost_equal(double a, double b) {
    constexpr double tolerance = 1e-12;
    constexpr double smallest = std::numeric_limits<double>::min();
    if (a == b) return true;
    const double sum = std::abs(a) + std::abs(b);
    const double difference = std::abs(a - b);
    if (a == 0 || b == 0 || sum < smallest) return difference < tolerance * smallest;
    return difference / std::min(sum, std::numeric_limits<double>::max()) < tolerance;
}

// Counts that are apart by no more than float error are made equal, and falls are flattened: buckets that
// were not read at one moment, or were summed, need not rise.
void make_monotonic(std::vector<Bucket>& buckets) {
    double previous = buckets[0].count;
    for (Bucket& bucket : buckets) {
        if (almost_equal(previous, bucket.count) || bucket.count < previous)
            bucket.count = previous;
        else
            previous = bucket.count;
    }
}

// Sorted by their bounds; false where the highest is not infinite, so that nothing can be said.
bool put_in_order(std::vector<Bucket>& buckets) {
    std::ranges::stable_sort(buckets, {}, &Bucket::upper_bound);
    if (buckets.back().upper_bound != infinity) return false;
    merge_equal_bounds(buckets);
    return true;
}

// Linear within the bucket that holds the rank; the highest bucket gives its lower bound, the lowest begins
// at 0 where its upper bound is above 0.
double bucket_quantile(double q, std::vector<Bucket> buckets) {
    if (std::isnan(q)) return nan;
    if (q < 0) return -infinity;
    if (q > 1) return infinity;
    if (!put_in_order(buckets)) return nan;
    make_monotonic(buckets);
    const double observations = buckets.back().count;
    if (buckets.size() < 2 || observations == 0) return nan;
    double rank = q * observations;
    const auto found = std::ranges::find_if(buckets.begin(), buckets.end() - 1,
                                            [rank](const Bucket& b) { return b.count >= rank; });
    const auto place = static_cast<std::size_t>(found - buckets.begin());
    if (place == buckets.size() - 1) return buckets[place - 1].upper_bound;
    const Bucket& bucket = buckets[place];
    if (place == 0 && bucket.upper_bound <= 0) return bucket.upper_bound;
    double start = 0;
    double count = bucket.count;
    if (place > 0) {
        start = buckets[place - 1].upper_bound;
        count -= buckets[place - 1].count;
        rank -= buckets[place - 1].count;
    }
    return start + (bucket.upper_bound - start) * (rank / count);
}

// How many observations are at or below `value`, linear within its bucket. The lowest bucket begins at 0
// where its upper bound is above 0; else it has no beginning, and all of it counts.
double observations_up_to(double value, const std::vector<Bucket>& buckets) {
    double lower_bound = buckets[0].upper_bound <= 0 ? -infinity : 0;
    double below = 0;
    for (const Bucket& bucket : buckets) {
        if (lower_bound >= value) return below;
        if (bucket.upper_bound > value) {
            if (lower_bound == -infinity) return bucket.count;
            const double share = (value - lower_bound) / (bucket.upper_bound - lower_bound);
            return below + (bucket.count - below) * share;
        }
        below = bucket.count;
        lower_bound = bucket.upper_bound;
    }
    return buckets.back().count;
}

double bucket_fraction(double lower, double upper, std::vector<Bucket> buckets) {
    if (!put_in_order(buckets)) return nan;
    const double observations = buckets.back().count;
    if (observations == 0 || std::isnan(lower) || std::isnan(upper)) return nan;
    if (lower >= upper) return 0;
    const double from = std::min(observations_up_to(lower, buckets), observations);
    const double to = std::min(observations_up_to(upper, buckets), observations);
    return (to - from) / observations;
}

// The histograms of a vector, with the name in their labels: those of different names are different. A sample
// without a bound that is a number belongs to none.
using Histograms = std::map<Labels, std::vector<Bucket>>;

Result<Histograms> histograms_of(Evaluation& evaluation, const Expr& argument) {
    static const std::vector<std::string> dropped{"le"};
    const Result<Vector> samples = evaluation.vector(argument);
    if (!samples) return std::unexpected(samples.error());
    Histograms histograms;
    for (const Sample& sample : *samples)
        if (const auto bound = parse_bound(sample.labels.get("le")); bound && !std::isnan(*bound))
            histograms[sample.labels.without(dropped)].push_back({*bound, sample.value});
    return histograms;
}

} // namespace

Result<Value> histogram_quantile(Evaluation& evaluation, const Call& call) {
    const Result<double> q = evaluation.scalar(*call.arguments[0]);
    if (!q) return std::unexpected(q.error());
    Result<Histograms> histograms = histograms_of(evaluation, *call.arguments[1]);
    if (!histograms) return std::unexpected(std::move(histograms.error()));
    Vector made;
    for (auto& [labels, buckets] : *histograms)
        made.push_back({labels.without_metric_name(), bucket_quantile(*q, std::move(buckets))});
    return distinct(std::move(made));
}

Result<Value> histogram_fraction(Evaluation& evaluation, const Call& call) {
    const Result<double> lower = evaluation.scalar(*call.arguments[0]);
    if (!lower) return std::unexpected(lower.error());
    const Result<double> upper = evaluation.scalar(*call.arguments[1]);
    if (!upper) return std::unexpected(upper.error());
    Result<Histograms> histograms = histograms_of(evaluation, *call.arguments[2]);
    if (!histograms) return std::unexpected(std::move(histograms.error()));
    Vector made;
    for (auto& [labels, buckets] : *histograms)
        made.push_back({labels.without_metric_name(), bucket_fraction(*lower, *upper, std::move(buckets))});
    return distinct(std::move(made));
}

} // namespace homeostat::promql
