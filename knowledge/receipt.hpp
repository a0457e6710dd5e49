// What was decided and why. A tick's decisions are values: equal inputs give equal decisions, and a
// log, a test or a recording reads the same ones.
#pragma once

#include "knowledge/datapath.hpp"
#include "knowledge/labels.hpp"
#include "knowledge/time.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat {

enum class SymptomState { inactive, pending, raised, clearing };
std::string_view to_text(SymptomState state);

enum class Enforcement { off, shadow, enforce };
std::string_view to_text(Enforcement enforcement);

// A condition holds, does not hold, or has no data to tell.
enum class Truth { no, yes, missing };
std::string_view to_text(Truth truth);

// A selector, or a call over a range vector, of a condition, with one of its results. One that has no value
// here had no result.
struct SeenValue {
    std::string expression;
    Labels labels;
    double value = 0;

    bool operator==(const SeenValue&) const = default;
};

// An instance of a symptom as it was when its state last changed, with what its conditions saw then: enough
// to judge them again without any store.
struct SymptomEvidence {
    std::string symptom;
    Labels key;
    SymptomState state{};
    Instant at;        // when its conditions were judged
    double value = 0;  // what raise yielded when it last was true
    std::string raise; // the conditions' texts
    std::string clear; // empty: raise is false
    Truth raise_is = Truth::missing;
    Truth clear_is = Truth::missing; // not asked where raise holds
    bool clear_covered = true;       // the windows of clear were covered; otherwise it counted as missing
    std::vector<SeenValue> seen;
    bool truncated = false; // there were more values than a receipt carries

    bool operator==(const SymptomEvidence&) const = default;
};

struct SymptomChange {
    std::string symptom;
    Labels key;
    SymptomState from{};
    SymptomState to{};
    double value = 0;
    std::string severity;
    std::string summary;
    SymptomEvidence evidence;

    bool operator==(const SymptomChange&) const = default;
};

// What a gate was judged by; which of these count, policies/gates.cpp says for each gate.
struct GateFacts {
    Instant now{};
    std::optional<Instant> since{}; // what it waits after, or the oldest thing that it counts
    Duration span{};                // how long it waits, or counts back
    std::size_t count = 0;
    std::size_t limit = 0;
    std::string obstacle{}; // whatever stands in the way by name; empty: nothing

    bool operator==(const GateFacts&) const = default;
};

struct GateVerdict {
    std::string gate;
    bool open = true;
    std::string detail; // why it is closed, or how far it is
    GateFacts facts;    // it follows from these alone

    bool operator==(const GateVerdict&) const = default;
};

// An attribute that this overlay wanted and another one got.
struct LostAttribute {
    std::string attribute;
    std::string winner;

    bool operator==(const LostAttribute&) const = default;
};

// What a verification asked last, its labels bound, and what it saw.
struct ExpectationEvidence {
    std::string expect;
    Truth is = Truth::missing;
    std::vector<SeenValue> seen;

    bool operator==(const ExpectationEvidence&) const = default;
};

// One per change of an adaptation instance's gate verdicts or of its overlay.
struct Receipt {
    enum class Action {
        apply,     // the overlay is laid
        remove,    // it is taken away
        wait,      // a gate is closed, or another one closed it
        arbitrate, // it lies, but won or lost attributes against another one
        verify,    // its verification ended: it holds, or it is moot
        rollback,  // its verification failed: the overlay is taken away and suspended
    };

    std::uint64_t id = 0;
    std::uint64_t generation = 0;
    std::string adaptation;
    Labels key;
    Action action{};
    Enforcement enforcement{};
    Instant at;
    std::string when;                      // the adaptation's condition
    std::vector<SymptomEvidence> symptoms; // one for each symptom in `when`: an instance that agrees with the
                                           // key and is raised, else the last that was; none: never raised
    bool when_holds = false;
    std::optional<ExpectationEvidence> expectation; // of Action::verify and Action::rollback
    std::vector<GateVerdict> gates;
    std::vector<LostAttribute> lost;
    std::vector<std::string> targets;        // the interfaces that the overlay touches
    std::vector<std::string> sets;           // what it sets there, as "eth0 xdp.program = guard"
    std::vector<TransactionId> transactions; // planned in the same tick for its targets

    bool operator==(const Receipt&) const = default;
};
std::string_view to_text(Receipt::Action action);

// A transaction to be executed, with the overlays that shape the state it leads to.
struct PlannedTransaction {
    Transaction transaction;
    std::vector<std::string> because; // "adaptation{key}", or "baseline"

    bool operator==(const PlannedTransaction&) const = default;
};

struct Decisions {
    Instant now;
    std::uint64_t generation = 0;
    std::vector<SymptomChange> symptoms;
    std::vector<Receipt> receipts;
    std::vector<PlannedTransaction> transactions;
    std::vector<Outcome> outcomes;     // that arrived in this tick
    std::vector<std::string> messages; // limits that were hit, evaluations that failed

    bool operator==(const Decisions&) const = default;
    bool empty() const {
        return symptoms.empty() && receipts.empty() && transactions.empty() && outcomes.empty() &&
               messages.empty();
    }
};

} // namespace homeostat
