// The life of a symptom: inactive → pending → raised → clearing → inactive, one instance per label set.
#pragma once

#include "knowledge/memory.hpp"
#include "knowledge/receipt.hpp"
#include "knowledge/time.hpp"

#include <optional>
#include <string_view>

namespace homeostat {

enum class OnMissing { hold, raise, clear };
std::string_view to_text(OnMissing on_missing);

// raise counts as true where it held in at least `needed` of the last `ticks` periodic ticks. A tick without
// data is none of them under OnMissing::hold.
struct Quorum {
    static constexpr unsigned ticks_max = 64;

    unsigned needed = 1;
    unsigned ticks = 1;

    bool operator==(const Quorum&) const = default;
};

struct SymptomTiming {
    Duration for_{0}; // raise must hold this long
    Duration keep{0}; // clear must hold this long
    std::optional<Quorum> quorum{};
    OnMissing on_missing = OnMissing::hold;
    Duration forget{std::chrono::minutes{10}}; // without data for this long, the instance ends
};

// What the conditions said of one instance in one tick.
struct Judgement {
    Truth raise = Truth::missing;
    std::optional<Truth> clear{}; // none: raise is false
    bool periodic = true;         // quorum counts these ticks only
    bool clear_is_covered = true; // else clear changes nothing, whatever on_missing says
};

// One step of the life cycle. Where both hold, raise wins. Under OnMissing::hold a missing condition
// changes nothing, and the time of `for` and `keep` rests; otherwise it counts as the one or the other. Where
// raise has been missing for `forget`, the instance is inactive.
SymptomInstance advance(SymptomInstance instance, const SymptomTiming& timing, const Judgement& judgement,
                        Instant now);

// Nothing is remembered of it that a new instance would not have: it need not be kept.
inline bool is_idle(const SymptomInstance& instance) {
    return instance.state == SymptomState::inactive && instance.quorum_ticks == 0;
}

} // namespace homeostat
