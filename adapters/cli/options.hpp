// Options of a command, by Boost.Program_options, with the same words for every command's mistakes.
#pragma once

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/positional_options.hpp>
#include <boost/program_options/variables_map.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace homeostat::cli {

struct CommandLine {
    std::string_view name;
    std::string_view usage; // what --help prints before the options
    std::string_view notes; // and after them
    boost::program_options::options_description options{"Options"};
    std::string positional; // the option that takes bare arguments; "" for none
};

// The values, or the exit code with which the command is done: help was asked for and printed, or the
// arguments are wrong and the reason was printed.
std::variant<boost::program_options::variables_map, int>
parse_options(CommandLine& line, const std::vector<std::string>& arguments);

} // namespace homeostat::cli
