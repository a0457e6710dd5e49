// The controller's own knowledge as series, so that one language asks about all of it: link_present,
// link_up, xdp_mode, xdp_program, tc_program, sensor_up, symptom_raised, adaptation_active, evaluation_failed
// as state sets, and counters of how adaptations turned out and of what the loop did and lost.
#pragma once

#include "engine/tick.hpp"
#include "policies/policy_set.hpp"

namespace homeostat {

void record_facts(EngineState& state, Instant now, Decisions& decisions);

// The names of all series that record_facts writes.
ProvidedMetrics fact_names();

} // namespace homeostat
