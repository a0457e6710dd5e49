#include "engine/reload.hpp"

#include "engine/facts.hpp"
#include "policies/plan.hpp"

#include <algorithm>

namespace homeostat {

namespace {

template <class Memory, class Rules, class NameOf>
void forget_removed(std::map<std::string, Memory>& memories, const Rules& rules, NameOf name_of) {
    std::erase_if(memories, [&](const auto& entry) {
        return std::ranges::none_of(rules, [&](const auto& rule) { return name_of(rule) == entry.first; });
    });
}

const std::string& name_of_adaptation(const AdaptationRule& rule) { return rule.name.text; }

void adopt_adaptations(const PolicySet& before, const PolicySet& next, Knowledge& knowledge,
                       Decisions& decisions) {
    for (const AdaptationRule& old : before.adaptations) {
        const auto same = std::ranges::find(next.adaptations, old.name.text, name_of_adaptation);
        if (same == next.adaptations.end())
            end_overlays(old, "the adaptation is no longer there", knowledge, decisions);
        else if (same->enforcement != old.enforcement)
            end_overlays(old, "its enforcement becomes " + std::string(to_text(same->enforcement)), knowledge,
                         decisions);
    }
    forget_removed(knowledge.adaptations, next.adaptations, name_of_adaptation);
}

void adopt_symptoms(const PolicySet& next, Knowledge& knowledge, Instant now) {
    forget_removed(knowledge.symptoms, next.symptoms,
                   [](const Symptom& symptom) -> const std::string& { return symptom.rule.name.text; });
    for (const Symptom& symptom : next.symptoms) {
        SymptomMemory& memory = knowledge.symptoms[symptom.rule.name.text];
        if (memory.raise != symptom.rule.raise.source.text)
            std::erase_if(memory.instances,
                          [](const auto& entry) { return entry.second.state == SymptomState::pending; });
        memory.raise = symptom.rule.raise.source.text;
        memory.covered_from = now;
    }
}

void end_removed_signals(const PolicySet& next, Knowledge& knowledge, Instant now) {
    const ProvidedMetrics facts = fact_names();
    for (auto& [family, recorded] : knowledge.recorded) {
        const bool is_signal = std::ranges::any_of(
            next.signals, [&, &name = family](const SignalRule& signal) { return signal.name.text == name; });
        if (!is_signal && !facts.contains(family)) (void)record(knowledge, family, {}, now);
    }
}

} // namespace

void adopt_generation(EngineState& state, const Generation& before, Instant now, Decisions& decisions) {
    const PolicySet& next = state.generation->policies;
    state.memory = {};
    state.knowledge.series.set_limits(state.generation->limits.store);
    state.knowledge.series.set_retention([generation = state.generation](const Labels& labels) {
        return generation->policies.history_for(labels);
    });
    adopt_adaptations(before.policies, next, state.knowledge, decisions);
    adopt_symptoms(next, state.knowledge, now);
    end_removed_signals(next, state.knowledge, now);
}

} // namespace homeostat
