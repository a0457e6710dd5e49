#include "tests/policies/promql/experimental.hpp"

#include "policies/promql/functions.hpp"
#include "policies/promql/introspect.hpp"

#include <algorithm>
#include <array>

namespace homeostat::promql {

namespace {

bool is_vector(const ExprPtr& argument) {
    return argument->type == Type::vector || argument->type == Type::matrix;
}

// The argument that a function takes the samples of; null where it has none.
const Expr* samples_of(const Call& call) {
    const auto found = std::ranges::find_if(call.arguments, is_vector);
    return found == call.arguments.end() ? nullptr : found->get();
}

// Whether samples have lost their name on the way here; an aggregation by other labels does not count.
bool has_dropped_names(const Expr& expr) {
    constexpr std::array<std::string_view, 5> keeping{"last_over_time", "sort", "sort_desc", "label_replace",
                                                      "label_join"};
    if (std::holds_alternative<Negation>(expr.node)) return true;
    if (const auto* subquery = std::get_if<Subquery>(&expr.node)) return has_dropped_names(*subquery->inner);
    if (const auto* binary = std::get_if<Binary>(&expr.node)) {
        const bool keeps =
            is_set_operator(binary->op) || (is_comparison(binary->op) && !binary->returns_bool);
        return !keeps || has_dropped_names(*binary->left) || has_dropped_names(*binary->right);
    }
    if (const auto* aggregation = std::get_if<Aggregation>(&expr.node))
        return has_dropped_names(*aggregation->operand);
    if (const auto* call = std::get_if<Call>(&expr.node)) {
        const Expr* samples = samples_of(*call);
        if (samples == nullptr) return false;
        return std::ranges::find(keeping, call->function->name) == keeping.end() ||
               has_dropped_names(*samples);
    }
    return false;
}

bool is_name(const ExprPtr& argument) {
    const auto* string = std::get_if<StringLiteral>(&argument->node);
    return string != nullptr && string->value == metric_name_label;
}

// Whether a name is asked for where it has been dropped.
bool reads_dropped_names(const Expr& expr) {
    bool reads = false;
    if (const auto* aggregation = std::get_if<Aggregation>(&expr.node))
        reads = std::ranges::find(aggregation->labels, metric_name_label) != aggregation->labels.end() &&
                has_dropped_names(*aggregation->operand);
    else if (const auto* call = std::get_if<Call>(&expr.node))
        reads = call->function->name.starts_with("label_") && std::ranges::any_of(call->arguments, is_name) &&
                has_dropped_names(*samples_of(*call));
    for_each_child(expr, [&reads](const Expr& child) { reads |= reads_dropped_names(child); });
    return reads;
}

bool reads_metadata(const Expr& expr, const SeriesStore& store) {
    const std::vector<SelectorNeed> needs = selectors(expr);
    return std::ranges::any_of(store.all(), [&](SeriesId id) {
        const Labels& labels = store.labels(id);
        if (labels.get("__type__").empty() && labels.get("__unit__").empty()) return false;
        return std::ranges::any_of(needs, [&](const SelectorNeed& need) { return need.matches(labels); });
    });
}

} // namespace

std::string experimental_reason(const Expr& expr, const SeriesStore& store, const std::string& difference) {
    if (reads_metadata(expr, store))
        return "the labels __type__ or __unit__ are read, which fall away with the name";
    const bool collides = difference.find("metrics with the same labelset") != difference.npos;
    if ((collides && has_dropped_names(expr)) || reads_dropped_names(expr))
        return "names are dropped on the way, and not at the end";
    return "";
}

} // namespace homeostat::promql
