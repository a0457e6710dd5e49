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

// The `count` samples that come first, kept in a binary heap whose root is the worst of them, as Prometheus
// does: which of several equal samples stay follows from the heap, so it is the same one, operation by
// operation.
std::vector<std::size_t> first_of(const std::vector<std::size_t>& places, std::size_t count,
                                  const Vector& samples, bool largest) {
    std::vector<std::size_t> heap;
    const auto value = [&](std::size_t place) { return samples[place].value; };
    const auto less = [&](double a, double b) { return largest ? a < b : a > b; };
    const auto worse = [&](std::size_t i, std::size_t j) { // NaN is worse than any, also than NaN
        return std::isnan(value(heap[i])) || less(value(heap[i]), value(heap[j]));
    };
    const auto displaces = [&](double better, double worst) {
        return less(worst, better) || (std::isnan(worst) && !std::isnan(better));
    };
    const auto sift_up = [&](std::size_t i) {
        for (std::size_t parent = (i - 1) / 2; i > 0 && worse(i, parent); i = parent, parent = (i - 1) / 2)
            std::swap(heap[i], heap[parent]);
    };
    const auto sift_down = [&](std::size_t i) {
        for (std::size_t child = 1; (child = 2 * i + 1) < heap.size(); i = child) {
            if (child + 1 < heap.size() && worse(child + 1, child)) ++child;
            if (!worse(child, i)) return;
            std::swap(heap[i], heap[child]);
        }
    };
    for (const std::size_t place : places) {
        if (heap.size() < count) {
            heap.push_back(place);
            sift_up(heap.size() - 1);
        } else if (displaces(value(place), value(heap.front()))) {
            heap.front() = place;
            sift_down(0);
        }
    }
    return heap;
}

// NaN comes last in either order; equal values keep the canonical order.
Vector extremes(const Vector& samples, const Groups& groups, bool largest, double count) {
    const auto before = [&](std::size_t a, std::size_t b) {
        const double x = samples[a].value, y = samples[b].value;
        if (std::isnan(x) || std::isnan(y)) return !std::isnan(x) && std::isnan(y);
        return largest ? x > y : x < y;
    };
    Vector made;
    if (count < 1) return made;
    for (const auto& entry : groups) {
        std::vector<std::size_t> places =
            first_of(entry.second, static_cast<std::size_t>(count), samples, largest);
        std::ranges::sort(places);
        std::ranges::stable_sort(places, before);
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

// In quotes, with what is no ASCII escaped: the name is no UTF-8.
std::string escaped(std::string_view text) {
    constexpr std::string_view hex = "0123456789abcdef";
    std::string made = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte > 0x7e)
            ((made += "\\x") += hex[byte >> 4]) += hex[byte & 15];
        else
            made += c;
    }
    return made + '"';
}

// The value is a label of the sample before it is grouped, so that `without` may take it away again.
Result<Vector> count_values(const Vector& samples, const Aggregation& aggregation, const std::string& label) {
    if (!is_label_name(label)) return failure("invalid label name " + escaped(label));
    std::map<Labels, double> counts;
    for (const Sample& sample : samples) {
        const std::string value = plain_number(sample.value);
        ++counts[aggregation.without ? group_labels(sample.labels.with(label, value), aggregation)
                                     : group_labels(sample.labels, aggregation).with(label, value)];
    }
    Vector made;
    for (const auto& [labels, count] : counts) made.push_back({labels, count});
    return made;
}

// How many topk and bottomk take; 0 or less is none.
Result<double> whole_count(double k) {
    if (std::isnan(k)) return failure("Parameter value is NaN");
    constexpr double out_of_range = 9223372036854774784.0; // the largest that is below 2^63
    if (k >= out_of_range) return failure("Scalar value " + plain_number(k) + " overflows int64");
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
        return promql::count_values(*samples, aggregation, evaluation.string(*aggregation.parameter));
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
