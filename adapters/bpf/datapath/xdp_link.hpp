// An XDP program on an interface by a pinned bpf_link, and what the kernel says is attached there.
#pragma once

#include "adapters/bpf/datapath/attach_messages.hpp"
#include "adapters/bpf/datapath/instance.hpp"
#include "adapters/bpf/datapath/pinned_program.hpp"
#include "adapters/bpf/descriptor.hpp"
#include "adapters/bpf/kernel_objects.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "knowledge/datapath.hpp"
#include "knowledge/error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace homeostat::bpf {

// What RTM_GETLINK shows on an interface of the calling thread's network namespace.
struct AttachedProgram {
    std::uint32_t id;
    XdpMode mode;
};

// All of them: native before generic before offloaded. One in the network card may run beside one of the
// others.
std::vector<AttachedProgram> attached_programs(const bpf_xdp_query_opts& shown); // pure
Result<std::vector<AttachedProgram>> attached_programs(unsigned ifindex,
                                                       const KernelPort& kernel = KernelPort());
// The first of them.
Result<std::optional<AttachedProgram>> attached_program(unsigned ifindex,
                                                        const KernelPort& kernel = KernelPort());

Hook hook_of(XdpMode mode);

// Whether programs of these modes may be on one interface at a time.
bool coexist(XdpMode a, XdpMode b);

// "program 17 (xdp_pass) in mode skb"; libxdp's dispatcher, which runs several programs, is told as such.
std::string describe(const AttachedProgram& program);

// A link that is pinned: the program stays attached when this object or its process ends, until remove().
// Every change is read back: success is what the kernel shows. Move-only. Thread: that of the datapath.
class XdpLink {
  public:
    // Fails with the errno and its known causes on this interface, and leaves nothing attached. `interface`
    // is for the text. A pin of a link that is dead is replaced. `accepted_ns` becomes CLOCK_MONOTONIC when
    // the kernel took the program; `messages`, where there are any, have the kernel's own words.
    static Result<XdpLink> attach(const KernelPort& kernel, const InterfacePins& pins,
                                  const PinnedProgram& program, const std::string& interface,
                                  unsigned ifindex, XdpMode mode, std::int64_t* accepted_ns = nullptr,
                                  AttachMessages* messages = nullptr);
    // The same beside a link of ours in a mode that coexists with this one. That one stays attached, and its
    // pin becomes this one's: detach() it then.
    static Result<XdpLink> attach_beside(const KernelPort& kernel, const InterfacePins& pins,
                                         const PinnedProgram& program, const std::string& interface,
                                         unsigned ifindex, XdpMode mode, std::int64_t* accepted_ns = nullptr,
                                         AttachMessages* messages = nullptr);
    // Detaches what attach_beside() left half done where its process ended.
    static Result<void> discard_next(const KernelPort& kernel, const InterfacePins& pins);

    // The pinned link, where it holds the device that has this index here, and the device shows its program:
    // after a move between network namespaces the bare index alone may name another device. Otherwise none,
    // and the pin is left as it is. `ifindex` may be 0.
    static Result<std::optional<XdpLink>> adopt(const KernelPort& kernel, const InterfacePins& pins,
                                                unsigned ifindex);

    // Detaches the pinned link where it holds another device than the one that has this index here, wherever
    // that is now, and unpins it; true where it did. A program of somebody else in it stays, if they hold the
    // link. What cannot be asked is left as it is.
    static Result<bool> take_off_elsewhere(const KernelPort& kernel, const InterfacePins& pins,
                                           unsigned ifindex);

    // Whether adopt() would find it still.
    bool is_live(unsigned ifindex) const;
    // Fails where somebody else put a program of theirs into the link.
    Result<void> require_ours() const;

    XdpMode mode() const { return mode_; }
    std::uint32_t program_id() const { return held_.id; }
    int program() const { return held_.descriptor.get(); } // owned by the link; -1 where it is none of ours
    unsigned ifindex() const { return ifindex_; }
    // "" where it holds a program that is not pinned by us.
    const std::string& version() const { return held_.version; }

    // Atomic: no packet passes without a program. Fails where the link's program is no longer the one that
    // was put there: the kernel compares them. On failure the old program goes on.
    Result<void> update(const PinnedProgram& program, std::int64_t* accepted_ns = nullptr);

    // Detaches and unpins. Once it was detached it is gone, also where this fails.
    // Makes the pins that somebody removed: its own, and its program's.
    Result<void> pin_again() const;
    Result<void> remove();
    Result<void> detach(); // alone

  private:
    static Result<XdpLink> create(const KernelPort& kernel, const InterfacePins& pins,
                                  const PinnedProgram& program, const std::string& interface,
                                  unsigned ifindex, XdpMode mode, AttachMessages* messages);
    XdpLink(const KernelPort& kernel, InterfacePins pins, Descriptor link, unsigned ifindex, XdpMode mode)
        : kernel_(&kernel), pins_(std::move(pins)), link_(std::move(link)), ifindex_(ifindex), mode_(mode) {}
    Result<void> verify(int program) const;
    std::string other_program(std::uint32_t id) const;

    const KernelPort* kernel_;
    InterfacePins pins_;
    Descriptor link_;
    unsigned ifindex_;
    XdpMode mode_;
    HeldProgram held_;
};

} // namespace homeostat::bpf
