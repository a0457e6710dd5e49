#include "engine/policy_test/evidence_text.hpp"

#include "policies/gates.hpp"
#include "policies/promql/evaluate.hpp"
#include "policies/template.hpp"
#include "policies/when.hpp"

#include <algorithm>

namespace homeostat::policy_test {

namespace {

// Enough to understand; a condition over thousands of series does not print them all.
constexpr std::size_t values_max = 8;

promql::EvalOptions options_of(const EngineState& state) {
    return {.lookback = state.generation->limits.lookback};
}

std::string verdict_of(const promql::Expr& expr, const EngineState& state, Instant now,
                       const Labels& fitting) {
    const auto value = promql::evaluate(expr, state.knowledge.series, now, options_of(state));
    if (!value) return "cannot be evaluated: " + value.error().what;
    for (const promql::Sample& sample : std::get<promql::Vector>(*value))
        if (agree(fitting, sample.labels)) return "holds (" + number_text(sample.value) + ")";
    return "does not hold";
}

void append_condition(const std::string& name, const Condition& condition, const EngineState& state,
                      Instant now, const Labels& fitting, std::vector<std::string>& lines) {
    lines.push_back(name + " '" + condition.source.text + "' " +
                    verdict_of(condition.expr, state, now, fitting));
    std::ranges::move(condition_evidence(condition.expr, state, now, fitting), std::back_inserter(lines));
}

} // namespace

std::string closed_gate_text(const std::vector<GateVerdict>& gates, Instant start) {
    const GateVerdict* closed = first_closed(gates);
    if (closed == nullptr) return "";
    std::string text = "gate " + closed->gate + " is closed";
    if (closed->facts.since && closed->facts.span > Duration{0})
        return text + " until " + to_text(*closed->facts.since + closed->facts.span - start);
    return text + ": " + closed->detail;
}

std::vector<std::string> condition_evidence(const promql::Expr& expr, const EngineState& state, Instant now,
                                            const Labels& fitting) {
    promql::Trace trace;
    std::vector<std::string> lines;
    if (!promql::evaluate(expr, state.knowledge.series, now, options_of(state), &trace)) return lines;
    for (const promql::Traced& traced : trace.seen) {
        bool is_any = false;
        for (const promql::Sample& sample : traced.result) {
            if (!agree(fitting, sample.labels)) continue;
            is_any = true;
            if (lines.size() == values_max) return lines;
            lines.push_back("  " + traced.text + " = " + number_text(sample.value) + "  " +
                            to_text(sample.labels.without_metric_name()));
        }
        if (!is_any && lines.size() < values_max) lines.push_back("  " + traced.text + " has no sample");
    }
    return lines;
}

std::vector<std::string> symptom_evidence(const InstancePattern& pattern, const EngineState& state,
                                          Instant now) {
    std::vector<std::string> lines;
    for (const Symptom& symptom : state.generation->policies.symptoms) {
        if (symptom.rule.name.text != pattern.name) continue;
        append_condition("raise", symptom.rule.raise, state, now, pattern.labels, lines);
        if (symptom.rule.clear)
            append_condition("clear", *symptom.rule.clear, state, now, pattern.labels, lines);
    }
    return lines;
}

std::vector<std::string> adaptation_evidence(const InstancePattern& pattern, const EngineState& state,
                                             Instant start, Instant now) {
    std::vector<std::string> lines;
    for (const AdaptationRule& rule : state.generation->policies.adaptations) {
        if (rule.name.text != pattern.name) continue;
        bool is_wanted = false;
        for (const Labels& key : instances_of(rule.when, state.knowledge.symptoms))
            is_wanted |= pattern.matches(rule.name.text, key);
        lines.push_back("when '" + rule.when_source.text + "' " + (is_wanted ? "holds" : "does not hold"));
        if (const auto memory = state.knowledge.adaptations.find(rule.name.text);
            memory != state.knowledge.adaptations.end())
            for (const auto& [key, instance] : memory->second.instances)
                if (const std::string gate = closed_gate_text(instance.gates, start);
                    pattern.matches(rule.name.text, key) && !gate.empty())
                    lines.push_back(rule.name.text + to_text(key) + ": " + gate);
        if (is_wanted) continue;
        for (const auto& [name, offset] : symptoms_of(rule.when))
            std::ranges::move(symptom_evidence({.source = {}, .name = name, .labels = {}}, state, now),
                              std::back_inserter(lines));
    }
    return lines;
}

} // namespace homeostat::policy_test
