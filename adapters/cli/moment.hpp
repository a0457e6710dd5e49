// Times as people type them.
#pragma once

#include "engine/questions.hpp"
#include "knowledge/error.hpp"

#include <string>

namespace homeostat::cli {

// "2026-05-20T12:00:00Z", with milliseconds or without, as answers print it; or a duration such as "30s": so
// long before the last tick.
Result<Moment> parse_moment(const std::string& text);

} // namespace homeostat::cli
