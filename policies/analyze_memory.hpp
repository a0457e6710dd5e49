// What Analyze remembers from tick to tick, so that a quiet condition costs next to nothing. Only a memory:
// decisions are the same without it. It belongs to one policy set and one Knowledge, and is thrown away with
// either.
#pragma once

#include "knowledge/memory.hpp"
#include "policies/policy_set.hpp"
#include "policies/promql/lanes.hpp"
#include "policies/promql/selection.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace homeostat {

struct AnalyzeMemory {
    struct OfSymptom {
        std::optional<promql::Lanes> raise; // none: not element-wise
        std::optional<promql::Lanes> clear;
        SymptomMemory* life = nullptr; // Knowledge's, which keeps it in its place
    };

    struct OfSignal {
        std::optional<promql::Lanes> lanes;
        std::uint64_t version = 0;  // of the lanes
        std::vector<Labels> labels; // of each lane, with the signal's name
    };

    promql::SelectorCache selectors;
    const PolicySet* policies = nullptr; // that the rest was made for
    std::vector<OfSymptom> symptoms;     // in the order of the policy set
    std::vector<OfSignal> signals;       // in the order of the policy set
};

} // namespace homeostat
