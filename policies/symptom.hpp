// The life of a symptom: inactive → pending → raised → clearing → inactive, one instance per label set.
#pragma once

#include "knowledge/memory.hpp"
#include "knowledge/receipt.hpp"
#include "knowledge/time.hpp"

namespace homeostat {

// A condition holds, does not hold, or has no data to tell.
enum class Truth { no, yes, missing };

enum class OnMissing { hold, raise, clear };

struct SymptomTiming {
    Duration for_{0}; // raise must hold this long
    Duration keep{0}; // clear must hold this long
    OnMissing on_missing = OnMissing::hold;
    Duration forget{std::chrono::minutes{10}}; // without data for this long, the instance ends
};

// One step of the life cycle. Where both hold, raise wins. Under OnMissing::hold a missing condition
// changes nothing, and the time of `for` and `keep` rests; otherwise it counts as the one or the other. Where
// raise has been missing for `forget`, the instance is inactive.
SymptomInstance advance(SymptomInstance instance, const SymptomTiming& timing, Truth raise, Truth clear,
                        Instant now);

} // namespace homeostat
