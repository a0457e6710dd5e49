#include "policies/symptom.hpp"

#include <bit>

namespace homeostat {

std::string_view to_text(OnMissing on_missing) {
    switch (on_missing) {
    case OnMissing::hold:
        return "hold";
    case OnMissing::raise:
        return "raise";
    case OnMissing::clear:
        return "clear";
    }
    return "?";
}

namespace {

struct Verdicts {
    Truth raise;
    Truth clear;
};

Truth negation(Truth truth) {
    return truth == Truth::missing ? Truth::missing : truth == Truth::yes ? Truth::no : Truth::yes;
}

// Missing data decides as the author said.
Truth resolved(Truth truth, OnMissing on_missing, OnMissing counts_as_true) {
    if (truth != Truth::missing || on_missing == OnMissing::hold) return truth;
    return on_missing == counts_as_true ? Truth::yes : Truth::no;
}

// What raise is by the last periodic ticks. Without data in this one, nobody knows.
Truth by_quorum(SymptomInstance& instance, const Quorum& quorum, Truth raise, bool periodic) {
    if (raise == Truth::missing) return raise;
    if (periodic) {
        const std::uint64_t kept = ~std::uint64_t{0} >> (Quorum::ticks_max - quorum.ticks);
        instance.quorum_ticks = (instance.quorum_ticks << 1 | (raise == Truth::yes ? 1 : 0)) & kept;
    }
    const auto held = static_cast<unsigned>(std::popcount(instance.quorum_ticks));
    return held >= quorum.needed ? Truth::yes : Truth::no;
}

Verdicts verdicts_of(SymptomInstance& instance, const SymptomTiming& timing, const Judgement& judgement) {
    Verdicts is{resolved(judgement.raise, timing.on_missing, OnMissing::raise), Truth::missing};
    if (timing.quorum) is.raise = by_quorum(instance, *timing.quorum, is.raise, judgement.periodic);
    if (!judgement.clear)
        is.clear = negation(is.raise);
    else if (judgement.clear_is_covered)
        is.clear = resolved(*judgement.clear, timing.on_missing, OnMissing::clear);
    return is;
}

void enter(SymptomInstance& instance, SymptomState state, Instant now) {
    instance.state = state;
    instance.since = now;
    instance.resting_since.reset();
}

// The time of `for` and `keep` rests while there is no data for what must hold.
void rest_or_go_on(SymptomInstance& instance, const Verdicts& is, Instant now) {
    const bool rests = (instance.state == SymptomState::pending && is.raise == Truth::missing) ||
                       (instance.state == SymptomState::clearing && is.clear == Truth::missing);
    if (rests && !instance.resting_since) instance.resting_since = now;
    if (rests || !instance.resting_since) return;
    instance.since += now - *instance.resting_since;
    instance.resting_since.reset();
}

} // namespace

SymptomInstance advance(SymptomInstance instance, const SymptomTiming& timing, const Judgement& judgement,
                        Instant now) {
    if (judgement.raise != Truth::missing) {
        instance.missing_since.reset();
    } else {
        if (!instance.missing_since) instance.missing_since = now;
        if (now - *instance.missing_since >= timing.forget) {
            if (instance.state != SymptomState::inactive) enter(instance, SymptomState::inactive, now);
            instance.quorum_ticks = 0;
            return instance;
        }
    }
    const Verdicts is = verdicts_of(instance, timing, judgement);
    rest_or_go_on(instance, is, now);
    switch (instance.state) {
    case SymptomState::inactive:
        if (is.raise == Truth::yes)
            enter(instance, timing.for_ == Duration{0} ? SymptomState::raised : SymptomState::pending, now);
        break;
    case SymptomState::pending:
        if (is.raise == Truth::no)
            enter(instance, SymptomState::inactive, now);
        else if (is.raise == Truth::yes && now - instance.since >= timing.for_)
            enter(instance, SymptomState::raised, now);
        break;
    case SymptomState::raised:
        if (is.raise != Truth::yes && is.clear == Truth::yes)
            enter(instance, timing.keep == Duration{0} ? SymptomState::inactive : SymptomState::clearing,
                  now);
        break;
    case SymptomState::clearing:
        if (is.raise == Truth::yes || is.clear == Truth::no)
            enter(instance, SymptomState::raised, now);
        else if (is.clear == Truth::yes && now - instance.since >= timing.keep)
            enter(instance, SymptomState::inactive, now);
        break;
    }
    return instance;
}

} // namespace homeostat
