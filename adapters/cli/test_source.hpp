// A case of a policy test as something that can be asked, in place of a controller.
#pragma once

#include "engine/tick.hpp"
#include "knowledge/error.hpp"

#include <optional>
#include <string>

namespace homeostat::cli {

struct PlayedCase {
    EngineState state;
    std::string note; // what its reader must know; "" for nothing
};

// Plays the case up to the time; "": the only case of the file. What is wrong with the files is told in
// `diagnostics`, and is a failure.
Result<PlayedCase> play_case(const std::string& file, const std::string& name, std::optional<Duration> until,
                             Diagnostics& diagnostics);

} // namespace homeostat::cli
