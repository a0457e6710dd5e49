// The life of an adaptation's instances in one tick: what its gates let it do.
#pragma once

#include "knowledge/knowledge.hpp"
#include "knowledge/receipt.hpp"
#include "policies/plan_limits.hpp"
#include "policies/policy_set.hpp"

namespace homeostat {

// Applies, verifies and removes the rule's overlays as its symptoms and gates say, with receipts. Whether an
// overlay came or went. Adaptations must be advanced in PolicySet::plan_order.
bool advance_adaptation(const AdaptationRule& rule, const PolicySet& policies, const DesiredState& baseline,
                        Knowledge& knowledge, Instant now, const PlanLimits& limits, Decisions& decisions);

} // namespace homeostat
