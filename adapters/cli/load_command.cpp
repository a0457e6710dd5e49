#include "adapters/bpf/objects/trial_load.hpp"
#include "adapters/cli/command.hpp"
#include "adapters/cli/mistakes.hpp"
#include "adapters/cli/options.hpp"
#include "knowledge/text.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <iostream>

namespace homeostat::cli {

namespace po = boost::program_options;
namespace json = boost::json;

namespace {

using bpf::Trial;
using bpf::TrialMap;
using bpf::TrialProgram;

constexpr std::string_view usage = R"(Usage: homeostat load [OPTION]... OBJECT

Whether the kernel takes an object: makes its maps and loads its programs, attaches and pins nothing, and tells what
they are, or why one was not taken: the verifier's message, the line of the source, the instruction and the registers
that it uses, and what to do. When it ends, the kernel has dropped them again. Needs root.
)";

constexpr std::string_view notes =
    R"(Examples: homeostat load guard.bpf.o
          homeostat load guard.bpf.o --function guard --log

Exit code: 0 all of it was taken, 1 something was not, 2 the command was not understood.
)";

std::string line_of(const TrialProgram& program) {
    std::string line = "program " + program.name + ": " + program.kind;
    if (program.refusal) return line + ", refused: " + program.refusal->what;
    line += ", id " + std::to_string(program.id) + ", tag " + program.tag + ", " +
            std::to_string(program.instructions) + " instructions";
    if (program.verified_instructions > 0)
        line += ", " + std::to_string(program.verified_instructions) + " verified";
    return line + (program.maps.empty() ? ", no maps" : ", maps " + joined(program.maps));
}

std::string line_of(const TrialMap& map) {
    const std::string line = "map " + map.name + ": " + map.kind + ", id " + std::to_string(map.id) + ", ";
    if (map.kind == "ringbuf") return line + std::to_string(map.max_entries) + " bytes";
    return line + std::to_string(map.max_entries) + " entries, key of " + std::to_string(map.key_bytes) +
           " bytes, value of " + std::to_string(map.value_bytes) + " bytes";
}

void print_lines(const Trial& trial, bool with_log) {
    for (const TrialMap& map : trial.maps) std::cout << printable(line_of(map)) << "\n";
    for (const TrialProgram& program : trial.programs) {
        std::cout << printable(line_of(program)) << "\n";
        if (with_log && !program.log.empty())
            std::cout << "the verifier's log of " << program.name << ":\n" << printable(program.log);
    }
    const auto taken =
        std::ranges::count_if(trial.programs, [](const TrialProgram& program) { return !program.refusal; });
    std::cout << "the kernel took " << taken << " of " << trial.programs.size()
              << " programs; nothing was attached, and nothing of it stays\n";
    const bool has_log =
        std::ranges::any_of(trial.programs, [](const TrialProgram& program) { return !program.log.empty(); });
    if (has_log && !with_log) std::cout << "--log prints the verifier's whole log\n";
}

json::object to_json(const bpf::VerifiedInstruction& instruction) {
    return {{"index", instruction.index},
            {"text", printable(instruction.text)},
            {"file", printable(instruction.source.file)},
            {"line", instruction.source.line},
            {"column", instruction.source.column},
            {"source", printable(instruction.source.text)}};
}

json::object to_json(const bpf::Verdict& verdict) {
    json::array registers;
    for (const bpf::RegisterState& one : verdict.registers)
        registers.push_back({{"name", one.name}, {"state", printable(one.state)}});
    return {{"message", printable(verdict.message)},
            {"at", verdict.at ? json::value(to_json(*verdict.at)) : json::value()},
            {"acquired", verdict.acquired ? json::value(to_json(*verdict.acquired)) : json::value()},
            {"registers", std::move(registers)},
            {"advice", verdict.advice}};
}

json::object to_json(const TrialProgram& program, bool with_log) {
    json::object told{{"name", printable(program.name)},
                      {"kind", program.kind},
                      {"section", printable(program.section)},
                      {"taken", !program.refusal}};
    if (!program.refusal) {
        told["id"] = program.id;
        told["tag"] = program.tag;
        told["instructions"] = program.instructions;
        told["verified_instructions"] = program.verified_instructions;
        told["maps"] = json::array(program.maps.begin(), program.maps.end());
        return told;
    }
    told["error"] = printable(program.refusal->what);
    told["verdict"] =
        program.refusal->verdict ? json::value(to_json(*program.refusal->verdict)) : json::value();
    if (with_log) told["log"] = printable(program.log);
    return told;
}

json::object to_json(const TrialMap& map) {
    return {{"name", printable(map.name)},
            {"kind", map.kind},
            {"id", map.id},
            {"key_bytes", map.key_bytes},
            {"value_bytes", map.value_bytes},
            {"max_entries", map.max_entries}};
}

void print_json(const Trial& trial, bool with_log) {
    json::array maps;
    for (const TrialMap& map : trial.maps) maps.push_back(to_json(map));
    json::array programs;
    for (const TrialProgram& program : trial.programs) programs.push_back(to_json(program, with_log));
    std::cout << json::object{{"maps", std::move(maps)}, {"programs", std::move(programs)}} << "\n";
}

} // namespace

int load_command(const std::vector<std::string>& arguments) {
    CommandLine line{.name = "load", .usage = usage, .notes = notes, .positional = "object"};
    line.options.add_options()("function,f", po::value<std::string>()->value_name("NAME"),
                               "load this program alone")(
        "log", "print the verifier's whole log of what it rejects")("json", "print one JSON object");
    const auto parsed = parse_options(line, arguments);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const auto& values = std::get<po::variables_map>(parsed);
    const Teller teller{.command = "load", .json = values.contains("json")};
    const auto objects = values.contains("object") ? values["object"].as<std::vector<std::string>>()
                                                   : std::vector<std::string>();
    if (objects.size() != 1) return misuse("load", "expected one OBJECT");
    const std::string function = values.contains("function") ? values["function"].as<std::string>() : "";
    if (values.contains("function") && function.empty()) return misuse("load", "--function has no name");
    const auto trial = bpf::try_load(objects.front(), function);
    if (!trial) return refuse(teller, trial.error().what);
    if (teller.json)
        print_json(*trial, values.contains("log"));
    else
        print_lines(*trial, values.contains("log"));
    return std::ranges::any_of(trial->programs,
                               [](const TrialProgram& one) { return one.refusal.has_value(); })
               ? exit_failure
               : exit_ok;
}

} // namespace homeostat::cli
