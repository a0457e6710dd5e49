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

// A selector or a range function of a condition, with one of its results.
struct SeenValue {
    std::string expression;
    Labels labels;
    double value = 0;

    bool operator==(const SeenValue&) const = default;
};

struct SymptomChange {
    std::string symptom;
    Labels key;
    SymptomState from{};
    SymptomState to{};
    double value = 0;
    std::string severity;
    std::string summary;
    std::vector<SeenValue> seen;

    bool operator==(const SymptomChange&) const = default;
};

struct GateVerdict {
    std::string gate;
    bool open = true;
    std::string detail; // why it is closed, or how far it is

    bool operator==(const GateVerdict&) const = default;
};

// An attribute that this overlay wanted and another one got.
struct LostAttribute {
    std::string attribute;
    std::string winner;

    bool operator==(const LostAttribute&) const = default;
};

// One per change of an adaptation instance's gate verdicts or of its overlay.
struct Receipt {
    enum class Action {
        apply,     // the overlay is laid
        remove,    // it is taken away
        wait,      // a gate is closed, or another one closed it
        arbitrate, // it lies, but won or lost attributes against another one
    };

    std::uint64_t id = 0;
    std::uint64_t generation = 0;
    std::string adaptation;
    Labels key;
    Action action{};
    Enforcement enforcement{};
    std::string when;            // the adaptation's condition
    std::vector<SeenValue> seen; // what its symptoms saw when they last changed
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
