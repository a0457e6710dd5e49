// The gates that stand between an adaptation and the datapath. Each is judged by a few facts alone, which its
// verdict carries: judging them again gives the same verdict.
#pragma once

#include "knowledge/receipt.hpp"
#include "policies/document.hpp"

#include <span>
#include <string>
#include <string_view>

namespace homeostat {

// Those that an overlay must pass to be laid come first, in this order; the first closed one is why it is
// not. To be taken away it must pass min_hold, verification and in_flight. The last two tell how something
// ended.
enum class Gate {
    enforcement,        // obstacle: "off"
    target,             // obstacle: an absent label, or an interface that is not managed
    requirements,       // obstacle: a required adaptation that is not active
    inhibits,           // obstacle: an active adaptation that keeps this one away
    backoff,            // since, span: suspended by `count` failed verifications in a row
    cooldown,           // since, span: after the removal
    damp,               // since, span: suppressed for flapping
    max_active,         // count, limit: instances that are active
    budget,             // count, limit, since, span: applications, and the one that must leave the window
    verification,       // obstacle: an overlay of higher priority that is being verified on a target
    in_flight,          // obstacle: a transaction on a target
    changes_per_minute, // count, limit, since, span: applications of all adaptations
    min_hold,           // since, span: after the application
    reload,             // obstacle: why it was taken away
    verify,             // obstacle: why the expectation is not met
};

struct GateTraits {
    // What it says where it is closed; "" where it is open. While nothing happens it stays the same, so that
    // waiting makes one receipt.
    using Reason = std::string (*)(const GateFacts&);
    // Whether the author of these adaptations has asked for it, so that it may close for this one.
    using Asked = bool (*)(const AdaptationRule& rule, std::span<const AdaptationRule> all);

    Gate gate{};
    std::string_view name;
    Reason reason = nullptr;
    std::string_view in_words; // why it is closed
    Asked is_asked = nullptr;  // null: it stands before all, whatever the policies say
    std::string_view key{};    // of the adaptation, by which it is asked for; "": by no key of its own
    bool is_after = false;     // waits after something: before that happened it says nothing
};

const GateTraits& traits(Gate gate);
// nullptr where there is none of the name.
const GateTraits* find_gate(std::string_view name);
std::span<const GateTraits> all_gates();

// By name.
std::span<const std::string_view> gates_of_applying();
std::span<const std::string_view> gates_of_removing();

GateVerdict judge(Gate gate, GateFacts facts);

// The first closed gate; nullptr where all are open.
const GateVerdict* first_closed(std::span<const GateVerdict> gates);

// Whether two lists say the same to their reader. Facts that change with time alone do not count.
bool same_verdicts(std::span<const GateVerdict> a, std::span<const GateVerdict> b);

} // namespace homeostat
