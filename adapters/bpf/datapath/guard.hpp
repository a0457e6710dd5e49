// Cover for the gap of a mode switch: native and generic XDP cannot be active at once, so between detaching
// one and attaching the other no XDP program sees the packets. A guard stands at the head of the interface's
// TC ingress hook all the time and passes everything; it is armed, by one atomic update, with the TC twin of
// the XDP program for as long as a switch takes. Before Linux 6.6, which has no TCX, it is a clsact filter of
// the first preference, where nobody else has that.
#pragma once

#include "adapters/bpf/datapath/instance.hpp"
#include "adapters/bpf/descriptor.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "knowledge/error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace homeostat::bpf {

// The name of the pin of a program's twin.
std::string twin_of(std::string_view version);
bool is_twin(std::string_view version);

// Attached until remove(): it outlives its object and its process. Move-only. Thread: that of the datapath.
class Guard {
  public:
    enum class Kind { tcx, clsact };

    // The one that stands there already, armed or not, else a new one, which passes. `kind`: none to take TCX
    // where the kernel has it.
    static Result<Guard> open(const KernelPort& kernel, const InterfacePins& pins, unsigned ifindex,
                              std::optional<Kind> kind = std::nullopt);
    // The one that stands there already, on the device that has this index here; none where there is none.
    // Fails where that cannot be asked.
    static Result<std::optional<Guard>> adopt(const KernelPort& kernel, const InterfacePins& pins,
                                              unsigned ifindex);
    // Takes off the pinned one of TCX where it stands on another device, wherever that is now; true where it
    // did. What cannot be asked is left as it is.
    static Result<bool> take_off_elsewhere(const KernelPort& kernel, const InterfacePins& pins,
                                           unsigned ifindex);
    // Whether adopt() would find it still.
    bool is_live(unsigned ifindex) const;

    // From the next packet on, the twin judges. Fails where the guard is not the first to see packets, and
    // says what is; it is armed all the same then.
    Result<void> arm(int twin);
    // With the pinned twin of the program; does nothing where it has none.
    void arm_for(std::string_view version);
    Result<void> disarm();
    // Makes the pin that somebody removed.
    Result<void> pin_again() const;
    Result<void> remove();

    Kind kind() const { return kind_; }
    unsigned ifindex() const { return ifindex_; }
    int link() const { return link_.get(); } // negative of clsact
    Filter filter() const;                   // where it stands, of clsact

  private:
    Guard(const KernelPort& kernel, InterfacePins pins, unsigned ifindex, Kind kind)
        : kernel_(&kernel), pins_(std::move(pins)), ifindex_(ifindex), kind_(kind) {}
    Result<bool> is_there() const;
    Result<void> hold(int program);
    Result<void> require_first(int program) const;
    Result<void> require_first_filter() const;
    std::string obstacle() const;

    const KernelPort* kernel_;
    InterfacePins pins_;
    unsigned ifindex_;
    Kind kind_;
    Descriptor link_; // of TCX
    Descriptor pass_; // the program that passes everything
};

} // namespace homeostat::bpf
