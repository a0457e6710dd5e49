#include "adapters/cli/mistakes.hpp"

#include "adapters/cli/command.hpp"
#include "knowledge/text.hpp"

#include <boost/json.hpp>

#include <iostream>

namespace homeostat::cli {

namespace json = boost::json;

json::array to_json(const Diagnostics& diagnostics) {
    json::array array;
    for (const Diagnostic& d : diagnostics)
        array.push_back({{"file", printable(d.file)},
                         {"line", d.at.line},
                         {"column", d.at.column},
                         {"kind", d.kind == Diagnostic::Kind::error ? "error" : "warning"},
                         {"name", d.name},
                         {"what", printable(d.what)},
                         {"expected", printable(d.expected)}});
    return array;
}

std::string to_lines(const Diagnostics& diagnostics) {
    std::string lines;
    for (const Diagnostic& d : diagnostics) lines += printable(homeostat::to_text(d)) + "\n";
    return lines;
}

int refuse(const Teller& teller, const std::string& what, const Diagnostics& diagnostics) {
    if (teller.json)
        std::cout << json::serialize(
                         json::object{{"error", printable(what)}, {"diagnostics", to_json(diagnostics)}})
                  << "\n";
    else
        std::cerr << to_lines(diagnostics) << "homeostat " << teller.command << ": " << printable(what)
                  << "\n";
    return exit_failure;
}

int misuse(std::string_view command, const std::string& what) {
    std::cerr << "homeostat " << command << ": " << printable(what) << "\nTry 'homeostat " << command
              << " --help'.\n";
    return exit_usage;
}

} // namespace homeostat::cli
