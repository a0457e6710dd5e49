#include "policies/plan.hpp"

#include "policies/adaptation.hpp"
#include "policies/gates.hpp"
#include "policies/receipts.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace homeostat {

std::vector<Overlay> active_overlays(const PolicySet& policies, const Knowledge& knowledge,
                                     const DesiredState& baseline) {
    std::vector<Overlay> overlays;
    for (const AdaptationRule& rule : policies.adaptations) {
        const auto memory = knowledge.adaptations.find(rule.name.text);
        if (memory == knowledge.adaptations.end() || rule.enforcement != Enforcement::enforce) continue;
        for (const auto& [key, instance] : memory->second.instances) {
            auto settings = instance.active ? bind_settings(rule, key) : failure("not active");
            if (!settings) continue;
            std::erase_if(*settings, [&](const auto& s) { return !baseline.contains(s.first.interface); });
            overlays.push_back({rule.name.text, key, rule.priority, std::move(*settings)});
        }
    }
    return overlays;
}

namespace {

Receipt* receipt_of(Decisions& decisions, const std::string& adaptation, const Labels& key) {
    const auto found = std::ranges::find_if(decisions.receipts, [&](const Receipt& receipt) {
        return receipt.adaptation == adaptation && receipt.key == key;
    });
    return found == decisions.receipts.end() ? nullptr : &*found;
}

// Losers are recorded, once per change of what they lost.
void note_losers(const PolicySet& policies, const Arbitration& arbitration, Knowledge& knowledge,
                 Decisions& decisions) {
    for (const AdaptationRule& rule : policies.adaptations) {
        const auto lost_by_key = arbitration.lost.find(rule.name.text);
        for (auto& [key, instance] : knowledge.adaptations[rule.name.text].instances) {
            std::vector<LostAttribute> lost;
            if (lost_by_key != arbitration.lost.end())
                if (const auto found = lost_by_key->second.find(key); found != lost_by_key->second.end())
                    lost = found->second;
            if (lost == instance.lost || !instance.active) continue;
            instance.lost = lost;
            if (Receipt* receipt = receipt_of(decisions, rule.name.text, key)) {
                receipt->lost = std::move(lost);
                continue;
            }
            Receipt receipt = make_receipt(rule, key, instance, Receipt::Action::arbitrate, instance.gates,
                                           knowledge, decisions);
            receipt.lost = std::move(lost);
            decisions.receipts.push_back(std::move(receipt));
        }
    }
}

} // namespace

void plan_overlays(const PolicySet& policies, const DesiredState& baseline, Knowledge& knowledge, Instant now,
                   const PlanLimits& limits, bool generation_changed, Decisions& decisions) {
    while (!knowledge.changes.empty() && knowledge.changes.front() <= now - changes_window)
        knowledge.changes.pop_front();
    bool changed = generation_changed;
    for (const std::size_t i : policies.plan_order)
        changed |= advance_adaptation(policies.adaptations[i], policies, baseline, knowledge, now, limits,
                                      decisions);
    if (!changed) return;
    Arbitration arbitration = arbitrate(baseline, active_overlays(policies, knowledge, baseline));
    note_losers(policies, arbitration, knowledge, decisions);
    knowledge.desired = std::move(arbitration.desired);
    knowledge.desired_because = std::move(arbitration.because);
}

void end_overlays(const AdaptationRule& rule, const std::string& why, Knowledge& knowledge,
                  Decisions& decisions) {
    AdaptationMemory& memory = knowledge.adaptations[rule.name.text];
    for (auto& [key, instance] : memory.instances) {
        if (!std::exchange(instance.active, false)) continue;
        ++memory.totals.removed;
        instance.removed_at = decisions.now;
        instance.verification.reset();
        instance.gates.clear();
        decisions.receipts.push_back(make_receipt(rule, key, instance, Receipt::Action::remove,
                                                  {judge(Gate::reload, {.obstacle = why})}, knowledge,
                                                  decisions));
    }
}

} // namespace homeostat
