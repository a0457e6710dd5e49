#include "adapters/bpf/datapath/datapath.hpp"
#include "adapters/cli/command.hpp"
#include "adapters/cli/controller_socket.hpp"
#include "adapters/cli/mistakes.hpp"
#include "adapters/cli/operator_desk.hpp"
#include "adapters/cli/options.hpp"
#include "adapters/cli/place.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <iostream>

namespace homeostat::cli {

namespace po = boost::program_options;

namespace {

constexpr std::string_view usage = R"(Usage: homeostat detach INTERFACE... [OPTION]...
       homeostat detach (-c FILE | --instance NAME) [OPTION]...

Undoes what homeostat attached, to these interfaces or to all: takes back a change that was cut short, detaches its
programs in every mode, and removes its guards, pins and state. Programs of others are not touched. What is detached
already is no error. An interface whose device was renamed is known by both names. While a controller runs, it detaches
the interfaces that are named, and leaves them so until it loads its configuration again; before all is undone, it must
be stopped. Needs root.
)";

constexpr std::string_view notes =
    R"(Examples: homeostat detach eth0
          homeostat detach -c configs/controller.toml

Exit code: 0 nothing of it is attached, 1 something still is, 2 the command was not understood.
)";

} // namespace

int detach_command(const std::vector<std::string>& arguments) {
    CommandLine line{.name = "detach", .usage = usage, .notes = notes, .positional = "interface"};
    add_place_options(line.options);
    add_socket_option(line.options);
    line.options.add_options()("json", "print what was detached as one JSON object");
    const auto parsed = parse_options(line, arguments);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const auto& values = std::get<po::variables_map>(parsed);
    const Teller teller{.command = "detach", .json = values.contains("json")};
    const auto interfaces = values.contains("interface") ? values["interface"].as<std::vector<std::string>>()
                                                         : std::vector<std::string>();
    if (interfaces.empty() && !values.contains("config") && !values.contains("instance"))
        return misuse("detach", "expected INTERFACE, or -c FILE or --instance NAME for all of an instance's");
    if (const std::string mistake = instance_option_mistake(values); !mistake.empty())
        return misuse("detach", "--instance: " + mistake);
    Diagnostics diagnostics;
    const auto place = place_of(values, diagnostics);
    if (!place) return refuse(teller, "nothing was detached", diagnostics);
    if (!interfaces.empty() && is_owned(*place)) {
        int code = exit_ok;
        for (const std::string& interface : interfaces)
            code = std::max(code, ask_controller(teller,
                                                 {.command = "detach",
                                                  .instance = place->name,
                                                  .interface = interface,
                                                  .program = {},
                                                  .modes = {},
                                                  .gap_max = {}},
                                                 values));
        return code;
    }
    const auto detached =
        interfaces.empty() ? bpf::detach_instance(*place) : bpf::detach_interfaces(*place, interfaces);
    if (!detached) return refuse(teller, detached.error().what);
    if (teller.json) {
        std::cout << boost::json::object{{"instance", place->name},
                                         {"detached", boost::json::array(detached->begin(), detached->end())}}
                  << "\n";
        return exit_ok;
    }
    for (const std::string& told : *detached) std::cout << told << "\n";
    if (detached->empty()) std::cout << "nothing of instance " << place->name << " is attached\n";
    return exit_ok;
}

} // namespace homeostat::cli
