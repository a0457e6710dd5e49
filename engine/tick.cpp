#include "engine/tick.hpp"

#include "engine/facts.hpp"
#include "engine/monitor.hpp"
#include "engine/reload.hpp"
#include "policies/analyze.hpp"
#include "policies/plan.hpp"

#include <algorithm>

namespace homeostat {

EngineState::EngineState(GenerationPtr first)
    : knowledge(first->limits.store), generation(std::move(first)) {}

namespace {

void monitor(EngineState& state, const Inputs& inputs, Decisions& decisions) {
    for (const Outcome& outcome : inputs.outcomes) note_outcome(state.knowledge, outcome, inputs.now);
    decisions.outcomes = inputs.outcomes;
    for (const LinkEvent& link : inputs.readings.links) take_link(state, link, decisions);
    for (const auto& [interface, actual] : inputs.observed)
        take_observed(state, interface, actual, decisions);
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
    const GenerationPtr before = state.generation;
    if (inputs.reload) state.generation = inputs.reload;
    const Generation& generation = *state.generation;
    decisions.now = inputs.now;
    decisions.generation = generation.number;
    if (reloaded) adopt_generation(state, *before, inputs.now, decisions);
    state.adopted = true;
    ++state.ticks;

    monitor(state, inputs, decisions);
    if (inputs.periodic) record_facts(state, inputs.now, decisions);

    const AnalyzeLimits analyze{.instances_per_symptom_max = generation.limits.instances_per_symptom_max,
                                .evaluation = generation.limits.evaluation(state.memory.selectors),
                                .memory = &state.memory};
    record_signals(generation.policies, state.knowledge, inputs.now, analyze, decisions);
    advance_symptoms(generation.policies, state.knowledge, inputs.now, inputs.periodic, analyze, decisions);

    const PlanLimits plan{.instances_per_adaptation_max = generation.limits.instances_per_adaptation_max,
                          .changes_per_minute_max = generation.limits.changes_per_minute_max,
                          .evaluation = analyze.evaluation};
    plan_overlays(generation.policies, generation.baseline, state.knowledge, inputs.now, plan, reloaded,
                  decisions);
    if (!generation.shadow) plan_transactions(state.knowledge, inputs.now, decisions);
    sweep_series(state, inputs.now);
    state.history.add(decisions, generation.limits.decisions_kept_max);
    return decisions;
}

} // namespace homeostat
