#include "policies/gates.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <string>

namespace homeostat {

namespace {

// What a closed gate says; empty where it is open. While nothing happens it stays the same, so that waiting
// makes one receipt.
using Reason = std::string (*)(const GateFacts&);

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

struct Gate {
    std::string_view name;
    Reason reason;
};

constexpr std::array<Gate, 15> gates{{{"enforcement", obstacle},
                                      {"target", obstacle},
                                      {"requires", obstacle},
                                      {"inhibits", obstacle},
                                      {"backoff", suspended},
                                      {"cooldown", waiting},
                                      {"damp", waiting},
                                      {"max_active", many_active},
                                      {"budget", too_often},
                                      {"verification", obstacle},
                                      {"in_flight", obstacle},
                                      {"changes_per_minute", too_often},
                                      {"min_hold", waiting},
                                      {"reload", obstacle},
                                      {"verify", obstacle}}};

constexpr std::size_t applying = 12;
constexpr std::array<std::string_view, 3> removing{"min_hold", "verification", "in_flight"};

constexpr auto applying_names = [] {
    std::array<std::string_view, applying> names{};
    for (std::size_t i = 0; i < applying; ++i) names[i] = gates[i].name;
    return names;
}();

} // namespace

std::span<const std::string_view> gates_of_applying() { return applying_names; }
std::span<const std::string_view> gates_of_removing() { return removing; }

GateVerdict judge(std::string_view gate, GateFacts facts) {
    const auto row = std::ranges::find(gates, gate, &Gate::name);
    assert(row != gates.end());
    std::string reason = row->reason(facts);
    const bool open = reason.empty();
    return {.gate = std::string(gate), .open = open, .detail = std::move(reason), .facts = std::move(facts)};
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
