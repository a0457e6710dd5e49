#include "policies/promql/evaluation.hpp"
#include "policies/promql/operators.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <tuple>

namespace homeostat::promql {

namespace {

double operate(BinaryOp op, double a, double b) {
    return with_operation(op, [a, b](auto f) { return f(a, b); });
}

bool drops_name(const Binary& binary) { return !is_comparison(binary.op) || binary.returns_bool; }

// The result for one pair; none where a comparison filters it out. `kept` is what a filter lets through.
std::optional<double> pair_value(const Binary& binary, double left, double right, double kept) {
    const double value = operate(binary.op, left, right);
    if (!is_comparison(binary.op) || binary.returns_bool) return value;
    return value != 0 ? std::optional(kept) : std::nullopt;
}

Result<Value> with_scalar(const Binary& binary, Vector samples, double scalar, bool scalar_is_left) {
    std::size_t size = 0;
    for (Sample& sample : samples) {
        const double left = scalar_is_left ? scalar : sample.value;
        const double right = scalar_is_left ? sample.value : scalar;
        const auto value = pair_value(binary, left, right, sample.value);
        if (!value) continue;
        Labels labels = drops_name(binary) ? sample.labels.without_metric_name() : std::move(sample.labels);
        samples[size++] = {std::move(labels), *value};
    }
    samples.resize(size);
    if (drops_name(binary)) return distinct(std::move(samples));
    return samples;
}

// ---- which samples of two vectors belong together

// The part of the labels that `on` or `ignoring` leaves, without building it.
class MatchKey {
  public:
    explicit MatchKey(const VectorMatching& matching) : matching_(matching) {}

    bool counts(const Label& label) const {
        const bool listed = std::ranges::find(matching_.labels, label.name) != matching_.labels.end();
        return matching_.on ? listed : !listed && label.name != metric_name_label;
    }

    std::size_t hash(const Labels& labels) const {
        std::size_t hash = 0;
        const auto mix = [&hash](std::string_view text) {
            hash = (hash ^ std::hash<std::string_view>()(text)) * std::size_t{0x9e3779b97f4a7c15};
        };
        for (const Label& label : labels.all()) {
            if (!counts(label)) continue;
            mix(label.name);
            mix(label.value);
        }
        return hash;
    }

    bool same(const Labels& a, const Labels& b) const {
        const auto left = a.all(), right = b.all();
        auto i = left.begin(), j = right.begin();
        for (;;) {
            while (i != left.end() && !counts(*i)) ++i;
            while (j != right.end() && !counts(*j)) ++j;
            if (i == left.end() || j == right.end()) return i == left.end() && j == right.end();
            if (*i++ != *j++) return false;
        }
    }

    Labels of(const Labels& labels) const {
        if (matching_.on) return labels.only(matching_.labels);
        return labels.without_metric_name().without(matching_.labels);
    }

  private:
    const VectorMatching& matching_;
};

// Finds the samples of one vector by their key: the first of each key, in the vector's order.
class KeyIndex {
  public:
    KeyIndex(const Vector& samples, const MatchKey& key) : samples_(samples), key_(key) {
        entries_.reserve(samples.size());
        for (std::size_t i = 0; i < samples.size(); ++i) entries_.push_back({key.hash(samples[i].labels), i});
        std::ranges::sort(entries_);
    }

    std::optional<std::size_t> find(const Labels& labels) const {
        const std::size_t hash = key_.hash(labels);
        for (auto at = std::ranges::lower_bound(entries_, Entry{hash, 0});
             at != entries_.end() && at->hash == hash; ++at)
            if (key_.same(samples_[at->place].labels, labels)) return at->place;
        return std::nullopt;
    }

  private:
    struct Entry {
        std::size_t hash;
        std::size_t place;
        auto operator<=>(const Entry&) const = default;
    };

    const Vector& samples_;
    const MatchKey& key_;
    std::vector<Entry> entries_;
};

Vector set_operation(const Binary& binary, Vector left, Vector right) {
    const MatchKey key(binary.matching);
    if (binary.op == BinaryOp::logical_or) {
        const KeyIndex index(left, key);
        std::vector<bool> added;
        for (const Sample& sample : right) added.push_back(!index.find(sample.labels));
        for (std::size_t i = 0; i < right.size(); ++i)
            if (added[i]) left.push_back(std::move(right[i]));
        return left;
    }
    const KeyIndex index(right, key);
    const bool keeps_matches = binary.op == BinaryOp::logical_and;
    std::erase_if(left, [&](const Sample& s) { return index.find(s.labels).has_value() != keeps_matches; });
    return left;
}

// {a="b", c="d"}, as Prometheus writes labels in its errors.
std::string braced(const Labels& labels) {
    std::string made = "{";
    for (const Label& label : labels.all()) {
        if (made.size() > 1) made += ", ";
        made += label.name + "=\"" + label.value + "\"";
    }
    return made + "}";
}

Error duplicate_error(const MatchKey& key, const Labels& first, const Labels& second, bool one_is_right) {
    return {"found duplicate series for the match group " + braced(key.of(first)) + " on the " +
            (one_is_right ? "right" : "left") + " hand-side of the operation: [" + braced(first) + ", " +
            braced(second) +
            "];many-to-many matching not allowed: matching labels must be unique on one side"};
}

Labels pair_labels(const Binary& binary, const Labels& many, const Labels& one) {
    const VectorMatching& matching = binary.matching;
    Labels labels = drops_name(binary) ? many.without_metric_name() : many;
    if (matching.cardinality == VectorMatching::Cardinality::one_to_one) {
        if (matching.on) return labels.only(matching.labels);
        return matching.labels.empty() ? labels : labels.without(matching.labels);
    }
    for (const std::string& label : matching.include) labels = labels.with(label, one.get(label));
    return binary.returns_bool ? labels.without_metric_name() : labels;
}

// A sample of the many side with its partner; without a value where a comparison filters it out.
struct Pair {
    Labels labels;
    std::size_t one; // the partner's place
    std::optional<double> value;
};

// Within one group of a many-to-one match, the result's labels must tell the pairs apart, also those that are
// filtered out.
Result<Vector> values_of_groups(std::vector<Pair> pairs) {
    const auto identity = [](const Pair& pair) { return std::tie(pair.labels, pair.one); };
    if (!std::ranges::is_sorted(pairs, {}, identity)) std::ranges::stable_sort(pairs, {}, identity);
    const auto same = std::ranges::adjacent_find(pairs, {}, identity);
    if (same != pairs.end())
        return failure("multiple matches for labels: grouping labels must ensure unique matches: " +
                       to_text(same->labels));
    Vector made;
    for (Pair& pair : pairs)
        if (pair.value) made.push_back({std::move(pair.labels), *pair.value});
    return distinct(std::move(made));
}

Result<Vector> vector_operation(const Binary& binary, const Vector& left, const Vector& right) {
    using enum VectorMatching::Cardinality;
    const bool one_is_right = binary.matching.cardinality != one_to_many;
    if (left.empty() || right.empty()) return Vector{}; // also where a side is ambiguous
    const bool one_to_one_match = binary.matching.cardinality == one_to_one;
    const Vector& many = one_is_right ? left : right;
    const Vector& one = one_is_right ? right : left;
    const MatchKey key(binary.matching);
    const KeyIndex index(one, key);
    for (std::size_t i = 0; i < one.size(); ++i)
        if (const auto first = index.find(one[i].labels); *first != i)
            return std::unexpected(duplicate_error(key, one[*first].labels, one[i].labels, one_is_right));
    std::vector<bool> matched(one.size());
    std::vector<Pair> pairs;
    Vector made;
    for (const Sample& sample : many) {
        const auto place = index.find(sample.labels);
        if (!place) continue;
        const Sample& partner = one[*place];
        if (one_to_one_match && matched[*place])
            return failure("multiple matches for labels: many-to-one matching must be explicit "
                           "(group_left/group_right)");
        matched[*place] = true;
        const double left_value = one_is_right ? sample.value : partner.value;
        const double right_value = one_is_right ? partner.value : sample.value;
        const auto value = pair_value(binary, left_value, right_value, left_value);
        if (!one_to_one_match)
            pairs.push_back({pair_labels(binary, sample.labels, partner.labels), *place, value});
        else if (value)
            made.push_back({pair_labels(binary, sample.labels, partner.labels), *value});
    }
    return one_to_one_match ? distinct(std::move(made)) : values_of_groups(std::move(pairs));
}

Result<Value> scalar_operation(Evaluation& evaluation, const Binary& binary) {
    const Result<double> left = evaluation.scalar(*binary.left);
    if (!left) return std::unexpected(left.error());
    const Result<double> right = evaluation.scalar(*binary.right);
    if (!right) return std::unexpected(right.error());
    return *pair_value(binary, *left, *right, *left);
}

} // namespace

Result<Value> evaluate_binary(Evaluation& evaluation, const Binary& binary) {
    const bool left_is_scalar = binary.left->type == Type::scalar;
    const bool right_is_scalar = binary.right->type == Type::scalar;
    if (left_is_scalar && right_is_scalar) return scalar_operation(evaluation, binary);
    if (left_is_scalar || right_is_scalar) {
        const Result<double> scalar = evaluation.scalar(left_is_scalar ? *binary.left : *binary.right);
        if (!scalar) return std::unexpected(scalar.error());
        Result<Vector> samples = evaluation.vector(left_is_scalar ? *binary.right : *binary.left);
        if (!samples) return std::unexpected(std::move(samples.error()));
        return with_scalar(binary, std::move(*samples), *scalar, left_is_scalar);
    }
    Result<Vector> left = evaluation.vector(*binary.left);
    if (!left) return std::unexpected(std::move(left.error()));
    Result<Vector> right = evaluation.vector(*binary.right);
    if (!right) return std::unexpected(std::move(right.error()));
    const std::size_t labels = binary.matching.labels.size() + binary.matching.include.size();
    if (auto affordable = evaluation.spend((left->size() + right->size()) * labels); !affordable)
        return std::unexpected(affordable.error());
    if (is_set_operator(binary.op)) return set_operation(binary, std::move(*left), std::move(*right));
    return vector_operation(binary, *left, *right);
}

} // namespace homeostat::promql
