// Monitor's part of a tick: readings become samples of the store, link events the actual state.
#pragma once

#include "engine/tick.hpp"

namespace homeostat {

void take_batch(EngineState& state, const SampleBatch& batch, Decisions& decisions);
void take_link(EngineState& state, const LinkEvent& link, Decisions& decisions);

// Forgets series that nobody has written for so long that no expression can see them.
void sweep_series(EngineState& state, Instant now);

} // namespace homeostat
