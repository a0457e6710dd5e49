// A policy file as values: signals, symptoms and adaptations, each as its author wrote it, checked as far as
// the file alone allows.
#pragma once

#include "knowledge/datapath.hpp"
#include "knowledge/error.hpp"
#include "knowledge/receipt.hpp"
#include "policies/promql/ast.hpp"
#include "policies/source_text.hpp"
#include "policies/symptom.hpp"
#include "policies/template.hpp"
#include "policies/when.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat {

struct Condition {
    SourceText source;
    promql::Expr expr;
};

// Where the values of a rule's keys stand, by their dotted paths ("verify.within").
using Places = std::map<std::string, Position>;

// Records the result of an expression as a series, each tick.
struct SignalRule {
    SourceText name;
    Condition expr;
};

struct SymptomRule {
    SourceText name;
    Condition raise;
    std::optional<Condition> clear; // none: raise is false
    SymptomTiming timing;
    Places places{};
    std::string severity;
    Template summary;
    Position summary_at{};
};

// At most `count` applications within any `window`.
struct Budget {
    std::size_t count = 0;
    Duration window{};
};

// Flap damping as BGP's (RFC 2439): an instance whose penalty reaches `suppress` is not applied again until
// it has decayed below `reuse`.
struct Damping {
    static constexpr double penalty = 1'000; // of one application

    Duration half_life = std::chrono::minutes{15};
    std::int64_t suppress = 2'000;
    std::int64_t reuse = 750;

    // A penalty below this is forgotten, with the instance that has it.
    double forgotten_below() const { return std::min(static_cast<double>(reuse), penalty) / 2; }
};

// An overlay must show its effect: once it has been in effect for `settle`, and before it has been for
// `within`, `expect` must have had a sample.
struct VerifyRule {
    static constexpr Duration backoff_longest = std::chrono::hours{1};

    Condition expect; // its string literals may hold {{label}}
    Duration settle{0};
    Duration within = std::chrono::seconds{5};
    Duration backoff =
        std::chrono::seconds{30}; // how long the first failure suspends; each further one doubles it
    bool rollback = true;         // else a failure is only reported
};

// One attribute that an overlay sets; templates are bound from the instance's labels.
struct OverlaySetting {
    enum class Kind { program, mode, gap_max, tc_ingress, tc_egress, entry };

    Kind kind = Kind::program;
    Template interface;
    Template program;            // Kind::program, tc_ingress, tc_egress
    std::vector<XdpMode> ladder; // Kind::mode
    Duration gap_max{};          // Kind::gap_max
    std::string map;             // Kind::entry
    Template key;                // Kind::entry
    MapValue value;              // Kind::entry
    Position interface_at;
    Position at;
};

inline bool sets_program(const OverlaySetting& setting) {
    using enum OverlaySetting::Kind;
    return setting.kind == program || setting.kind == tc_ingress || setting.kind == tc_egress;
}

struct AdaptationRule {
    SourceText name;
    SourceText when_source;
    When when;
    Places places{};
    std::int64_t priority = 0;
    Enforcement enforcement = Enforcement::enforce;
    std::vector<SourceText> requirements; // `requires`: adaptations that must be active for an agreeing key
    std::vector<SourceText> inhibits;     // adaptations that are kept away while this one is active
    Duration min_hold{0};
    Duration cooldown{0};
    std::optional<Budget> budget;
    std::optional<std::size_t> max_active; // instances at one time
    std::optional<Damping> damp;
    std::optional<VerifyRule> verify;
    std::vector<OverlaySetting> settings;
};

struct PolicyDocument {
    std::vector<SignalRule> signals;
    std::vector<SymptomRule> symptoms;
    std::vector<AdaptationRule> adaptations;
    // Signals and symptoms that were left out for a mistake: others may name them without another one.
    std::vector<std::string> left_out;
    std::vector<SourceText> warnings_allowed; // of this file, by name: `check` does not tell them
};

class TomlTable;

// A condition as rules have them: an instant vector that does not look ahead. Mistakes are the table's.
std::optional<Condition> parse_condition(TomlTable& table, SourceText source);

// All mistakes of the text are told; rules that have one are left out of the document.
PolicyDocument read_policy(std::string_view text, const std::string& file, Diagnostics& diagnostics);

} // namespace homeostat
