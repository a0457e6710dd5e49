// Plan: which adaptations lay their overlays, what is desired then, and which transactions lead there.
// Works on Knowledge in place; every decision, and every change of what stands in its way, has a receipt.
#pragma once

#include "knowledge/knowledge.hpp"
#include "knowledge/receipt.hpp"
#include "policies/overlay.hpp"
#include "policies/plan_limits.hpp"
#include "policies/policy_set.hpp"

namespace homeostat {

// The overlays that count, on the interfaces of the baseline. One whose templates no longer bind, after a
// reload, lays nothing.
std::vector<Overlay> active_overlays(const PolicySet& policies, const Knowledge& knowledge,
                                     const DesiredState& baseline);

// Moves every adaptation instance on, lays the overlays on the baseline and leaves the desired state in
// Knowledge. `generation_changed`: lay them again even where no instance changed.
void plan_overlays(const PolicySet& policies, const DesiredState& baseline, Knowledge& knowledge, Instant now,
                   const PlanLimits& limits, bool generation_changed, Decisions& decisions);

// Takes the overlays of a rule away without asking its gates: a reload removed it or changed its enforcement.
void end_overlays(const AdaptationRule& rule, const std::string& why, Knowledge& knowledge,
                  Decisions& decisions);

// One transaction for each interface that differs from what is desired, unless one is in flight or its
// last failure is too young: retries come after 1 s, doubling to 5 m.
void plan_transactions(Knowledge& knowledge, Instant now, Decisions& decisions);

// Takes note of how a transaction ended.
void note_outcome(Knowledge& knowledge, const Outcome& outcome, Instant now);

} // namespace homeostat
