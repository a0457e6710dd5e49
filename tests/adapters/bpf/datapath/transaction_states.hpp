// States of an interface that a test goes around, each with an entry that belongs to it, so that a mixture of
// two is seen. In every one UDP is dropped.
#pragma once

#include "policies/reconcile.hpp"
#include "tests/adapters/bpf/datapath/options_at.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <optional>
#include <string>
#include <vector>

namespace homeostat::bpf {

inline std::vector<ProgramSource> state_programs() {
    std::vector<ProgramSource> programs{source("first", "twins", "first"),
                                        source("second", "twins", "second")};
    programs[0].twin = "first_tc";
    programs[1].twin = "second_tc";
    programs.push_back(source("watch_first", "twins", "watch_first"));
    programs.push_back(source("watch_second", "twins", "watch_second"));
    return programs;
}

// Neighbours differ by a replacement, a switch of the mode, both, or an entry alone, and by what is at TC:
// attached, replaced and detached, at one side or at both.
inline const std::vector<DesiredInterface>& states() {
    using TcPrograms = std::map<TcDirection, std::string>;
    static const auto state = [](const char* program, XdpMode mode, std::int64_t limit, TcPrograms tc = {}) {
        return DesiredInterface{.program = program,
                                .ladder = {mode},
                                .entries = {{{"limits", "1"}, {{"", limit}}},
                                            {{"limits", std::to_string(10 + limit)}, {{"", 1}}}},
                                .tc = std::move(tc)};
    };
    static const TcPrograms into{{TcDirection::ingress, "watch_first"}};
    static const TcPrograms both{{TcDirection::ingress, "watch_second"},
                                 {TcDirection::egress, "watch_first"}};
    static const TcPrograms swapped{{TcDirection::ingress, "watch_first"},
                                    {TcDirection::egress, "watch_second"}};
    static const TcPrograms out{{TcDirection::egress, "watch_second"}};
    static const std::vector<DesiredInterface> all{
        state("first", XdpMode::drv, 0),        state("second", XdpMode::drv, 1, into),
        state("second", XdpMode::skb, 2, both), state("first", XdpMode::drv, 3, swapped),
        state("first", XdpMode::drv, 4, out),   state("first", XdpMode::skb, 5),
        state("second", XdpMode::skb, 6, both),
    };
    return all;
}

inline std::map<TcDirection, std::string> programs_of(const std::map<TcDirection, AttachedTc>& tc) {
    std::map<TcDirection, std::string> programs;
    for (const auto& [direction, attached] : tc) programs.emplace(direction, attached.program);
    return programs;
}

inline std::optional<std::size_t> state_of(const ActualInterface& actual) {
    for (std::size_t i = 0; i < states().size(); ++i) {
        const DesiredInterface& wanted = states()[i];
        if (actual.xdp && actual.xdp->program == wanted.program &&
            actual.xdp->mode == wanted.ladder.front() && actual.entries == wanted.entries &&
            programs_of(actual.tc) == wanted.tc)
            return i;
    }
    return std::nullopt;
}

inline std::vector<Step> steps_between(std::size_t from, std::size_t to) {
    const DesiredInterface& before = states()[from];
    std::map<TcDirection, AttachedTc> tc;
    for (const auto& [direction, program] : before.tc) tc.emplace(direction, AttachedTc{program, 1});
    return reconcile(states()[to], {.present = true,
                                    .up = true,
                                    .index = 1,
                                    .xdp = AttachedXdp{*before.program, before.ladder.front(), 1},
                                    .entries = before.entries,
                                    .tc = std::move(tc)});
}

inline std::string text_of(const ActualInterface& actual) {
    std::string text = actual.xdp ? actual.xdp->program + " in mode " + std::string(to_text(actual.xdp->mode))
                                  : "nothing attached";
    for (const auto& [entry, value] : actual.entries)
        text += ", " + entry.map + "." + entry.key + " = " + value_text(value);
    for (const auto& [direction, tc] : actual.tc)
        text += ", " + tc.program + " at TC " + std::string(to_text(direction));
    return text;
}

} // namespace homeostat::bpf
