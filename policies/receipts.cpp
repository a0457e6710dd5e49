#include "policies/receipts.hpp"

#include "policies/overlay.hpp"

#include <algorithm>
#include <utility>

namespace homeostat {

namespace {

void describe_overlay(const AdaptationRule& rule, const Labels& key, Receipt& receipt) {
    const auto settings = bind_settings(rule, key);
    if (!settings) return;
    for (const auto& [attribute, value] : *settings)
        receipt.sets.push_back(to_text(attribute) + " = " + to_text(value));
    const auto interfaces = interfaces_of(*settings);
    receipt.targets.assign(interfaces.begin(), interfaces.end());
}

bool is_positive(const SymptomEvidence& evidence) {
    return evidence.state == SymptomState::raised || evidence.state == SymptomState::clearing;
}

// What this symptom was when it was last seen not to be raised: in this tick, or before.
const SymptomEvidence* newest_unraised(const std::string& symptom, const Labels& key,
                                       const AdaptationInstance& instance, const Decisions& decisions) {
    const SymptomEvidence* newest = nullptr;
    const auto take = [&](const SymptomEvidence& evidence) {
        if (evidence.symptom == symptom && !is_positive(evidence) && agree(evidence.key, key))
            newest = &evidence;
    };
    for (const SymptomEvidence& evidence : instance.symptoms) take(evidence);
    for (const SymptomChange& change : decisions.symptoms) take(change.evidence);
    return newest;
}

} // namespace

void take_evidence(const AdaptationRule& rule, const Labels& key, AdaptationInstance& instance,
                   const Knowledge& knowledge, const Decisions& decisions) {
    const auto raised = evidence_of(rule.when, key, knowledge.symptoms);
    std::vector<SymptomEvidence> taken;
    for (const auto& [symptom, offset] : symptoms_of(rule.when)) {
        if (std::ranges::find(taken, symptom, &SymptomEvidence::symptom) != taken.end()) continue;
        const auto found = std::ranges::find(raised, symptom, [](const auto& entry) { return entry.first; });
        if (found != raised.end())
            taken.push_back(found->second->evidence);
        else if (const auto* last = newest_unraised(symptom, key, instance, decisions))
            taken.push_back(*last);
    }
    instance.symptoms = std::move(taken);
}

Receipt make_receipt(const AdaptationRule& rule, const Labels& key, AdaptationInstance& instance,
                     Receipt::Action action, std::vector<GateVerdict> gates, Knowledge& knowledge,
                     const Decisions& decisions) {
    take_evidence(rule, key, instance, knowledge, decisions);
    Receipt receipt{.id = knowledge.next_receipt++,
                    .generation = decisions.generation,
                    .adaptation = rule.name.text,
                    .key = key,
                    .action = action,
                    .enforcement = rule.enforcement,
                    .at = decisions.now,
                    .when = rule.when_source.text,
                    .symptoms = instance.symptoms,
                    .when_holds = holds(rule.when, key, knowledge.symptoms),
                    .expectation = {},
                    .gates = std::move(gates),
                    .lost = {},
                    .targets = {},
                    .sets = {},
                    .transactions = {}};
    describe_overlay(rule, key, receipt);
    return receipt;
}

} // namespace homeostat
