// A TC program on one side of an interface: by a pinned TCX link, or, before Linux 6.6, by a filter of a
// clsact qdisc. It stands right behind the guard at ingress (see guard.hpp), and at the head where there is
// none; so it sees the packets before the programs that others attached earlier. A program that returns
// TCX_NEXT (-1, to clsact TC_ACT_UNSPEC) hands the packet on to those behind it; any other verdict is the
// last.
#pragma once

#include "adapters/bpf/datapath/guard.hpp"
#include "adapters/bpf/datapath/instance.hpp"
#include "adapters/bpf/datapath/pinned_program.hpp"
#include "adapters/bpf/descriptor.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "knowledge/datapath.hpp"
#include "knowledge/error.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace homeostat::bpf {

Hook hook_of(TcDirection direction);

// Attached until remove(): it outlives its object and its process. Move-only. Thread: that of the datapath.
class TcLink {
  public:
    using Kind = Guard::Kind;

    struct Place {
        std::string interface; // as people know it
        unsigned ifindex = 0;
        TcDirection direction{};
        const Guard* guard = nullptr;            // that it stands behind, where there is one
        std::optional<Kind> kind = std::nullopt; // none: TCX where the kernel has it
    };
    // Fails, and attaches nothing, where the kernel does not take the program, or does not show it
    // afterwards.
    static Result<TcLink> attach(const KernelPort& kernel, const InterfacePins& pins,
                                 const PinnedProgram& program, const Place& place);
    // The one that is there on the device that has this index here, whatever program it holds; none where
    // there is none.
    static Result<std::optional<TcLink>> adopt(const KernelPort& kernel, const InterfacePins& pins,
                                               unsigned ifindex, TcDirection direction);
    // Takes off a pinned TCX link where it stands on another device, wherever that is now. What cannot be
    // asked is left as it is.
    static Result<void> take_off_elsewhere(const KernelPort& kernel, const InterfacePins& pins,
                                           unsigned ifindex, TcDirection direction);

    // Whether adopt() would find it still.
    bool is_live(unsigned ifindex) const;
    // The program that it holds now, as the kernel says; 0 where that cannot be asked.
    std::uint32_t shown_id() const;
    // After remove(): whether the kernel shows the program nevertheless.
    bool shows() const { return verify(held_.id).has_value(); }
    // Fails where it holds another program than we put there.
    Result<void> require_ours() const;
    // Each packet is seen by the old program or by the new one. Of TCX, the kernel compares with the old one;
    // of clsact, we ask before.
    Result<void> update(const PinnedProgram& program);
    // Makes the pins that somebody removed: its own, and its program's.
    Result<void> pin_again() const;
    Result<void> remove();

    Kind kind() const { return kind_; }
    TcDirection direction() const { return direction_; }
    unsigned ifindex() const { return ifindex_; }
    std::uint32_t program_id() const { return held_.id; }
    const std::string& version() const { return held_.version; } // "" where it is not one of ours

  private:
    TcLink(const KernelPort& kernel, InterfacePins pins, unsigned ifindex, TcDirection direction, Kind kind)
        : kernel_(&kernel), pins_(std::move(pins)), ifindex_(ifindex), direction_(direction), kind_(kind) {}
    Filter filter() const;
    Result<bool> is_there() const;
    std::string where() const;
    Result<void> create(int program, const Place& place);
    Result<void> create_filter(int program);
    Result<void> put(int program, int old_program);
    Result<void> verify(std::uint32_t program_id) const;

    const KernelPort* kernel_;
    InterfacePins pins_;
    unsigned ifindex_;
    TcDirection direction_;
    Kind kind_;
    Descriptor link_; // of TCX
    HeldProgram held_;
};

// TcLink::adopt() for both directions.
Result<std::map<TcDirection, TcLink>> tc_links(const KernelPort& kernel, const InterfacePins& pins,
                                               unsigned ifindex);

} // namespace homeostat::bpf
