// What an interface is and belongs to, for words on why it takes no program.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace homeostat::bpf {

// As in enum netdev_xdp_act of the kernel (Documentation/netlink/specs/netdev.yaml).
enum XdpFeature : std::uint64_t {
    xdp_basic = 1,           // native XDP at all
    xdp_redirect = 2,        // XDP_REDIRECT
    xdp_transmits = 4,       // takes frames that others redirect to it
    xdp_zero_copy = 8,       // AF_XDP without copies
    xdp_hw_offload = 16,     // programs in the NIC
    xdp_receives_frags = 32, // multi-buffer frames
    xdp_transmits_frags = 64,
};

struct LinkFacts {
    std::uint32_t mtu = 0;
    std::string kind;                            // "veth", "bridge", "bond"; "" for hardware
    std::string driver;                          // "" where it does not say
    std::string master;                          // the interface that it is a part of; "" for none
    std::string master_kind;                     // "bond", "bridge"
    std::string master_program{};                // XDP, that is attached to the master; "" for none
    bool lro = false;                            // large receive offload is on
    std::optional<std::uint64_t> xdp_features{}; // as the driver tells since Linux 6.3, bits of XdpFeature
};

// Of the interface with this index in the calling thread's network namespace; "" for none.
std::string interface_name(unsigned ifindex);

// Of an interface of the calling thread's network namespace; none where it cannot be asked.
std::optional<LinkFacts> link_facts(unsigned ifindex);
// Without the driver's name and what large receive offload makes doubtful: what is certain to keep an
// interface from a mode, in half the time.
std::optional<LinkFacts> deciding_facts(unsigned ifindex);

} // namespace homeostat::bpf
