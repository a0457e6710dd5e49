// Configurations, policies and objects from disk, all the way to a generation.
#pragma once

#include "adapters/bpf/datapath/programs.hpp"
#include "adapters/cli/file_texts.hpp"
#include "engine/check.hpp"
#include "engine/config.hpp"
#include "engine/generation.hpp"

#include <optional>
#include <string>
#include <vector>

namespace homeostat::cli {

struct LoadedConfig {
    ControllerConfig config;
    std::vector<bpf::ProgramSource> programs;
    std::string map_merger;   // the path of the object that merges maps; "" where there is none
    GenerationPtr generation; // null where anything is wrong
    PolicyReview review;
};

// Reads the configuration, the policies that it names and the objects of its programs. `more_policies`: files
// to judge with it, whether it names them or not. None where the configuration itself cannot be read.
std::optional<LoadedConfig> load_config(FileTexts& texts, const std::string& file,
                                        const std::vector<std::string>& more_policies,
                                        std::uint64_t generation, Diagnostics& diagnostics);

// Policies without a configuration, judged as far as that goes.
PolicyReview review_alone(FileTexts& texts, const std::vector<std::string>& paths, Diagnostics& diagnostics);

} // namespace homeostat::cli
