#include "adapters/bpf/datapath/garbage.hpp"
#include "adapters/cli/command.hpp"
#include "adapters/cli/mistakes.hpp"
#include "adapters/cli/options.hpp"
#include "adapters/cli/place.hpp"

#include <boost/json.hpp>

#include <iostream>

namespace homeostat::cli {

namespace po = boost::program_options;
namespace json = boost::json;

namespace {

constexpr std::string_view usage = R"(Usage: homeostat gc [OPTION]...

Removes what an instance has left behind and nothing needs: pins of interfaces that are gone, programs that are not
attached, maps that no attached program works on, a change that was cut short. What is attached stays as it is, also on a
device that has another name by now, and so does what belongs to other instances. A controller must not be running. Needs
root.
)";

constexpr std::string_view notes =
    R"(Examples: homeostat gc --dry-run
          homeostat gc -c configs/controller.toml

Exit code: 0 it is clean, or was told with --dry-run, 1 something could not be removed, 2 the command was not understood.
)";

} // namespace

int gc_command(const std::vector<std::string>& arguments) {
    CommandLine line{.name = "gc", .usage = usage, .notes = notes, .positional = {}};
    add_place_options(line.options);
    line.options.add_options()("dry-run",
                               "tell what would be removed, remove nothing")("json", "print one JSON object");
    const auto parsed = parse_options(line, arguments);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const auto& values = std::get<po::variables_map>(parsed);
    const Teller teller{.command = "gc", .json = values.contains("json")};
    if (const std::string mistake = instance_option_mistake(values); !mistake.empty())
        return misuse("gc", "--instance: " + mistake);
    Diagnostics diagnostics;
    const auto place = place_of(values, diagnostics);
    if (!place) return refuse(teller, "nothing was removed", diagnostics);
    const bool dry_run = values.contains("dry-run");
    const auto found = bpf::collect_garbage(*place, !dry_run);
    if (!found) return refuse(teller, found.error().what);
    if (teller.json) {
        json::array told;
        for (const bpf::Orphan& orphan : found->orphans)
            told.push_back({{"what", orphan.what}, {"path", orphan.path}, {"why", orphan.why}});
        std::cout << json::object{{"instance", place->name},
                                  {"removed", !dry_run},
                                  {"orphans", std::move(told)},
                                  {"notes", json::array(found->notes.begin(), found->notes.end())}}
                  << "\n";
        return exit_ok;
    }
    for (const bpf::Orphan& orphan : found->orphans)
        std::cout << (dry_run ? "would remove " : "removed ") << orphan.what << " " << orphan.path << ": "
                  << orphan.why << "\n";
    for (const std::string& note : found->notes) std::cout << "left as it is: " << note << "\n";
    if (found->orphans.empty()) std::cout << "instance " << place->name << " has left nothing behind\n";
    return exit_ok;
}

} // namespace homeostat::cli
