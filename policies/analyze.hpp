// Analyze: signals are recorded, symptoms live. Works on Knowledge in place; what it decided is told.
#pragma once

#include "knowledge/knowledge.hpp"
#include "knowledge/receipt.hpp"
#include "policies/analyze_memory.hpp"
#include "policies/policy_set.hpp"
#include "policies/promql/evaluate.hpp"

namespace homeostat {

struct AnalyzeLimits {
    std::size_t instances_per_symptom_max = 1'000;
    promql::EvalOptions evaluation;
    AnalyzeMemory* memory = nullptr; // not owned; where there is one, evaluation.selectors is its
};

// Records each signal's result as a series of its name at `now`; a label set that is gone ends its series. A
// signal that cannot be evaluated ends all of its series and leaves a message; the others go on.
void record_signals(const PolicySet& policies, Knowledge& knowledge, Instant now, const AnalyzeLimits& limits,
                    Decisions& decisions);

// Moves every instance of every symptom on by one step, and makes new ones. A symptom that cannot be
// evaluated counts as missing and leaves a message; the others go on. `periodic`: not an urgent tick.
void advance_symptoms(const PolicySet& policies, Knowledge& knowledge, Instant now, bool periodic,
                      const AnalyzeLimits& limits, Decisions& decisions);

} // namespace homeostat
