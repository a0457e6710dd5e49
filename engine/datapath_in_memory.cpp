#include "engine/datapath_in_memory.hpp"

#include "knowledge/overloaded.hpp"

#include <algorithm>
#include <utility>

namespace homeostat {

DatapathInMemory::DatapathInMemory(const std::vector<std::string>& interfaces) {
    for (const std::string& name : interfaces)
        state_[name] = {.present = true, .up = true, .xdp = {}, .entries = {}};
}

Outcome DatapathInMemory::apply(const Transaction& transaction) {
    ActualInterface& actual = state_[transaction.interface];
    ActualInterface next = actual;
    const auto gap = gaps_.find(transaction.interface);
    Attempt attempt{.modes = modes_of(transaction.interface),
                    .error = {},
                    .notes = {},
                    .gap = gap == gaps_.end() ? XdpGap{.ns = 0, .covered = true} : gap->second};
    if (!actual.present) attempt.error = "there is no such device";
    for (const Step& step : transaction.steps)
        if (attempt.error.empty()) take(next, step, attempt);
    const bool ok = attempt.error.empty();
    if (ok) actual = std::move(next);
    return {.id = transaction.id,
            .interface = transaction.interface,
            .ok = ok,
            .error = std::move(attempt.error),
            .notes = std::move(attempt.notes),
            .actual = actual,
            .gap = attempt.gap_left,
            .took_ns = 0,
            .done_monotonic_ns = 0};
}

void DatapathInMemory::set_link(const std::string& interface, bool present, bool up) {
    ActualInterface& actual = state_[interface];
    if (present && !actual.present) actual.index = ++index_;
    if (!present) {
        actual.xdp.reset();
        actual.tc.clear();
        actual.index = 0;
    }
    actual.present = present;
    actual.up = up;
}

void DatapathInMemory::attach(const std::string& interface, const std::optional<std::string>& program) {
    ActualInterface& actual = state_[interface];
    if (program)
        actual.xdp = {*program, actual.xdp ? actual.xdp->mode : XdpMode::drv, ++id_};
    else
        actual.xdp.reset();
}

std::vector<XdpMode> DatapathInMemory::modes_of(const std::string& interface) const {
    const auto found = modes_.find(interface);
    return found == modes_.end() ? std::vector<XdpMode>() : found->second;
}

void DatapathInMemory::attach_by(ActualInterface& actual, const std::string& program,
                                 const std::vector<XdpMode>& ladder, Attempt& attempt) {
    for (const XdpMode mode : ladder) {
        if (attempt.modes.empty() || std::ranges::find(attempt.modes, mode) != attempt.modes.end()) {
            actual.xdp = {program, mode, ++id_};
            return;
        }
        attempt.notes.push_back(std::string(to_text(mode)) + ": not supported");
    }
    for (const std::string& note : attempt.notes) attempt.error += (attempt.error.empty() ? "" : "; ") + note;
}

void DatapathInMemory::switch_by(ActualInterface& actual, const std::string& program,
                                 const std::vector<XdpMode>& ladder, const GapLimit& limit,
                                 Attempt& attempt) {
    if (!attempt.gap.covered) attempt.error = refusal_of_gap(limit, "there is no guard");
    if (!attempt.error.empty()) return;
    attempt.gap_left = attempt.gap;
    attach_by(actual, program, ladder, attempt);
}

void DatapathInMemory::take(ActualInterface& actual, const Step& step, Attempt& attempt) {
    std::visit(
        Overloaded{
            [&](const SetMapEntry& s) { actual.entries[s.entry] = s.value; },
            [&](const ClearMapEntry& s) { actual.entries.erase(s.entry); },
            [&](const AttachXdp& s) { attach_by(actual, s.program, s.ladder, attempt); },
            [&](const ReplaceXdp& s) {
                actual.xdp->program = s.program;
                actual.xdp->program_id = ++id_;
            },
            [&](const SwitchXdpMode& s) { switch_by(actual, s.program, s.ladder, s.gap, attempt); },
            [&](const ReplaceForeignXdp& s) { switch_by(actual, s.program, s.ladder, s.gap, attempt); },
            [&](const DetachXdp&) { actual.xdp.reset(); },
            [&](const AttachTc& s) { actual.tc[s.direction] = {s.program, ++id_}; },
            [&](const ReplaceTc& s) { actual.tc[s.direction] = {s.program, ++id_}; },
            [&](const PinAgain&) { actual.pinned = true; },
            [&](const DetachTc& s) { actual.tc.erase(s.direction); },
        },
        step);
}

} // namespace homeostat
