#include "policies/verification.hpp"

#include "policies/promql/introspect.hpp"
#include "policies/promql/literals.hpp"
#include "policies/promql/parser.hpp"
#include "policies/reconcile.hpp"

#include <re2/re2.h>

#include <algorithm>

namespace homeostat {

namespace {

// In a regular expression a label's value stands for itself.
Result<promql::Expr> bind_expectation(const promql::Expr& expect, const Labels& key) {
    return promql::with_literals(expect, [&](const std::string& literal, bool is_regex) {
        const auto parsed = parse_template(literal);
        if (!parsed) return Result<std::string>(std::unexpected(parsed.error()));
        if (!is_regex || parsed->labels().empty()) return bind(*parsed, key);
        std::vector<Label> quoted;
        for (const Label& label : key.all()) quoted.push_back({label.name, RE2::QuoteMeta(label.value)});
        return bind(*parsed, Labels(std::move(quoted)));
    });
}

// `evaluate` gives the value of an expression.
template <class Evaluate> Truth judge_with(const promql::Expr& expect, Evaluate evaluate) {
    const auto has_sample = [&](const promql::Expr& expr) {
        const Result<promql::Value> value = evaluate(expr);
        const auto* samples = value ? std::get_if<promql::Vector>(&*value) : nullptr;
        return samples != nullptr && !samples->empty();
    };
    if (has_sample(expect)) return Truth::yes;
    return has_sample(promql::presence(expect)) ? Truth::no : Truth::missing;
}

} // namespace

ExpectationEvidence ask_expectation(const VerifyRule& rule, const Labels& key, const Knowledge& knowledge,
                                    Instant now, promql::EvalOptions options) {
    ExpectationEvidence evidence{.expect = rule.expect.source.text, .is = Truth::missing, .seen = {}};
    const auto bound = bind_expectation(rule.expect.expr, key);
    if (!bound) return evidence;
    evidence.expect = to_text(*bound);
    options.selectors = nullptr; // a memory of selectors outlives this expression
    promql::Trace trace;
    evidence.is = judge_with(*bound, [&](const promql::Expr& expr) {
        return promql::evaluate(expr, knowledge.series, now, options, &expr == &*bound ? &trace : nullptr);
    });
    for (const promql::Traced& traced : trace.seen)
        for (const promql::Sample& sample : traced.result)
            evidence.seen.push_back({traced.text, sample.labels, sample.value});
    return evidence;
}

Truth judge_again(const ExpectationEvidence& evidence, Instant now) {
    const auto expect = promql::parse(evidence.expect);
    if (!expect) return Truth::missing;
    return judge_with(
        *expect, [&](const promql::Expr& expr) { return promql::evaluate_from(expr, evidence.seen, now); });
}

bool in_effect(const Knowledge& knowledge, const std::set<std::string>& interfaces) {
    return std::ranges::all_of(interfaces, [&](const std::string& interface) {
        const auto desired = knowledge.desired.find(interface);
        const auto actual = knowledge.actual.find(interface);
        const auto target = knowledge.targets.find(interface);
        if (desired == knowledge.desired.end() || actual == knowledge.actual.end()) return false;
        if (target == knowledge.targets.end() || target->second.in_flight || !actual->second.present)
            return false;
        return reconcile(desired->second, actual->second, target->second.settled).empty();
    });
}

Duration suspension(const VerifyRule& rule, unsigned failures) {
    Duration time = rule.backoff;
    for (unsigned i = 1; i < failures && time < VerifyRule::backoff_longest; ++i) time *= 2;
    return std::min(time, std::max(VerifyRule::backoff_longest, rule.backoff));
}

} // namespace homeostat
