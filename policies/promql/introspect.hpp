// What can be said of an expression without evaluating it. Pure functions.
#pragma once

#include "knowledge/labels.hpp"
#include "knowledge/time.hpp"
#include "policies/promql/ast.hpp"

#include <string>
#include <vector>

namespace homeostat::promql {

// P(e): the expression that has a sample wherever e could have one, were its conditions true. Each filtering
// comparison becomes `bool`, `unless` its left side, topk and bottomk their operand; absent and
// absent_over_time always yield their sample. A label set in e is true; outside e but in P(e), false; outside
// P(e), missing.
Expr presence(const Expr& expr);

// One selector of an expression, and how far back from the evaluation's time it reads.
struct SelectorNeed {
    std::string metric_name;       // "" where the matchers alone choose
    std::vector<Matcher> matchers; // without the one that metric_name stands for
    Span at;
    Duration history{}; // range + offset, and those of the subqueries around it; never negative
    bool fixed_time =
        false; // `@` with a number, here or in a subquery around it: no history will do for good
    bool looks_ahead = false; // a negative offset, here or in a subquery around it

    bool matches(const Labels& labels) const;
};

// All selectors, in source order.
std::vector<SelectorNeed> selectors(const Expr& expr);

// The longest history that any of the selectors that match `labels` needs; 0 where none matches.
Duration history_for(const std::vector<SelectorNeed>& needs, const Labels& labels);

// The longest history of all selectors of the expression.
Duration longest_window(const Expr& expr);

struct MetricName {
    std::string name;
    Span at; // of the selector

    bool operator==(const MetricName&) const = default;
};

// The metric names that selectors name by equality, in source order; a name counts as often as it stands
// there.
std::vector<MetricName> metric_names(const Expr& expr);

} // namespace homeostat::promql
