#include "policies/reconcile.hpp"

#include <algorithm>
#include <optional>

namespace homeostat {

namespace {

std::optional<Step> program_step(const DesiredInterface& desired, const ActualInterface& actual) {
    if (!desired.program) return actual.xdp ? std::optional<Step>(DetachXdp{}) : std::nullopt;
    if (!actual.xdp) return AttachXdp{*desired.program, desired.ladder};
    if (std::ranges::find(desired.ladder, actual.xdp->mode) == desired.ladder.end())
        return SwitchXdpMode{*desired.program, desired.ladder};
    if (actual.xdp->program != *desired.program) return ReplaceXdp{*desired.program};
    return std::nullopt;
}

} // namespace

std::vector<Step> reconcile(const DesiredInterface& desired, const ActualInterface& actual) {
    std::vector<Step> steps;
    if (!actual.present) return steps;
    for (const auto& [entry, value] : desired.entries) {
        const auto is = actual.entries.find(entry);
        if (is == actual.entries.end() || is->second != value) steps.emplace_back(SetMapEntry{entry, value});
    }
    if (auto step = program_step(desired, actual)) steps.push_back(std::move(*step));
    for (const auto& [entry, value] : actual.entries)
        if (!desired.entries.contains(entry)) steps.emplace_back(ClearMapEntry{entry});
    return steps;
}

} // namespace homeostat
