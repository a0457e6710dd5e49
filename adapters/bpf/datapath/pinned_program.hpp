// The programs that are pinned for an interface (see instance.hpp), and those that a link holds.
#pragma once

#include "adapters/bpf/descriptor.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "knowledge/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::bpf {

// A program, and the name of its pin.
struct PinnedProgram {
    int descriptor; // not owned
    std::string version;
};

// Makes a pin that somebody removed; one that is there stays.
Result<void> pin_again(const KernelPort& kernel, int descriptor, const std::string& path);

struct HeldProgram {
    Descriptor descriptor; // empty where it is none of ours
    std::uint32_t id = 0;
    std::string version; // "" where it is none of ours
};

Result<HeldProgram> hold(const PinnedProgram& program);

// The program with this id, by its pin in the folder, where it has one there.
HeldProgram find_pinned(const KernelPort& kernel, const std::string& folder, std::uint32_t id);

// In the place of what is pinned there, if anything.
Result<void> pin_anew(const KernelPort& kernel, int object, const std::string& path);

// The versions of the programs that are attached to an interface.
struct AttachedVersions {
    std::string xdp;             // "" for none
    std::vector<std::string> tc; // of either direction
};

// Whether what is attached needs the pin of this version: it is attached itself, or the TC twin of the XDP
// program, or the form that the program in the network card has in the host.
bool is_in_use(std::string_view version, const AttachedVersions& attached);

} // namespace homeostat::bpf
