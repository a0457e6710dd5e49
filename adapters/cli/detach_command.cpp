#include "adapters/bpf/datapath.hpp"
#include "adapters/cli/command.hpp"
#include "adapters/cli/load.hpp"
#include "adapters/cli/options.hpp"
#include "adapters/cli/world.hpp"

#include <boost/json.hpp>

#include <iostream>

namespace homeostat::cli {

namespace po = boost::program_options;

namespace {

constexpr std::string_view usage = R"(Usage: homeostat detach (-c FILE | --instance NAME) [OPTION]...

Undoes all that a controller left attached: takes back a change that was cut short, detaches its programs in every
mode, removes its guards, pins and state, and reads back that they are gone. Programs of others are not touched. What is
detached already is no error. The controller must not be running: stop it before. Needs root.
)";

constexpr std::string_view notes =
    R"(Example: homeostat detach -c configs/controller.toml

Exit code: 0 nothing of it is attached, 1 something still is, 2 the command was not understood.
)";

// The place that the configuration names; of a file with mistakes, what could be read.
std::optional<bpf::InstancePlace> place_in(const std::string& file) {
    const auto text = read_file(file);
    Diagnostics diagnostics;
    const auto config = text ? read_config(*text, file, diagnostics) : std::nullopt;
    if (config) return place_of(*config);
    if (!text) std::cerr << "homeostat detach: " << text.error().what << "\n";
    for (const Diagnostic& diagnostic : diagnostics) std::cerr << to_text(diagnostic) << "\n";
    return std::nullopt;
}

} // namespace

int detach_command(const std::vector<std::string>& arguments) {
    CommandLine line{.name = "detach", .usage = usage, .notes = notes, .positional = {}};
    line.options.add_options()("config,c", po::value<std::string>()->value_name("FILE"),
                               "the controller's configuration")(
        "instance", po::value<std::string>()->value_name("NAME"),
        "instead of the configuration's controller.instance")("json", "print what was detached as one JSON object");
    const auto parsed = parse_options(line, arguments);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const auto& values = std::get<po::variables_map>(parsed);
    if (!values.contains("config") && !values.contains("instance")) {
        std::cerr << "homeostat detach: expected -c FILE or --instance NAME\nTry 'homeostat detach --help'.\n";
        return exit_usage;
    }
    bpf::InstancePlace place;
    if (values.contains("config")) {
        const auto named = place_in(values["config"].as<std::string>());
        if (!named) return exit_failure;
        place = *named;
    }
    if (values.contains("instance")) place.name = values["instance"].as<std::string>();
    const auto detached = bpf::detach_instance(place);
    if (!detached) {
        std::cerr << "homeostat detach: " << detached.error().what << "\n";
        return exit_failure;
    }
    if (values.contains("json")) {
        std::cout << boost::json::object{{"instance", place.name},
                                         {"detached", boost::json::array(detached->begin(), detached->end())}}
                  << "\n";
        return exit_ok;
    }
    for (const std::string& told : *detached) std::cout << told << "\n";
    if (detached->empty()) std::cout << "nothing of instance " << place.name << " is attached\n";
    return exit_ok;
}

} // namespace homeostat::cli
