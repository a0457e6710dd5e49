// An XDP program on an interface by bpf_link, and what the kernel says is attached there.
#pragma once

#include "adapters/bpf/descriptor.hpp"
#include "knowledge/datapath.hpp"
#include "knowledge/error.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace homeostat::bpf {

// What RTM_GETLINK shows on an interface of the calling thread's network namespace.
struct AttachedProgram {
    std::uint32_t id;
    XdpMode mode;
};

// The program that handles packets: native before generic before offloaded, where there are several.
Result<std::optional<AttachedProgram>> attached_program(unsigned ifindex);

// The program's name in the kernel (15 characters at most), or "" where that may not be asked.
std::string program_name(std::uint32_t program_id);

// "program 17 (xdp_pass) in mode skb"
std::string describe(const AttachedProgram& program);

// Owns a link. Destroying it detaches the program at once, as does the end of the process; the program itself
// lives on while its own descriptor is held. Nothing is pinned.
class XdpLink {
  public:
    struct Target {
        unsigned ifindex; // 0 where the device is gone or the link was detached by somebody
        std::uint32_t program_id;
    };

    // Fails with the errno and its known causes on this interface. `interface` is for the text.
    static Result<XdpLink> attach(int program, const std::string& interface, unsigned ifindex, XdpMode mode);

    // Atomic: no packet passes without a program. Fails where the link's program is not `old_program`.
    Result<void> update(int program, int old_program);
    // Detaches now, also where somebody else holds the link too.
    Result<void> detach();
    Result<Target> target() const;

  private:
    explicit XdpLink(Descriptor link) : link_(std::move(link)) {}
    Descriptor link_;
};

} // namespace homeostat::bpf
