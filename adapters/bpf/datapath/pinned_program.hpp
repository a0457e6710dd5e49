// The programs that are pinned for an interface (see instance.hpp), and those that a link holds.
#pragma once

#include "adapters/bpf/descriptor.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "knowledge/error.hpp"

#include <cstdint>
#include <string>

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

} // namespace homeostat::bpf
