// Every limit of the loop, as one value. What happens at a limit is a counter and a message.
#pragma once

#include "knowledge/series_store.hpp"
#include "knowledge/time.hpp"
#include "policies/promql/evaluate.hpp"

#include <cstddef>

namespace homeostat {

struct Limits {
    StoreLimits store;
    Duration lookback = std::chrono::minutes{5};         // how old a selector's sample may be
    std::size_t inputs_queued_max = 65'536;              // batches of samples waiting for a tick
    std::size_t samples_per_evaluation_max = 10'000'000; // touched by one expression in one tick
    std::size_t work_per_evaluation_max = 4'000'000; // some tens of nanoseconds each, see promql::EvalOptions
    std::size_t instances_per_symptom_max = 1'000;
    std::size_t instances_per_adaptation_max = 1'000;
    std::size_t changes_per_minute_max = 60; // overlays applied, over all adaptations
    std::size_t decisions_kept_max = 4'096;  // that questions can be asked about

    // For one expression in one tick. The cache stays the caller's.
    promql::EvalOptions evaluation(promql::SelectorCache& selectors) const {
        return {.lookback = lookback,
                .samples_max = samples_per_evaluation_max,
                .series_max = store.series_max,
                .result_max = store.series_max,
                .work_max = work_per_evaluation_max,
                .selectors = &selectors};
    }
};

} // namespace homeostat
