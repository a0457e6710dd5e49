// What the kernel itself says: what is attached, and which BPF objects a process holds and leaves behind.
#pragma once

#include "adapters/bpf/datapath/xdp_link.hpp"
#include "adapters/lab/network.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <sys/types.h>

namespace homeostat::system_test {

// Why a controller cannot run here; "" where it can.
std::string reason_to_skip();

std::optional<bpf::AttachedProgram> program_on(const lab::NetNamespace& in, const std::string& interface);

// Ids of BPF objects.
struct Objects {
    std::set<std::uint32_t> programs;
    std::set<std::uint32_t> maps;
    std::set<std::uint32_t> links;

    bool empty() const { return programs.empty() && maps.empty() && links.empty(); }
};

// Those that the process has descriptors of, and, of programs, those that its links hold.
Objects held_by(pid_t process);

// Whether the kernel has released all of them. It does so some time after the last descriptor is closed.
bool are_released(const Objects& objects);

std::vector<pid_t> children_of(pid_t process);

// Those of its links that are on network devices, anchors too.
std::set<std::uint32_t> xdp_links(const Objects& objects);

// What `bpftool link detach` does: the owner keeps a link that holds nothing.
void detach_link(std::uint32_t id);

// All that is pinned in the BPF file system.
std::set<std::string> pins();

// Asks again and again until it is so, within the patience.
bool eventually(const std::function<bool()>& is_so);

} // namespace homeostat::system_test
