// States of an interface that a test goes around, each with an entry that belongs to it, so that a mixture of
// two is seen. In every one UDP is dropped.
#pragma once

#include "adapters/bpf/datapath/datapath.hpp"
#include "policies/reconcile.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <optional>
#include <string>
#include <vector>

namespace homeostat::bpf {

inline DatapathOptions options_at(const std::string& bpffs, const std::string& state) {
    return {.place = {.name = "test", .bpffs = bpffs + "/homeostat", .state = state},
            .anchored = true,
            .guard_kind = {},
            .kernel = KernelPort()};
}

inline std::vector<ProgramSource> state_programs() {
    std::vector<ProgramSource> programs{source("first", "twins", "first"),
                                        source("second", "twins", "second")};
    programs[0].twin = "first_tc";
    programs[1].twin = "second_tc";
    return programs;
}

// Neighbours differ by a replacement, a switch of the mode, both, or an entry alone.
inline const std::vector<DesiredInterface>& states() {
    static const auto state = [](const char* program, XdpMode mode, std::int64_t limit) {
        return DesiredInterface{.program = program,
                                .ladder = {mode},
                                .entries = {{{"limits", "1"}, {{"", limit}}},
                                            {{"limits", std::to_string(10 + limit)}, {{"", 1}}}}};
    };
    static const std::vector<DesiredInterface> all{
        state("first", XdpMode::drv, 0),  state("second", XdpMode::drv, 1), state("second", XdpMode::skb, 2),
        state("first", XdpMode::drv, 3),  state("first", XdpMode::drv, 4),  state("first", XdpMode::skb, 5),
        state("second", XdpMode::skb, 6),
    };
    return all;
}

inline std::optional<std::size_t> state_of(const ActualInterface& actual) {
    for (std::size_t i = 0; i < states().size(); ++i) {
        const DesiredInterface& wanted = states()[i];
        if (actual.xdp && actual.xdp->program == wanted.program &&
            actual.xdp->mode == wanted.ladder.front() && actual.entries == wanted.entries)
            return i;
    }
    return std::nullopt;
}

inline std::vector<Step> steps_between(std::size_t from, std::size_t to) {
    const DesiredInterface& before = states()[from];
    return reconcile(states()[to], {.present = true,
                                    .up = true,
                                    .index = 1,
                                    .xdp = AttachedXdp{*before.program, before.ladder.front(), 1},
                                    .entries = before.entries});
}

inline std::string text_of(const ActualInterface& actual) {
    std::string text = actual.xdp ? actual.xdp->program + " in mode " + std::string(to_text(actual.xdp->mode))
                                  : "nothing attached";
    for (const auto& [entry, value] : actual.entries)
        text += ", " + entry.map + "." + entry.key + " = " + value_text(value);
    return text;
}

} // namespace homeostat::bpf
