// Why things are as they are, in words: what conditions saw, and which gate is closed. Internal to this
// folder.
#pragma once

#include "engine/policy_test/simulation.hpp"

#include <string>
#include <vector>

namespace homeostat::policy_test {

// The first closed gate, with its times counted from the case's beginning; "" where all are open.
std::string closed_gate_text(const std::vector<GateVerdict>& gates, Instant start);

// Of one symptom: each condition, whether it holds for labels that fit, and the values that it saw.
std::vector<std::string> symptom_evidence(const InstancePattern& pattern, const EngineState& state,
                                          Instant now);

// Of one adaptation: whether its symptoms want it, and what keeps it.
std::vector<std::string> adaptation_evidence(const InstancePattern& pattern, const EngineState& state,
                                             Instant start, Instant now);

// The values that a condition saw.
std::vector<std::string> condition_evidence(const promql::Expr& expr, const EngineState& state, Instant now,
                                            const Labels& fitting);

} // namespace homeostat::policy_test
