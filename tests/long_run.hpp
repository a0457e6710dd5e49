// How much a test tries that has a long form.
#pragma once

#include <cstdlib>

namespace homeostat {

// tests/run.sh --long sets it.
inline bool is_long_run() { return std::getenv("HOMEOSTAT_LONG_TESTS") != nullptr; }

} // namespace homeostat
