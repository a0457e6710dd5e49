#include "engine/tick.hpp"

#include "engine/facts.hpp"
#include "engine/monitor.hpp"
#include "policies/analyze.hpp"
#include "policies/plan.hpp"

#include <algorithm>

namespace homeostat {

EngineState::EngineState(GenerationPtr first)
    : knowledge(first->limits.store), generation(std::move(first)) {}

namespace {

template <class Memory, class Rules, class NameOf>
void forget_removed(std::map<std::string, Memory>& memories, const Rules& rules, NameOf name_of) {
    std::erase_if(memories, [&](const auto& entry) {
        return std::ranges::none_of(rules, [&](const auto& rule) { return name_of(rule) == entry.first; });
    });
}

// Identity is the name: what keeps its name keeps its memory. A changed `raise` resets pending instances
// only; a removed adaptation's overlay goes with its memory.
void adopt_generation(EngineState& state, Instant now) {
    Knowledge& knowledge = state.knowledge;
    const PolicySet& policies = state.generation->policies;
    knowledge.series.set_retention([generation = state.generation](const Labels& labels) {
        return generation->policies.history_for(labels);
    });
    forget_removed(knowledge.symptoms, policies.symptoms, [](const Symptom& s) { return s.rule.name.text; });
    forget_removed(knowledge.adaptations, policies.adaptations,
                   [](const AdaptationRule& a) { return a.name.text; });
    for (const Symptom& symptom : policies.symptoms) {
        SymptomMemory& memory = knowledge.symptoms[symptom.rule.name.text];
        if (memory.raise != symptom.rule.raise.source.text)
            std::erase_if(memory.instances,
                          [](const auto& entry) { return entry.second.state == SymptomState::pending; });
        memory.raise = symptom.rule.raise.source.text;
        memory.covered_from = now;
    }
    const ProvidedMetrics facts = fact_names();
    for (auto& [family, recorded] : knowledge.recorded) {
        const bool is_signal =
            std::ranges::any_of(policies.signals, [&, &name = family](const Signal& signal) {
                return signal.rule.name.text == name;
            });
        if (!is_signal && !facts.contains(family)) (void)record(knowledge, family, {}, now);
    }
}

void monitor(EngineState& state, const Inputs& inputs, Decisions& decisions) {
    for (const auto& [interface, actual] : inputs.observed) state.knowledge.actual[interface] = actual;
    for (const Outcome& outcome : inputs.outcomes) note_outcome(state.knowledge, outcome, inputs.now);
    decisions.outcomes = inputs.outcomes;
    for (const LinkEvent& link : inputs.readings.links) take_link(state, link, decisions);
    for (const SampleBatch& batch : inputs.readings.batches) take_batch(state, batch, decisions);
    state.ticks_skipped += inputs.ticks_skipped;
    if (inputs.inputs_dropped > 0)
        decisions.messages.push_back(std::to_string(inputs.inputs_dropped) +
                                     " inputs were dropped: the queue was full");
    state.inputs_dropped += inputs.inputs_dropped;
}

} // namespace

Decisions tick(EngineState& state, const Inputs& inputs) {
    Decisions decisions;
    const bool reloaded = inputs.reload != nullptr || !state.adopted;
    if (inputs.reload) state.generation = inputs.reload;
    if (reloaded) adopt_generation(state, inputs.now);
    state.adopted = true;
    const Generation& generation = *state.generation;
    decisions.now = inputs.now;
    decisions.generation = generation.number;
    ++state.ticks;

    monitor(state, inputs, decisions);
    if (inputs.periodic) record_facts(state, inputs.now, decisions);

    const AnalyzeLimits analyze{.instances_per_symptom_max = generation.limits.instances_per_symptom_max,
                                .evaluation = generation.limits.evaluation()};
    record_signals(generation.policies, state.knowledge, inputs.now, analyze, decisions);
    advance_symptoms(generation.policies, state.knowledge, inputs.now, analyze, decisions);

    const PlanLimits plan{.instances_per_adaptation_max = generation.limits.instances_per_adaptation_max,
                          .changes_per_minute_max = generation.limits.changes_per_minute_max};
    plan_overlays(generation.policies, generation.baseline, state.knowledge, inputs.now, plan, reloaded,
                  decisions);
    if (!generation.shadow) plan_transactions(state.knowledge, inputs.now, decisions);
    sweep_series(state, inputs.now);
    return decisions;
}

} // namespace homeostat
