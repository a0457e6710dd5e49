#include "policies/symptom.hpp"

namespace homeostat {

namespace {

struct Verdicts {
    Truth raise;
    Truth clear;
};

// Missing data decides as the author said.
Verdicts resolve(Truth raise, Truth clear, OnMissing on_missing) {
    if (on_missing == OnMissing::raise) {
        if (raise == Truth::missing) raise = Truth::yes;
        if (clear == Truth::missing) clear = Truth::no;
    } else if (on_missing == OnMissing::clear) {
        if (raise == Truth::missing) raise = Truth::no;
        if (clear == Truth::missing) clear = Truth::yes;
    }
    return {raise, clear};
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

SymptomInstance advance(SymptomInstance instance, const SymptomTiming& timing, Truth raise, Truth clear,
                        Instant now) {
    if (raise != Truth::missing) {
        instance.missing_since.reset();
    } else {
        if (!instance.missing_since) instance.missing_since = now;
        if (now - *instance.missing_since >= timing.forget) {
            if (instance.state != SymptomState::inactive) enter(instance, SymptomState::inactive, now);
            return instance;
        }
    }
    const Verdicts is = resolve(raise, clear, timing.on_missing);
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
