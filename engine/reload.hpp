// A new generation takes over from the one before.
#pragma once

#include "engine/tick.hpp"

namespace homeostat {

// Identity is the name: what keeps its name keeps its memory. A changed `raise` resets pending instances
// only; the overlays of an adaptation that was removed, or whose enforcement changed, go at once, with a
// receipt. Signals that are gone end their series.
void adopt_generation(EngineState& state, const Generation& before, Instant now, Decisions& decisions);

} // namespace homeostat
