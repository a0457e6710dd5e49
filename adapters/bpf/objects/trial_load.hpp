// Whether the kernel takes an object: its maps are made and its programs loaded, each on its own. Nothing is
// attached or pinned, and when it was told, the kernel drops all of it.
#pragma once

#include "adapters/bpf/objects/refusal.hpp"
#include "knowledge/error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace homeostat::bpf {

struct TrialMap {
    std::string name;
    std::string kind; // "percpu_array", as bpftool writes it
    std::uint32_t id = 0;
    std::uint32_t key_bytes = 0;
    std::uint32_t value_bytes = 0;
    std::uint32_t max_entries = 0;
};

struct TrialProgram {
    std::string name; // of its function
    std::string kind; // "xdp", as bpftool writes it
    std::string section;
    // Of one that was loaded:
    std::uint32_t id = 0;
    std::string tag;
    std::uint32_t instructions = 0;
    std::uint32_t verified_instructions = 0; // 0 where the kernel does not count them, before Linux 5.16
    std::vector<std::string> maps;           // that it uses, by name
    // Of one that was not:
    std::optional<Refusal> refusal;
    std::string log; // the verifier's whole log
};

struct Trial {
    std::vector<TrialMap> maps;
    std::vector<TrialProgram> programs;
};

// `function`: the one program to load; "" for all. Fails where the file is no object (see object_file.hpp),
// it has no such program, or its maps cannot be made; a program that is not taken is in the trial with the
// reason. Needs CAP_BPF, and what programs of the kind need.
Result<Trial> try_load(const std::string& path, const std::string& function);

} // namespace homeostat::bpf
