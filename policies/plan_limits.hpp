// What Plan may do within one tick and one minute.
#pragma once

#include "knowledge/time.hpp"
#include "policies/promql/evaluate.hpp"

#include <cstddef>

namespace homeostat {

// The time over which changes_per_minute counts.
inline constexpr Duration changes_window = std::chrono::minutes{1};

struct PlanLimits {
    std::size_t instances_per_adaptation_max = 1'000;
    std::size_t changes_per_minute_max = 60;
    promql::EvalOptions evaluation; // of expectations
};

} // namespace homeostat
