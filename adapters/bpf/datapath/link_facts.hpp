// What an interface is and belongs to, for words on why it takes no program.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace homeostat::bpf {

struct LinkFacts {
    std::uint32_t mtu = 0;
    std::string kind;        // "veth", "bridge", "bond"; "" for hardware
    std::string driver;      // "" where it does not say
    std::string master;      // the interface that it is a part of; "" for none
    std::string master_kind; // "bond", "bridge"
    bool lro = false;        // large receive offload is on
};

// Of an interface of the calling thread's network namespace; none where it cannot be asked.
std::optional<LinkFacts> link_facts(unsigned ifindex);

} // namespace homeostat::bpf
