// What went wrong, told alike by every command: words on standard error, or with --json one object on
// standard output.
#pragma once

#include "knowledge/error.hpp"

#include <boost/json/array.hpp>

#include <string>
#include <string_view>

namespace homeostat::cli {

// Who tells it, and how.
struct Teller {
    std::string_view command;
    bool json = false;
};

// Each as {"file", "line", "column", "kind", "name", "what", "expected"}.
boost::json::array to_json(const Diagnostics& diagnostics);
// Lines; nothing where there are none.
std::string to_lines(const Diagnostics& diagnostics);

// As {"error": WHAT, "diagnostics": […]}, or as lines: the diagnostics, then what. Returns exit_failure.
int refuse(const Teller& teller, const std::string& what, const Diagnostics& diagnostics = {});

// Of a command that was not understood: always as words, since it is not known how its caller wants them.
// Returns exit_usage.
int misuse(std::string_view command, const std::string& what);

} // namespace homeostat::cli
