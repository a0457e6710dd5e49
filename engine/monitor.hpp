// Monitor's part of a tick: readings become samples of the store, link events the actual state.
#pragma once

#include "engine/tick.hpp"

namespace homeostat {

void take_batch(EngineState& state, const SampleBatch& batch, Decisions& decisions);
// What hangs on an interface, read back though nobody changed it: drift shows here. While a transaction is in
// flight its outcome tells, and this is older.
void take_observed(EngineState& state, const std::string& interface, const ActualInterface& observed,
                   Decisions& decisions);
void take_link(EngineState& state, const LinkEvent& link, Decisions& decisions);

// Forgets series that nobody has written for so long that no expression can see them.
void sweep_series(EngineState& state, Instant now);

} // namespace homeostat
