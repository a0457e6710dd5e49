#include "policies/promql/evaluation.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>

namespace homeostat::promql {

namespace {

using Values = std::vector<double>;
using Fold = double (*)(const Values&); // of at least one value

double sum(const Values& values) {
    CompensatedSum total;
    for (const double value : values) total.add(value);
    return total.total();
}

double average(const Values& values) {
    Mean mean;
    for (const double value : values) mean.add(value);
    return mean.mean();
}

template <class Better> double extreme(const Values& values) {
    double found = values.front();
    for (const double value : values)
        if (Better()(value, found) || std::isnan(found)) found = value;
    return found;
}

double variance(const Values& values) { // Welford (1962)
    if (!std::isfinite(values.front())) return std::numeric_limits<double>::quiet_NaN();
    double mean = 0, squares = 0, count = 0;
    for (const double value : values) {
        ++count;
        const double delta = value - mean;
        mean += delta / count;
        squares += delta * (value - mean);
    }
    return squares / count;
}

double deviation(const Values& values) { return std::sqrt(variance(values)); }
double number(const Values& values) { return static_cast<double>(values.size()); }
double one(const Values&) { return 1; }

// In the order of AggregateOp, up to stdvar.
constexpr std::array<Fold, 8> folds{
    sum, average, extreme<std::less<>>, extreme<std::greater<>>, number, one, deviation, variance};

Labels group_labels(const Labels& labels, const Aggregation& aggregation) {
    if (aggregation.without) return labels.without_metric_name().without(aggregation.labels);
    return aggregation.labels.empty() ? Labels() : labels.only(aggregation.labels);
}

// The samples' places in `samples`, by group.
using Groups = std::map<Labels, std::vector<std::size_t>>;

Groups groups_of(const Vector& samples, const Aggregation& aggregation) {
    Groups groups;
    for (std::size_t i = 0; i < samples.size(); ++i)
        groups[group_labels(samples[i].labels, aggregation)].push_back(i);
    return groups;
}

Values values_of(const Vector& samples, const std::vector<std::size_t>& places) {
    Values values;
    values.reserve(places.size());
    for (const std::size_t place : places) values.push_back(samples[place].value);
    return values;
}

// NaN comes last in either order; equal values keep the canonical order.
Vector extremes(const Vector& samples, const Groups& groups, bool largest, double count) {
    const auto before = [&](std::size_t a, std::size_t b) {
        const double x = samples[a].value, y = samples[b].value;
        if (std::isnan(x) || std::isnan(y)) return !std::isnan(x) && std::isnan(y);
        return largest ? x > y : x < y;
    };
    Vector made;
    for (const auto& entry : groups) {
        std::vector<std::size_t> places = entry.second;
        std::ranges::stable_sort(places, before);
        if (static_cast<double>(places.size()) > count) places.resize(static_cast<std::size_t>(count));
        for (const std::size_t place : places) made.push_back(samples[place]);
    }
    return made;
}

// As Go prints a number with the fewest digits and no exponent.
std::string plain_number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
    std::array<char, 400> buffer{};
    const auto [end, error] =
        std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed);
    return std::string(buffer.data(), end);
}

Result<Vector> count_values(const Vector& samples, const Groups& groups, const std::string& label) {
    if (label.empty()) return failure("invalid label name '' in count_values");
    std::map<Labels, double> counts;
    for (const auto& [labels, places] : groups)
        for (const std::size_t place : places)
            ++counts[labels.with(label, plain_number(samples[place].value))];
    Vector made;
    for (const auto& [labels, count] : counts) made.push_back({labels, count});
    return made;
}

// How many topk and bottomk take; 0 or less is none.
Result<double> whole_count(double k) {
    if (std::isnan(k))
        return failure("the parameter of topk or bottomk is NaN; expected a number of samples");
    if (std::abs(k) >= 9.2233720368547758e18)
        return failure("the parameter of topk or bottomk overflows a 64-bit integer");
    return std::max(0.0, std::trunc(k));
}

} // namespace

Result<Vector> evaluate_aggregation(Evaluation& evaluation, const Aggregation& aggregation) {
    using enum AggregateOp;
    double parameter = 0;
    if (aggregation.parameter && aggregation.parameter->type == Type::scalar) {
        const Result<double> value = evaluation.scalar(*aggregation.parameter);
        if (!value) return std::unexpected(value.error());
        parameter = *value;
    }
    const Result<Vector> samples = evaluation.vector(*aggregation.operand);
    if (!samples) return samples;
    const std::size_t labels_looked_at = samples->size() * (1 + aggregation.labels.size());
    if (auto affordable = evaluation.spend(labels_looked_at); !affordable)
        return std::unexpected(affordable.error());
    const Groups groups = groups_of(*samples, aggregation);
    if (aggregation.op == topk || aggregation.op == bottomk) {
        const Result<double> count = whole_count(parameter);
        if (!count) return std::unexpected(count.error());
        return extremes(*samples, groups, aggregation.op == topk, *count);
    }
    if (aggregation.op == count_values)
        return promql::count_values(*samples, groups, evaluation.string(*aggregation.parameter));
    Vector made;
    made.reserve(groups.size());
    for (const auto& [labels, places] : groups) {
        Values values = values_of(*samples, places);
        const bool is_quantile = aggregation.op == AggregateOp::quantile;
        const double value = is_quantile ? promql::quantile(parameter, values)
                                         : folds[static_cast<std::size_t>(aggregation.op)](values);
        made.push_back({labels, value});
    }
    return made;
}

} // namespace homeostat::promql
