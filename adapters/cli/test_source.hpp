// A case of a policy test as something that can be asked, in place of a controller.
#pragma once

#include "engine/tick.hpp"
#include "knowledge/error.hpp"

#include <optional>
#include <string>

namespace homeostat::cli {

// Plays the case up to the time; "": the only case of the file. What is wrong with the files goes to standard
// error, and is a failure.
Result<EngineState> play_case(const std::string& file, const std::string& name,
                              std::optional<Duration> until);

} // namespace homeostat::cli
