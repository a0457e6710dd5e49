// What the controller remembers of its own doing: the life of each symptom instance, of each adaptation
// instance, and of each target of changes. Values only; the rules that change them live in policies/.
#pragma once

#include "knowledge/datapath.hpp"
#include "knowledge/labels.hpp"
#include "knowledge/receipt.hpp"
#include "knowledge/time.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace homeostat {

struct SymptomInstance {
    SymptomState state = SymptomState::inactive;
    Instant since;                        // when it entered the state
    double value = 0;                     // what raise yielded when it last was true
    std::optional<Instant> missing_since; // raise has had no data since then
    std::optional<Instant> resting_since; // what `for` or `keep` waits for has had no data since then
    std::uint64_t quorum_ticks = 0; // of the last periodic ticks, those in which raise held: newest lowest
    SymptomEvidence evidence;       // as of the last change of state
    Labels fact;                    // its series: symptom_raised{symptom="…", <key>}

    bool positive() const { return state == SymptomState::raised || state == SymptomState::clearing; }
};

struct SymptomMemory {
    std::map<Labels, SymptomInstance> instances; // by key: the labels of raise's result without the name
    Instant covered_from;                        // windows of `clear` count as covered from here on
    std::string raise;                           // the text of the condition, to notice a change at reload
    std::string error;                           // why the last evaluation failed; empty where it did not
    bool at_limit = false;                       // new instances were refused in the last tick
    std::uint64_t instances_refused = 0;
};

// An overlay that must show its effect.
struct OpenVerification {
    std::optional<Instant> in_effect_at; // its targets are as desired since then
};

// Flap damping after RFC 2439: each application adds to a penalty that decays with a half-life.
struct FlapPenalty {
    double value = 0; // at `at`
    Instant at;
    std::optional<Instant> suppressed_until;
};

struct AdaptationInstance {
    bool active = false; // its overlay is laid (or would be, in shadow)
    Instant applied_at;
    std::optional<Instant> removed_at;
    std::optional<OpenVerification> verification;
    unsigned verifications_failed = 0; // in a row
    std::optional<Instant> suspended_at;
    FlapPenalty penalty;
    std::vector<SymptomEvidence> symptoms; // one for each of its symptoms, as they last changed
    std::vector<GateVerdict> gates;        // as of the last receipt
    std::vector<LostAttribute> lost;       // as of the last receipt
    Labels fact;                           // its series: adaptation_active{adaptation="…", <key>}
};

// How an adaptation's overlays have turned out so far.
struct AdaptationTotals {
    std::uint64_t applied = 0;
    std::uint64_t removed = 0; // also by a rollback
    std::uint64_t verified = 0;
    std::uint64_t rolled_back = 0;
};

struct AdaptationMemory {
    std::map<Labels, AdaptationInstance> instances;
    AdaptationTotals totals;
    std::deque<Instant> applied; // inside the budget's window, oldest first
    bool at_limit = false;       // new instances were refused in the last tick
};

// An interface that changes are made to. One transaction at a time; failures are retried with back-off.
struct TargetMemory {
    std::optional<TransactionId> in_flight;
    bool unread = false; // another device has the name now, and what is attached to it was not read back yet
    std::vector<Step> last_steps;
    std::vector<XdpMode> settled; // the ladder for which the present mode was found
    unsigned failures = 0;        // in a row, of the same steps
    Instant retry_at;
    std::deque<Instant> begun; // transactions within the last second
    bool held_back = false;    // there were too many
    std::optional<XdpGap> gap_newest;
    std::optional<std::int64_t> gap_longest_ns;
    // While the interface is in a lower mode of its ladder:
    std::optional<Instant> climb_at; // when the better ones are tried again
    unsigned climbs_failed = 0;      // in a row
    bool climbing = false;           // the transaction in flight tries them
    std::uint64_t succeeded_total = 0;
    std::uint64_t failed_total = 0;
};

} // namespace homeostat
