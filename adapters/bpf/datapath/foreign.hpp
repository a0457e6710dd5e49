// A program on an interface that somebody else attached: over netlink, as `ip link` does, or by a bpf_link.
#pragma once

#include "adapters/bpf/datapath/xdp_link.hpp"
#include "adapters/bpf/descriptor.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "knowledge/error.hpp"

#include <cstdint>
#include <string>

namespace homeostat::bpf {

struct ForeignProgram {
    AttachedProgram shown;
    Descriptor program;
    Descriptor link; // empty where it was attached over netlink
    std::uint32_t link_id = 0;
};

// The name of the pin that keeps it while another one takes its place.
std::string foreign_version(std::uint32_t program_id);

// Touches nothing. Fails where it cannot be told for sure who holds it: then it must not be detached.
Result<ForeignProgram> find_foreign(const KernelPort& kernel, unsigned ifindex, const AttachedProgram& shown);

// Fails, and detaches nothing, where another program is there by now.
Result<void> detach_foreign(const KernelPort& kernel, unsigned ifindex, const ForeignProgram& foreign);

} // namespace homeostat::bpf
