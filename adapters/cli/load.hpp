// Configurations, policies and objects from disk, all the way to a generation.
#pragma once

#include "adapters/bpf/programs.hpp"
#include "engine/check.hpp"
#include "engine/config.hpp"
#include "engine/generation.hpp"

#include <optional>
#include <string>
#include <vector>

namespace homeostat::cli {

Result<std::string> read_file(const std::string& path);

// Whether the text is a controller's configuration, by its tables; otherwise it is a policy.
bool is_config(std::string_view text);

struct LoadedConfig {
    ControllerConfig config;
    std::vector<bpf::ProgramSource> programs;
    GenerationPtr generation; // null where anything is wrong
    PolicyReview review;
};

// Reads the configuration, the policies that it names and the objects of its programs. `more_policies`: files
// to judge with it, whether it names them or not. None where the configuration itself cannot be read.
std::optional<LoadedConfig> load_config(const std::string& file,
                                        const std::vector<std::string>& more_policies,
                                        std::uint64_t generation, Diagnostics& diagnostics);

} // namespace homeostat::cli
