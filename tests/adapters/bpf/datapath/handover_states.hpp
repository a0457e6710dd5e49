// A program that runs, and the one that is to take its place, whose maps are defined differently.
#pragma once

#include "adapters/bpf/datapath/xdp_link.hpp"
#include "tests/adapters/bpf/datapath/options_at.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <bpf/bpf.h>
#include <net/if.h>

#include <cstddef>
#include <string>
#include <vector>

namespace homeostat::bpf {

inline constexpr std::uint64_t packets_meanwhile = 2;

inline DatapathOptions handover_options(const std::string& bpffs, const std::string& state) {
    DatapathOptions options = options_at(bpffs, state);
    options.anchored = false;
    options.map_merger = HOMEOSTAT_BINARY_DIR "/bpf/map_merge.bpf.o";
    return options;
}

inline ProgramSource version(const std::string& object) { return source("count", object); }

inline ProgramSource new_version() {
    ProgramSource program = version("carry_new");
    program.merge_rules = {{"counts", {Merge::sum, ""}}, {"limits", {Merge::sum, ""}}};
    return program;
}

// What a controller does that finds the old version: it sets what is its own, and replaces the program.
inline std::vector<Step> handover_steps() {
    return {SetMapEntry{{"limits", "1"}, {{"pps", 7}, {"burst", 3}}}, ReplaceXdp{"count"}};
}

// Runs what is attached to lab0 on UDP packets. Returns its function's name.
inline std::string run_attached(std::uint64_t packets) {
    const auto shown = attached_program(::if_nametoindex("lab0"));
    if (!shown || !*shown) return "";
    std::vector<std::byte> packet(64);
    packet[12] = std::byte{0x08}; // IPv4
    packet[23] = std::byte{17};   // UDP
    const Descriptor program(bpf_prog_get_fd_by_id((*shown)->id));
    for (std::uint64_t i = 0; i < packets; ++i) run_program(program.get(), packet);
    return program_name((*shown)->id);
}

} // namespace homeostat::bpf
