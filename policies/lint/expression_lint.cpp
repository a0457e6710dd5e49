// Single expressions: windows, rates, counters and subqueries.
#include "policies/lint/lint.hpp"
#include "policies/lint/one_of.hpp"
#include "policies/lint/thresholds.hpp"
#include "policies/lint/warning.hpp"
#include "policies/promql/functions.hpp"
#include "policies/promql/introspect.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace homeostat {

namespace {

using promql::Binary;
using promql::BinaryOp;
using promql::Call;
using promql::Expr;
using promql::MetricKind;
using promql::Selector;
using promql::Subquery;

// They need two samples within their window.
constexpr std::array<std::string_view, 7> of_two{"rate",   "irate", "increase",      "delta",
                                                 "idelta", "deriv", "predict_linear"};
constexpr std::array<std::string_view, 3> of_counters{"rate", "irate", "increase"};
constexpr std::array<std::string_view, 3> of_gauges{"delta", "idelta", "deriv"};
// Their results are hardly ever a number exactly.
constexpr std::array<std::string_view, 7> measured{"rate",  "irate",          "increase",     "deriv",
                                                   "delta", "predict_linear", "avg_over_time"};

Duration range_of_window(const Expr& matrix) {
    if (const auto* selector = std::get_if<Selector>(&matrix.node))
        return selector->range.value_or(Duration{0});
    const auto* subquery = std::get_if<Subquery>(&matrix.node);
    return subquery != nullptr ? subquery->range : Duration{0};
}

// What a window holds, as one writes it in a message.
std::string inside(const Expr& matrix) {
    if (const auto* subquery = std::get_if<Subquery>(&matrix.node)) return promql::to_text(*subquery->inner);
    const auto* selector = std::get_if<Selector>(&matrix.node);
    return selector != nullptr ? selector->metric_name : promql::to_text(matrix);
}

MetricKind kind_of_window(const Expr& matrix, const promql::Schema& schema) {
    const auto* subquery = std::get_if<Subquery>(&matrix.node);
    return promql::kind_of_result(subquery != nullptr ? *subquery->inner : matrix, schema);
}

class ExpressionLint {
  public:
    ExpressionLint(const Condition& condition, const LintContext& context, Diagnostics& diagnostics)
        : source_(condition.source), context_(context), diagnostics_(diagnostics) {
        check(condition.expr);
    }

  private:
    void warn(std::string_view name, const Expr& at, std::string what, std::string what_to_do) {
        diagnostics_.push_back(warning(name, source_, at.at.offset, std::move(what), std::move(what_to_do)));
    }

    void check(const Expr& expr) {
        promql::for_each_child(expr, [this](const Expr& child) { check(child); });
        if (const auto* call = std::get_if<Call>(&expr.node)) check_call(expr, *call);
        if (const auto* subquery = std::get_if<Subquery>(&expr.node)) check_subquery(expr, *subquery);
        if (const auto* binary = std::get_if<Binary>(&expr.node))
            if (promql::is_comparison(binary->op)) check_comparison(expr, *binary);
    }

    void check_call(const Expr& expr, const Call& call) {
        const std::string name(call.function->name);
        if (!is_one_of(name, of_two)) return;
        const Expr& matrix = *call.arguments.front();
        const Duration range = range_of_window(matrix);
        if (context_.period && range < 2 * *context_.period && std::holds_alternative<Selector>(matrix.node))
            warn("window-too-short", expr,
                 name + " needs two samples, and a window of " + to_text(range) +
                     " rarely holds them at a period of " + to_text(*context_.period),
                 "expected at least " + to_text(2 * *context_.period));
        const MetricKind kind = kind_of_window(matrix, context_.schema);
        if (is_one_of(name, of_counters) && (kind == MetricKind::gauge || kind == MetricKind::state))
            warn("rate-of-gauge", expr, name + " is of counters, and '" + inside(matrix) + "' is none",
                 "take the rate of the counter first, or use deriv or delta");
        if (is_one_of(name, of_gauges) && kind == MetricKind::counter)
            warn("delta-of-counter", expr,
                 name + " takes a restart of the counter '" + inside(matrix) + "' for a fall",
                 "use increase, rate or irate");
    }

    void check_subquery(const Expr& expr, const Subquery& subquery) {
        const Duration step = subquery.step.value_or(promql::EvalOptions{}.subquery_step);
        if (!subquery.step && subquery.range < 2 * step)
            warn("subquery-step", expr,
                 "without a step it is evaluated each " + to_text(step) + ", in a window of " +
                     to_text(subquery.range),
                 "name a step, such as [" + to_text(subquery.range) + ":1s]");
        if (subquery.step && context_.period && step < *context_.period)
            warn("subquery-step", expr,
                 "a step of " + to_text(step) + " asks more often than there are samples, each " +
                     to_text(*context_.period),
                 "expected a step of at least the period");
    }

    void check_comparison(const Expr& expr, const Binary& binary) {
        const auto right = constant(*binary.right);
        const Expr& operand = right ? *binary.left : *binary.right;
        const auto number = right ? right : constant(*binary.left);
        if (!number || operand.type != promql::Type::vector) return;
        const auto* selector = std::get_if<Selector>(&operand.node);
        const bool is_above = right ? binary.op == BinaryOp::gt || binary.op == BinaryOp::ge
                                    : binary.op == BinaryOp::lt || binary.op == BinaryOp::le;
        if (selector != nullptr && is_above &&
            promql::kind_of_result(operand, context_.schema) == MetricKind::counter)
            warn("counter-threshold", expr,
                 "'" + selector->metric_name + "' is a counter: once it is above, it stays there",
                 "compare its rate or increase");
        const auto* call = std::get_if<Call>(&operand.node);
        if (call != nullptr && *number != 0 && is_one_of(call->function->name, measured) &&
            (binary.op == BinaryOp::eq || binary.op == BinaryOp::ne))
            warn("exact-comparison", expr,
                 std::string(call->function->name) + " is hardly ever " + number_text(*number) + " exactly",
                 "use < or >");
    }

    const SourceText& source_;
    const LintContext& context_;
    Diagnostics& diagnostics_;
};

template <class Visit> void for_each_condition(const PolicySet& policies, Visit visit) {
    for (const SignalRule& signal : policies.signals) visit(signal.expr);
    for (const Symptom& symptom : policies.symptoms) {
        visit(symptom.rule.raise);
        if (symptom.rule.clear) visit(*symptom.rule.clear);
    }
    for (const AdaptationRule& rule : policies.adaptations)
        if (rule.verify) visit(rule.verify->expect);
}

void find_unused(const PolicySet& policies, Diagnostics& diagnostics) {
    std::set<std::string> read;
    std::set<std::string> asked; // symptoms
    bool reads_any = false;      // a selector without a name
    for_each_condition(policies, [&](const Condition& condition) {
        for (const promql::SelectorNeed& need : promql::selectors(condition.expr)) {
            read.insert(need.metric_name);
            reads_any |= need.metric_name.empty();
            for (const Symptom& symptom : policies.symptoms)
                if (const Labels fact{{"symptom", symptom.rule.name.text}};
                    need.metric_name == "symptom_raised" &&
                    std::ranges::all_of(need.matchers, [&](const promql::Matcher& matcher) {
                        return matcher.label != "symptom" || matcher.matches(fact.get("symptom"));
                    }))
                    asked.insert(symptom.rule.name.text);
        }
    });
    for (const AdaptationRule& rule : policies.adaptations)
        for (const auto& [name, offset] : symptoms_of(rule.when)) asked.insert(name);
    if (reads_any) return;
    for (const SignalRule& signal : policies.signals)
        if (!read.contains(signal.name.text))
            diagnostics.push_back(warning("unused-signal", signal.name, 0,
                                          "no expression reads the signal '" + signal.name.text + "'",
                                          "remove it, unless it is for a person to look at"));
    for (const Symptom& symptom : policies.symptoms)
        if (!asked.contains(symptom.rule.name.text))
            diagnostics.push_back(
                warning("unused-symptom", symptom.rule.name, 0,
                        "no adaptation waits for the symptom '" + symptom.rule.name.text + "'",
                        "remove it, unless it is for a person to hear of"));
}

} // namespace

void lint_expressions(const PolicySet& policies, const LintContext& context, Diagnostics& diagnostics) {
    for_each_condition(policies,
                       [&](const Condition& condition) { ExpressionLint(condition, context, diagnostics); });
    if (context.is_whole) find_unused(policies, diagnostics);
}

} // namespace homeostat
