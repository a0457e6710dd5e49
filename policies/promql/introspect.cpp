#include "policies/promql/introspect.hpp"

#include "policies/promql/functions.hpp"

#include <algorithm>

namespace homeostat::promql {

namespace {

ExprPtr present(const ExprPtr& expr) {
    return expr ? std::make_shared<const Expr>(presence(*expr)) : nullptr;
}

bool is_absent(const Function& function) {
    return function.name == "absent" || function.name == "absent_over_time";
}

// What the subqueries around a place add to what is read there.
struct Surroundings {
    Duration history{};
    bool fixed_time = false;
    bool looks_ahead = false;
};

Surroundings inside(Surroundings outer, Duration reach, Duration offset,
                    const std::optional<AtModifier>& at) {
    outer.history += reach + offset;
    outer.fixed_time |= at && at->kind == AtModifier::Kind::time;
    outer.looks_ahead |= offset < Duration{};
    return outer;
}

void collect(const Expr& expr, const Surroundings& around, std::vector<SelectorNeed>& found) {
    if (const auto* selector = std::get_if<Selector>(&expr.node)) {
        const auto here =
            inside(around, selector->range.value_or(Duration{}), selector->offset, selector->at);
        found.push_back({selector->metric_name, selector->matchers, expr.at,
                         std::max(here.history, Duration{}), here.fixed_time, here.looks_ahead});
        return;
    }
    const auto* subquery = std::get_if<Subquery>(&expr.node);
    const Surroundings here =
        subquery ? inside(around, subquery->range, subquery->offset, subquery->at) : around;
    for_each_child(expr, [&](const Expr& child) { collect(child, here, found); });
}

} // namespace

Expr presence(const Expr& expr) {
    Expr made = expr;
    if (auto* binary = std::get_if<Binary>(&made.node)) {
        if (binary->op == BinaryOp::logical_unless) return presence(*binary->left);
        binary->left = present(binary->left);
        binary->right = present(binary->right);
        binary->returns_bool = is_comparison(binary->op);
    } else if (auto* aggregation = std::get_if<Aggregation>(&made.node)) {
        if (aggregation->op == AggregateOp::topk || aggregation->op == AggregateOp::bottomk)
            return presence(*aggregation->operand);
        aggregation->operand = present(aggregation->operand);
        aggregation->parameter = present(aggregation->parameter);
    } else if (auto* call = std::get_if<Call>(&made.node)) {
        if (is_absent(*call->function))
            call->function = &always_absent();
        else
            for (ExprPtr& argument : call->arguments) argument = present(argument);
    } else if (auto* negation = std::get_if<Negation>(&made.node)) {
        negation->inner = present(negation->inner);
    } else if (auto* subquery = std::get_if<Subquery>(&made.node)) {
        subquery->inner = present(subquery->inner);
    }
    return made;
}

bool SelectorNeed::matches(const Labels& labels) const {
    if (!metric_name.empty() && labels.metric_name() != metric_name) return false;
    return std::ranges::all_of(matchers, [&](const Matcher& m) { return m.matches(labels.get(m.label)); });
}

std::vector<SelectorNeed> selectors(const Expr& expr) {
    std::vector<SelectorNeed> found;
    collect(expr, {}, found);
    return found;
}

Duration history_for(const std::vector<SelectorNeed>& needs, const Labels& labels) {
    Duration longest{};
    for (const SelectorNeed& need : needs)
        if (need.history > longest && need.matches(labels)) longest = need.history;
    return longest;
}

Duration longest_window(const Expr& expr) {
    Duration longest{};
    for (const SelectorNeed& need : selectors(expr)) longest = std::max(longest, need.history);
    return longest;
}

std::vector<MetricName> metric_names(const Expr& expr) {
    std::vector<MetricName> names;
    for (const SelectorNeed& need : selectors(expr))
        if (!need.metric_name.empty()) names.push_back({need.metric_name, need.at});
    return names;
}

} // namespace homeostat::promql
