#include "engine/tick.hpp"

#include "engine/facts.hpp"
#include "engine/monitor.hpp"
#include "engine/reload.hpp"
#include "policies/analyze.hpp"
#include "policies/plan.hpp"

#include <algorithm>

namespace homeostat {

EngineState::EngineState(GenerationPtr first)
    : knowledge(first->limits.store), generation(std::move(first)), baseline(generation->baseline) {}

namespace {

void monitor(EngineState& state, const Inputs& inputs, Decisions& decisions) {
    for (const auto& [interface, actual] : inputs.observed)
        take_observed(state, interface, actual, decisions);
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

// A reload ends what operators have changed; what they ask for in the same tick comes after it.
void adopt_baseline(EngineState& state, const Inputs& inputs, const Generation& before,
                    Decisions& decisions) {
    if (inputs.reload) {
        for (const auto& [interface, baseline] : before.baseline)
            if (state.baseline[interface] != baseline)
                decisions.messages.push_back("operator: what was changed on " + interface +
                                             " ends with the reload");
        state.baseline = inputs.reload->baseline;
    }
    for (const OperatorCommand& command : inputs.commands) {
        ++state.commands_taken;
        const auto found = state.baseline.find(command.interface);
        if (found == state.baseline.end()) continue; // a reload took the interface away
        found->second = command.baseline;
        state.knowledge.targets[command.interface].failures = 0; // it is tried at once
        state.knowledge.targets[command.interface].retry_at = inputs.now;
        decisions.messages.push_back("operator: " + command.interface + ": " + command.text);
    }
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
    adopt_baseline(state, inputs, *before, decisions);
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
    plan_overlays(generation.policies, state.baseline, state.knowledge, inputs.now, plan,
                  reloaded || !inputs.commands.empty(), decisions);
    if (!generation.shadow) plan_transactions(state.knowledge, inputs.now, decisions);
    sweep_series(state, inputs.now);
    state.history.add(decisions, generation.limits.decisions_kept_max);
    return decisions;
}

} // namespace homeostat
