#include "adapters/cli/options.hpp"

#include "adapters/cli/command.hpp"
#include "adapters/cli/mistakes.hpp"

#include <boost/program_options/errors.hpp>
#include <boost/program_options/parsers.hpp>

#include <iostream>

namespace homeostat::cli {

namespace po = boost::program_options;

std::variant<po::variables_map, int> parse_options(CommandLine& line,
                                                   const std::vector<std::string>& arguments) {
    line.options.add_options()("help,h", "print this");
    po::options_description all;
    all.add(line.options);
    po::positional_options_description positional;
    if (!line.positional.empty()) {
        all.add_options()(line.positional.c_str(), po::value<std::vector<std::string>>());
        positional.add(line.positional.c_str(), -1);
    }
    po::variables_map values;
    try {
        auto style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
        po::store(po::command_line_parser(arguments).options(all).positional(positional).style(style).run(),
                  values);
        if (values.contains("help")) {
            std::cout << line.usage << "\n" << line.options << "\n" << line.notes;
            return exit_ok;
        }
        po::notify(values);
    } catch (const po::error& error) {
        return misuse(line.name, error.what());
    }
    return values;
}

} // namespace homeostat::cli
