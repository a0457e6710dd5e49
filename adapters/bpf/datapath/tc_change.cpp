// The steps of a transaction that are of TC.
#include "adapters/bpf/datapath/change.hpp"
#include "adapters/bpf/datapath/recovery.hpp"

#include <cerrno>

namespace homeostat::bpf {

Result<LoadedPrograms::Program> Change::loaded(const std::string& program, ProgramKind kind) const {
    auto found = interface_.programs.program(program);
    if (!found || found->kind == kind) return found;
    return failure("program " + program + " is " + (kind == ProgramKind::xdp ? "a TC" : "an XDP") +
                       " program, and " + std::string(homeostat::to_text(kind)) + " is asked for",
                   EINVAL);
}

Result<void> Change::perform(const AttachTc& step) {
    const auto ifindex = find_interface();
    if (!ifindex) return std::unexpected(ifindex.error());
    adopt_tc(kernel_, interface_, *ifindex);
    if (const auto there = interface_.tc.find(step.direction); there != interface_.tc.end()) {
        if (auto ours = there->second.require_ours(); !ours) return ours;
        return failure("program " + there->second.version() + " is already attached; replace it", EEXIST);
    }
    const auto next = loaded(step.program, ProgramKind::tc);
    if (!next) return std::unexpected(next.error());
    auto handover = prepare_handover();
    if (!handover) return std::unexpected(handover.error());
    if (auto noted = note_tc(step.direction); !noted) return noted;
    auto link = TcLink::attach(kernel_, interface_.pins, {next->descriptor, next->version},
                               {.interface = interface_.name,
                                .ifindex = *ifindex,
                                .direction = step.direction,
                                .guard = interface_.guard ? &*interface_.guard : nullptr,
                                .kind = interface_.guard_kind});
    if (!link) return std::unexpected(link.error());
    interface_.tc.insert_or_assign(step.direction, std::move(*link));
    interface_.tc_attached_unix_ms[step.direction] = unix_ms();
    // The index may have become that of another device just before.
    if (find_interface().value_or(0) != *ifindex)
        return failure("the interface went away, or another device has its name", ENODEV);
    return hand_over(*handover);
}

Result<void> Change::perform(const ReplaceTc& step) {
    const auto link = require_tc(step.direction);
    if (!link) return std::unexpected(link.error());
    const auto next = loaded(step.program, ProgramKind::tc);
    if (!next) return std::unexpected(next.error());
    auto handover = prepare_handover();
    if (!handover) return std::unexpected(handover.error());
    if (auto noted = note_tc(step.direction); !noted) return noted;
    if (auto updated = (*link)->update({next->descriptor, next->version}); !updated) return updated;
    interface_.tc_attached_unix_ms[step.direction] = unix_ms();
    return hand_over(*handover);
}

Result<void> Change::perform(const DetachTc& step) {
    const auto link = require_tc(step.direction);
    if (!link) return std::unexpected(link.error());
    if (auto ours = (*link)->require_ours(); !ours) return ours;
    if (auto noted = note_tc(step.direction); !noted) return noted;
    if (auto removed = (*link)->remove(); !removed) return removed;
    const bool stays = (*link)->shows();
    interface_.tc.erase(step.direction);
    interface_.tc_attached_unix_ms.erase(step.direction);
    if (!stays) return {};
    return failure("the kernel detached the program at TC " +
                       std::string(homeostat::to_text(step.direction)) + " but still shows it",
                   EIO);
}

Result<TcLink*> Change::require_tc(TcDirection direction) {
    const auto ifindex = find_interface();
    if (!ifindex) return std::unexpected(ifindex.error());
    adopt_tc(kernel_, interface_, *ifindex);
    const auto there = interface_.tc.find(direction);
    if (there != interface_.tc.end()) return &there->second;
    return failure("nothing of ours is attached at TC " + std::string(homeostat::to_text(direction)), ENOENT);
}

Result<void> Change::note_tc(TcDirection direction) {
    const auto there = interface_.tc.find(direction);
    if (there == interface_.tc.end()) return note(RestoreTc{direction, std::nullopt});
    return note(RestoreTc{
        direction, RestoreTc::Held{there->second.version(), there->second.kind() == TcLink::Kind::clsact}});
}

} // namespace homeostat::bpf
