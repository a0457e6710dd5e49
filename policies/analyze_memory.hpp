// What Analyze remembers from tick to tick, so that a quiet condition costs next to nothing. Only a memory:
// decisions are the same without it. It belongs to one policy set and one Knowledge, and is thrown away with
// either.
#pragma once

#include "knowledge/memory.hpp"
#include "policies/policy_set.hpp"
#include "policies/promql/lanes.hpp"
#include "policies/promql/selection.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace homeostat {

struct AnalyzeMemory {
    // Where an expression runs in lanes.
    struct Place {
        promql::Lanes* lanes = nullptr; // null: it is not element-wise
        std::size_t member = 0;
    };

    struct OfSymptom {
        Place raise;
        std::optional<promql::Lanes> clear; // by itself: it is asked seldom
        SymptomMemory* life = nullptr;      // Knowledge's, which keeps it in its place
    };

    struct OfSignal {
        std::optional<promql::Lanes> lanes; // by itself: it may read other signals
        std::uint64_t version = 0;          // of the lanes
        std::vector<Labels> labels;         // of each lane, with the signal's name
    };

    promql::SelectorCache selectors;
    const PolicySet* policies = nullptr;         // that the rest was made for
    std::map<std::string, promql::Lanes> raises; // of all symptoms, by shape
    std::vector<OfSymptom> symptoms;             // in the order of the policy set
    std::vector<OfSignal> signals;               // in the order of the policy set
};

} // namespace homeostat
