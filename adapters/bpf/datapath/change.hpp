// One transaction on one interface: all of its steps, or the state from before.
#pragma once

#include "adapters/bpf/datapath/datapath.hpp"
#include "adapters/bpf/datapath/foreign.hpp"
#include "adapters/bpf/datapath/instance.hpp"
#include "adapters/bpf/datapath/map_handover.hpp"
#include "adapters/bpf/datapath/offload.hpp"
#include "adapters/bpf/datapath/owner.hpp"
#include "adapters/bpf/datapath/undo.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "knowledge/datapath.hpp"
#include "knowledge/error.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace homeostat::bpf {

std::int64_t unix_ms(); // now, of the clock that people have

// Before each step it is written down how to take it back. A transaction of one step that the kernel makes
// whole needs no such record.
class Change {
  public:
    Change(const KernelPort& kernel, Instance& instance, ManagedInterface& interface,
           const std::string& map_merger, std::vector<std::string>& notes)
        : kernel_(kernel), instance_(instance), interface_(interface), map_merger_(map_merger), notes_(notes),
          owned_before_(interface.owned), attached_before_unix_ms_(interface.attached_unix_ms),
          tc_attached_before_unix_ms_(interface.tc_attached_unix_ms) {}

    Result<void> run(const std::vector<Step>& steps);

    // When the kernel last accepted a program, by the monotonic clock; 0 for never.
    std::int64_t accepted_ns() const { return accepted_ns_; }

    // The time without a program, where there was one: until the next one, or the old one again.
    std::optional<XdpGap> gap() const { return gap_; }

  private:
    Result<void> perform(const SetMapEntry& step);
    Result<void> perform(const ClearMapEntry& step);
    Result<void> perform(const AttachXdp& step);
    Result<void> perform(const ReplaceXdp& step);
    Result<void> perform(const SwitchXdpMode& step);
    Result<void> perform(const ReplaceForeignXdp& step);
    Result<void> perform(const DetachXdp& step);
    Result<void> perform(const AttachTc& step);
    Result<void> perform(const ReplaceTc& step);
    Result<void> perform(const DetachTc& step);
    Result<void> perform(const PinAgain& step);

    Result<unsigned> find_interface();
    Owner owner_of(const AttachedProgram& foreign, unsigned ifindex) const;
    std::string whose(const Owner& owner) const;
    Result<void> refuse_foreign(unsigned ifindex) const;
    Result<void> require_link(unsigned ifindex) const;
    Result<MapHandover> prepare_handover();
    Result<void> hand_over(MapHandover& handover);
    Result<void> climb(const std::string& program, std::span<const XdpMode> ladder, unsigned ifindex,
                       Error refusals = {"", EINVAL});
    Result<bool> switch_beside(const std::string& program, std::span<const XdpMode>& ladder, unsigned ifindex,
                               Error& refusals);
    Result<PinnedProgram> form_for(XdpMode mode, const std::string& program, unsigned ifindex);
    void prepare_attachment(const std::string& program, const std::vector<XdpMode>& ladder, unsigned ifindex);
    Result<void> copy_entries(const std::map<MapEntry, MapValue>& entries, int program);
    Result<void> copy_entry(const MapEntry& entry);
    Result<void> put_entry(const MapEntry& entry, const std::optional<MapValue>& value);
    bool is_offloaded() const { return interface_.link && interface_.link->mode() == XdpMode::hw; }
    std::string cover(const LoadedPrograms::Program& next, unsigned ifindex);
    Result<std::string> cover_or_refuse(const LoadedPrograms::Program& next, const GapLimit& limit,
                                        unsigned ifindex);
    Result<void> keep(const ForeignProgram& foreign);
    std::string gap_text(const std::string& uncovered) const;
    void end_gap(std::int64_t at_ns);
    Result<void> note(Undo undo);
    Result<void> note_xdp();
    Result<void> note_tc(TcDirection direction);
    Result<LoadedPrograms::Program> loaded(const std::string& program, ProgramKind kind) const;
    Result<TcLink*> require_tc(TcDirection direction);
    Result<void> commit();
    std::string take_back_maps();
    // Takes all steps back, the last one first. What to add to the error; "" where all went well.
    std::string roll_back();

    const KernelPort& kernel_;
    Instance& instance_;
    ManagedInterface& interface_;
    const std::string& map_merger_;
    std::vector<std::string>& notes_;
    std::map<MapEntry, MapValue> owned_before_;
    std::int64_t attached_before_unix_ms_;
    std::map<TcDirection, std::int64_t> tc_attached_before_unix_ms_;
    bool journaled_ = false;
    std::vector<Undo> undo_;
    std::int64_t accepted_ns_ = 0;
    std::optional<std::int64_t> gap_began_ns_; // while there is one
    bool gap_covered_ = false;
    std::optional<XdpGap> gap_;
    std::optional<std::string> foreign_pin_;            // of a program that is to go
    std::optional<Result<OffloadedProgram>> offloaded_; // where a ladder has hw
    bool was_offloaded_ = false;
    std::ptrdiff_t handovers_left_ = 0; // steps that put a program in the place of another
};

} // namespace homeostat::bpf
