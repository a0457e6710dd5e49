#include "policies/gates.hpp"

#include "knowledge/enum_table.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace homeostat {

namespace {

std::string obstacle(const GateFacts& facts) { return facts.obstacle; }

std::string waiting(const GateFacts& facts) {
    if (!facts.since || facts.now >= *facts.since + facts.span) return "";
    return "until " + to_text(*facts.since + facts.span);
}

std::string suspended(const GateFacts& facts) {
    const std::string until = waiting(facts);
    if (until.empty()) return "";
    return std::to_string(facts.count) + (facts.count == 1 ? " verification" : " verifications") +
           " failed in a row, " + until;
}

std::string many_active(const GateFacts& facts) {
    return facts.count < facts.limit ? "" : std::to_string(facts.limit) + " are active";
}

// Of a rate of none, nothing will open it.
std::string too_often(const GateFacts& facts) {
    if (facts.count < facts.limit) return "";
    const std::string until = facts.since ? ", until " + to_text(*facts.since + facts.span) : "";
    return std::to_string(facts.limit) + " in the last " + to_text(facts.span) + until;
}

// ---- what asks for them

using Rules = std::span<const AdaptationRule>;

bool has_requirements(const AdaptationRule& rule, Rules) { return !rule.requirements.empty(); }
bool rolls_back(const AdaptationRule& rule, Rules) { return rule.verify && rule.verify->rollback; }
bool has_cooldown(const AdaptationRule& rule, Rules) { return rule.cooldown > Duration{0}; }
bool has_damp(const AdaptationRule& rule, Rules) { return rule.damp.has_value(); }
bool has_max_active(const AdaptationRule& rule, Rules) { return rule.max_active.has_value(); }
bool has_budget(const AdaptationRule& rule, Rules) { return rule.budget.has_value(); }
bool has_min_hold(const AdaptationRule& rule, Rules) { return rule.min_hold > Duration{0}; }

bool is_inhibited(const AdaptationRule& rule, Rules all) {
    return std::ranges::any_of(all, [&](const AdaptationRule& other) {
        return std::ranges::find(other.inhibits, rule.name.text, &SourceText::text) != other.inhibits.end();
    });
}

// A template can name any interface.
bool may_share_target(const AdaptationRule& a, const AdaptationRule& b) {
    return std::ranges::any_of(a.settings, [&](const OverlaySetting& x) {
        return std::ranges::any_of(b.settings, [&](const OverlaySetting& y) {
            return x.interface == y.interface || !x.interface.labels().empty() ||
                   !y.interface.labels().empty();
        });
    });
}

bool waits_for_verification(const AdaptationRule& rule, Rules all) {
    return std::ranges::any_of(all, [&](const AdaptationRule& other) {
        return other.verify && other.priority > rule.priority && other.enforcement == Enforcement::enforce &&
               may_share_target(other, rule);
    });
}

// ---- the table

constexpr std::array<GateTraits, 15> gates{{
    {.gate = Gate::enforcement,
     .name = "enforcement",
     .reason = obstacle,
     .in_words = "its policy switches it off"},
    {.gate = Gate::target,
     .name = "target",
     .reason = obstacle,
     .in_words = "there is nothing that it could change"},
    {.gate = Gate::requirements,
     .name = "requires",
     .reason = obstacle,
     .in_words = "it needs another adaptation",
     .is_asked = has_requirements,
     .key = "requires"},
    {.gate = Gate::inhibits,
     .name = "inhibits",
     .reason = obstacle,
     .in_words = "another adaptation keeps it away",
     .is_asked = is_inhibited},
    {.gate = Gate::backoff,
     .name = "backoff",
     .reason = suspended,
     .in_words = "its change did not show the expected effect",
     .is_asked = rolls_back,
     .key = "verify",
     .is_after = true},
    {.gate = Gate::cooldown,
     .name = "cooldown",
     .reason = waiting,
     .in_words = "it was removed lately",
     .is_asked = has_cooldown,
     .key = "cooldown",
     .is_after = true},
    {.gate = Gate::damp,
     .name = "damp",
     .reason = waiting,
     .in_words = "it came and went too often",
     .is_asked = has_damp,
     .key = "damp",
     .is_after = true},
    {.gate = Gate::max_active,
     .name = "max_active",
     .reason = many_active,
     .in_words = "no more instances may be active at one time",
     .is_asked = has_max_active,
     .key = "max_active"},
    {.gate = Gate::budget,
     .name = "budget",
     .reason = too_often,
     .in_words = "it was applied as often as it may be",
     .is_asked = has_budget,
     .key = "budget"},
    {.gate = Gate::verification,
     .name = "verification",
     .reason = obstacle,
     .in_words = "a change of higher priority is not verified yet",
     .is_asked = waits_for_verification,
     .key = "priority"},
    {.gate = Gate::in_flight,
     .name = "in_flight",
     .reason = obstacle,
     .in_words = "an earlier change is still under way"},
    {.gate = Gate::changes_per_minute,
     .name = "changes_per_minute",
     .reason = too_often,
     .in_words = "all adaptations together changed as much as they may"},
    {.gate = Gate::min_hold,
     .name = "min_hold",
     .reason = waiting,
     .in_words = "it must stay for a while",
     .is_asked = has_min_hold,
     .key = "min_hold"},
    {.gate = Gate::reload, .name = "reload", .reason = obstacle, .in_words = "a reload took it away"},
    {.gate = Gate::verify, .name = "verify", .reason = obstacle, .in_words = "its verification"},
}};
static_assert(has_row_for_each(gates, &GateTraits::gate, Gate::verify));

constexpr std::size_t applying = static_cast<std::size_t>(Gate::changes_per_minute) + 1;
constexpr auto applying_names = [] {
    std::array<std::string_view, applying> names{};
    for (std::size_t i = 0; i < applying; ++i) names[i] = gates[i].name;
    return names;
}();
constexpr std::string_view name_of(Gate gate) { return gates[static_cast<std::size_t>(gate)].name; }
constexpr std::array<std::string_view, 3> removing_names{name_of(Gate::min_hold), name_of(Gate::verification),
                                                         name_of(Gate::in_flight)};

} // namespace

const GateTraits& traits(Gate gate) { return gates[static_cast<std::size_t>(gate)]; }

const GateTraits* find_gate(std::string_view name) {
    const auto row = std::ranges::find(gates, name, &GateTraits::name);
    return row == gates.end() ? nullptr : &*row;
}

std::span<const GateTraits> all_gates() { return gates; }
std::span<const std::string_view> gates_of_applying() { return applying_names; }
std::span<const std::string_view> gates_of_removing() { return removing_names; }

GateVerdict judge(Gate gate, GateFacts facts) {
    std::string reason = traits(gate).reason(facts);
    const bool open = reason.empty();
    return {.gate = std::string(name_of(gate)),
            .open = open,
            .detail = std::move(reason),
            .facts = std::move(facts)};
}

const GateVerdict* first_closed(std::span<const GateVerdict> verdicts) {
    const auto closed = std::ranges::find(verdicts, false, &GateVerdict::open);
    return closed == verdicts.end() ? nullptr : &*closed;
}

bool same_verdicts(std::span<const GateVerdict> a, std::span<const GateVerdict> b) {
    return std::ranges::equal(a, b, [](const GateVerdict& x, const GateVerdict& y) {
        return x.gate == y.gate && x.open == y.open && x.detail == y.detail;
    });
}

} // namespace homeostat
