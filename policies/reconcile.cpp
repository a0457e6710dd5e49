#include "policies/reconcile.hpp"

#include <algorithm>
#include <optional>

namespace homeostat {

namespace {

bool keeps_mode(const std::vector<XdpMode>& ladder, XdpMode mode, const std::vector<XdpMode>& settled) {
    if (std::ranges::find(ladder, mode) == ladder.end()) return false;
    return settled.empty() || settled == ladder || mode == ladder.front();
}

std::optional<Step> program_step(const DesiredInterface& desired, const ActualInterface& actual,
                                 const std::vector<XdpMode>& settled) {
    const bool is_foreign = actual.xdp && actual.xdp->program.starts_with(foreign_prefix);
    if (!desired.program) return actual.xdp && !is_foreign ? std::optional<Step>(DetachXdp{}) : std::nullopt;
    if (is_foreign && desired.replace_foreign)
        return ReplaceForeignXdp{*desired.program, desired.ladder, {.max = desired.gap_max}};
    if (!actual.xdp) return AttachXdp{*desired.program, desired.ladder};
    if (!keeps_mode(desired.ladder, actual.xdp->mode, settled))
        return SwitchXdpMode{*desired.program, desired.ladder, {.max = desired.gap_max}};
    if (actual.xdp->program != *desired.program) return ReplaceXdp{*desired.program};
    return std::nullopt;
}

// What leaves goes before what comes.
void add_tc_steps(const DesiredInterface& desired, const ActualInterface& actual, std::vector<Step>& steps) {
    for (const auto& [direction, attached] : actual.tc)
        if (!desired.tc.contains(direction)) steps.emplace_back(DetachTc{direction});
    for (const auto& [direction, program] : desired.tc) {
        const auto is = actual.tc.find(direction);
        if (is == actual.tc.end())
            steps.emplace_back(AttachTc{direction, program});
        else if (is->second.program != program)
            steps.emplace_back(ReplaceTc{direction, program});
    }
}

} // namespace

std::vector<Step> reconcile(const DesiredInterface& desired, const ActualInterface& actual,
                            const std::vector<XdpMode>& settled) {
    std::vector<Step> steps;
    if (!actual.present) return steps;
    if (!actual.pinned) steps.emplace_back(PinAgain{}); // first: what is undone is undone by the pins
    for (const auto& [entry, value] : desired.entries) {
        const auto is = actual.entries.find(entry);
        if (is == actual.entries.end() || is->second != value) steps.emplace_back(SetMapEntry{entry, value});
    }
    if (auto step = program_step(desired, actual, settled)) steps.push_back(std::move(*step));
    add_tc_steps(desired, actual, steps);
    for (const auto& [entry, value] : actual.entries)
        if (!desired.entries.contains(entry)) steps.emplace_back(ClearMapEntry{entry});
    return steps;
}

bool is_fallen(const DesiredInterface& desired, const ActualInterface& actual) {
    if (!desired.program || !actual.xdp || desired.ladder.empty()) return false;
    const auto rung = std::ranges::find(desired.ladder, actual.xdp->mode);
    return rung != desired.ladder.begin() && rung != desired.ladder.end();
}

SwitchXdpMode climb_step(const DesiredInterface& desired, const ActualInterface& actual) {
    const auto rung = std::ranges::find(desired.ladder, actual.xdp->mode);
    return {*desired.program, {desired.ladder.begin(), rung}, {.max = desired.gap_max}};
}

} // namespace homeostat
