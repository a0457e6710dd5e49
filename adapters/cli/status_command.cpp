#include "adapters/bpf/datapath/survey.hpp"
#include "adapters/bpf/kernel.hpp"
#include "adapters/cli/command.hpp"
#include "adapters/cli/mistakes.hpp"
#include "adapters/cli/options.hpp"
#include "adapters/cli/place.hpp"
#include "knowledge/text.hpp"

#include <boost/json.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <iostream>

namespace homeostat::cli {

namespace po = boost::program_options;
namespace json = boost::json;

namespace {

using bpf::Owner;
using bpf::SurveyedInterface;
using bpf::SurveyedProgram;

constexpr std::string_view usage = R"(Usage: homeostat status [OPTION]... [INTERFACE]...

What is attached to the interfaces of this network namespace: each XDP and TC program (at TCX, or a filter of a clsact
qdisc) with its mode or direction, its name and id, since when, how often it ran and how long a run takes, and who owns
it. Nothing is touched. Without INTERFACE: those that have a program; with --all, all of them. Needs root.
)";

constexpr std::string_view notes =
    R"(Owners: "homeostat NAME" is an instance of this program; its programs stay while no controller runs. "link" is a
bpf_link of another program's, with the processes that hold it and the places where it is pinned. "dispatcher" is
libxdp's. "netlink" is a program that nobody holds, as `ip link set … xdp` and `tc filter` attach it.

SINCE is when homeostat attached it, or, of other programs, when it was loaded.

The kernel counts runs while somebody asks it to (sysctl kernel.bpf_stats_enabled). The columns RUNS and NS/RUN show '-'
where it did not, and a last line says how to have it count; with --json, "counts_runs" is what the sysctl says.

Exit code: 0 it was told, 1 something could not be asked, 2 the command was not understood.
)";

std::string_view kind_text(Owner::Kind kind) {
    switch (kind) {
    case Owner::Kind::homeostat:
        return "homeostat";
    case Owner::Kind::dispatcher:
        return "dispatcher";
    case Owner::Kind::link:
        return "link";
    case Owner::Kind::netlink:
        return "netlink";
    case Owner::Kind::unknown:
        return "unknown";
    }
    return "";
}

std::string owner_text(const Owner& owner, const std::string& device) {
    std::string text(kind_text(owner.kind));
    if (owner.kind == Owner::Kind::homeostat) {
        text += " " + owner.instance;
        if (owner.interface != device)
            text += ", pinned for " + owner.interface + ", its device is " + device + " now";
    }
    if (owner.kind == Owner::Kind::unknown) text += " (to ask takes CAP_SYS_ADMIN)";
    if (!owner.components.empty()) text += ", runs " + joined(owner.components);
    if (!owner.processes.empty()) text += ", held by " + joined(owner.processes);
    if (owner.kind == Owner::Kind::link && !owner.pins.empty()) text += ", pinned at " + joined(owner.pins);
    return text;
}

std::string time_text(std::int64_t unix_ms) {
    if (unix_ms == 0) return "-";
    return fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::gmtime(static_cast<std::time_t>(unix_ms / 1000)));
}

using Row = std::vector<std::string>;

Row row_of(const SurveyedInterface& interface, const SurveyedProgram& program) {
    const bool counted = program.run_count > 0;
    return {interface.name,
            program.hook,
            program.version.empty() ? program.name : program.name + " (" + program.version + ")",
            std::to_string(program.id),
            program.tag.empty() ? "-" : program.tag,
            time_text(program.attached_unix_ms != 0 ? program.attached_unix_ms : program.loaded_unix_ms),
            counted ? std::to_string(program.run_count) : "-",
            counted ? std::to_string(program.run_ns / program.run_count) : "-",
            owner_text(program.owner, interface.name)};
}

// Where nothing was counted, and nobody asked for it.
void print_hint(const std::vector<SurveyedInterface>& interfaces) {
    if (bpf::counts_runs().value_or(true)) return;
    for (const SurveyedInterface& interface : interfaces)
        for (const SurveyedProgram& program : interface.programs)
            if (program.run_count == 0) {
                std::cout
                    << "The kernel does not count runs now: 'sysctl -w kernel.bpf_stats_enabled=1' has it "
                       "count them, which takes a little of each one's time.\n";
                return;
            }
}

void print_table(const std::vector<SurveyedInterface>& interfaces, bool all) {
    std::vector<Row> rows{
        {"INTERFACE", "HOOK", "PROGRAM", "ID", "TAG", "SINCE (UTC)", "RUNS", "NS/RUN", "OWNER"}};
    for (const SurveyedInterface& interface : interfaces) {
        if (interface.programs.empty() && all)
            rows.push_back({interface.name, "-", interface.up ? "nothing attached" : "nothing attached, down",
                            "-", "-", "-", "-", "-", "-"});
        for (const SurveyedProgram& program : interface.programs) rows.push_back(row_of(interface, program));
    }
    if (rows.size() == 1) {
        std::cout << "no program is attached to an interface here\n";
        return;
    }
    std::vector<std::size_t> widths(rows.front().size());
    for (const Row& row : rows)
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    for (const Row& row : rows) {
        std::string line;
        for (std::size_t i = 0; i + 1 < row.size(); ++i) line += fmt::format("{:<{}}  ", row[i], widths[i]);
        std::cout << line << row.back() << "\n";
    }
    print_hint(interfaces);
}

json::object program_json(const SurveyedProgram& program) {
    return {{"hook", program.hook},
            {"id", program.id},
            {"name", program.name},
            {"tag", program.tag},
            {"version", program.version},
            {"loaded_unix_ms", program.loaded_unix_ms},
            {"attached_unix_ms", program.attached_unix_ms},
            {"run_count", program.run_count},
            {"run_ns", program.run_ns},
            {"owner",
             {{"kind", kind_text(program.owner.kind)},
              {"instance", program.owner.instance},
              {"interface", program.owner.interface},
              {"pins", json::value_from(program.owner.pins)},
              {"processes", json::value_from(program.owner.processes)},
              {"components", json::value_from(program.owner.components)}}}};
}

void print_json(const std::vector<SurveyedInterface>& interfaces) {
    json::array told;
    for (const SurveyedInterface& interface : interfaces) {
        json::array programs;
        for (const SurveyedProgram& program : interface.programs) programs.push_back(program_json(program));
        told.push_back({{"name", interface.name},
                        {"ifindex", interface.ifindex},
                        {"up", interface.up},
                        {"programs", std::move(programs)}});
    }
    const auto counts = bpf::counts_runs();
    std::cout << json::object{{"interfaces", std::move(told)},
                              {"counts_runs", counts ? json::value(*counts) : json::value(nullptr)}}
              << "\n";
}

} // namespace

int status_command(const std::vector<std::string>& arguments) {
    CommandLine line{.name = "status", .usage = usage, .notes = notes, .positional = "interface"};
    line.options.add_options()("config,c", po::value<std::string>()->value_name("FILE"),
                               "the configuration that says where its controller's pins are")(
        "all", "also interfaces without a program")("json", "print one JSON object");
    const auto parsed = parse_options(line, arguments);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const auto& values = std::get<po::variables_map>(parsed);
    const Teller teller{.command = "status", .json = values.contains("json")};
    Diagnostics diagnostics;
    const auto place = place_of(values, diagnostics);
    if (!place) return refuse(teller, "the configuration is not understood", diagnostics);
    const auto names = values.contains("interface") ? values["interface"].as<std::vector<std::string>>()
                                                    : std::vector<std::string>();
    const auto surveyed = bpf::survey_interfaces(names, place->bpffs, place->state);
    if (!surveyed) return refuse(teller, surveyed.error().what);
    if (teller.json)
        print_json(*surveyed);
    else
        print_table(*surveyed, values.contains("all") || !names.empty());
    const std::vector<std::string> missing = bpf::missing_capabilities();
    if (missing.empty()) return exit_ok;
    std::cerr << "homeostat status: not all can be asked without " << joined(missing)
              << ": run as root, or grant them\n";
    return exit_failure;
}

} // namespace homeostat::cli
