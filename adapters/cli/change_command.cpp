// The commands that change one interface: attach, replace, switch.
#include "adapters/bpf/datapath/datapath.hpp"
#include "adapters/bpf/datapath/garbage.hpp"
#include "adapters/bpf/objects/object_layout.hpp"
#include "adapters/cli/command.hpp"
#include "adapters/cli/controller_socket.hpp"
#include "adapters/cli/mistakes.hpp"
#include "adapters/cli/operator_desk.hpp"
#include "adapters/cli/options.hpp"
#include "adapters/cli/place.hpp"
#include "knowledge/text.hpp"

#include <net/if.h>

#include <algorithm>
#include <filesystem>
#include <iostream>

namespace homeostat::cli {

namespace po = boost::program_options;
namespace {

struct ChangeCommand {
    std::string_view name;
    std::string_view usage;
    std::string_view example;
    bool takes_object; // else modes stand in its place
};

constexpr ChangeCommand attach{"attach",
                               R"(Usage: homeostat attach INTERFACE OBJECT [OPTION]...

Attaches an XDP program of an object file. It is loaded and verified before the interface is touched, pinned, and read
back: it stays when the command ends, until 'homeostat detach'. A program that somebody else attached is left alone.
)",
                               "homeostat attach eth0 xdp_counter.bpf.o --mode drv,skb", true};

constexpr ChangeCommand replace{"replace",
                                R"(Usage: homeostat replace INTERFACE OBJECT [OPTION]...

Puts another program in the place of the one that homeostat attached, in the same mode, by one atomic update: each packet
is judged by the old one or by the new one. Maps of the same name and definition go on with what is in them.
)",
                                "homeostat replace eth0 xdp_guard.bpf.o --twin tc_guard", true};

constexpr ChangeCommand switch_mode{"switch",
                                    R"(Usage: homeostat switch INTERFACE MODE[,MODE]... [OPTION]...

Brings the program that homeostat attached into another mode: skb (generic), drv (native) or hw (offloaded); of several,
the first that the interface takes. Linux has a gap here; where the program was attached with a TC twin, that judges the
packets meanwhile. On failure the old mode is back.
)",
                                    "homeostat switch eth0 skb --max-gap 1ms", false};

constexpr std::string_view notes_end = R"(
While a controller runs, it makes the change: OBJECT is the name of one of its programs then, and what is asked for is
the interface's baseline until it loads its configuration again. Policies stay above it.

Exit code: 0 it is as asked, 1 it is not, and why, 2 the command was not understood.
)";

struct Asked {
    std::string interface;
    std::string object; // or the name of a controller's program
    std::string function;
    std::string twin;
    std::string modes;           // the ladder, as it was written
    std::vector<XdpMode> ladder; // empty where none was given
    std::optional<Duration> gap_max;
};

Result<bpf::ProgramSource> source_of(const Asked& asked) {
    auto layout = bpf::read_layout(asked.object);
    if (!layout) return std::unexpected(layout.error());
    const auto& functions = layout->programs;
    const auto& of_tc = layout->tc_programs;
    if (functions.empty())
        return failure(
            asked.object + " has no XDP program" +
            (of_tc.empty() ? "" : ", only of TC, which a configuration attaches: " + joined(of_tc)));
    const std::string list = joined(functions);
    if (asked.function.empty() && functions.size() != 1)
        return failure(asked.object + " has several XDP programs; choose one with --function: " + list);
    if (!asked.function.empty() && std::ranges::find(functions, asked.function) == functions.end())
        return failure(asked.object + " has no XDP program '" + asked.function + "'; it has " + list);
    if (!asked.twin.empty() && std::ranges::find(of_tc, asked.twin) == of_tc.end())
        return failure(asked.object + " has no TC program '" + asked.twin + "' to be a twin" +
                       (of_tc.empty() ? "" : "; it has " + joined(of_tc)));
    const std::string function = asked.function.empty() ? functions.front() : asked.function;
    return bpf::ProgramSource{.name = function,
                              .path = asked.object,
                              .function = function,
                              .twin = asked.twin,
                              .layout = std::make_shared<const ObjectLayout>(std::move(*layout)),
                              .merge_rules = {},
                              .resets_maps = false};
}

// The name of the program that the instance attached there, and its mode.
Result<AttachedXdp> attached_here(bpf::XdpDatapath& datapath, const std::string& interface) {
    const ActualInterface actual = datapath.read_back().at(interface);
    if (!actual.xdp)
        return failure("nothing is attached to " + interface + "; 'homeostat attach' attaches a program");
    return *actual.xdp;
}

Result<Step> step_of(const ChangeCommand& command, const Asked& asked, bpf::XdpDatapath& datapath,
                     const std::string& program) {
    if (command.name == "attach")
        return AttachXdp{program, asked.ladder.empty() ? std::vector{XdpMode::drv} : asked.ladder};
    if (command.name == "replace") return ReplaceXdp{program};
    const auto there = attached_here(datapath, asked.interface);
    if (!there) return std::unexpected(there.error());
    if (there->program.starts_with(foreign_prefix))
        return failure("program " + std::to_string(there->program_id) + " on " + asked.interface +
                       " is somebody else's and is left alone");
    if (there->mode == asked.ladder.front())
        return failure("it is in mode " + std::string(to_text(there->mode)) + " already", EALREADY);
    return SwitchXdpMode{there->program, asked.ladder, {.max = asked.gap_max, .expected_ns = {}}};
}

// Here and now, as the instance's owner.
Result<Outcome> change_here(const ChangeCommand& command, const Asked& asked,
                            const bpf::InstancePlace& place) {
    if (::if_nametoindex(asked.interface.c_str()) == 0)
        return failure("there is no interface '" + asked.interface + "' in this network namespace", ENODEV);
    std::vector<bpf::ProgramSource> sources;
    if (command.takes_object) {
        auto source = source_of(asked);
        if (!source) return std::unexpected(source.error());
        sources.push_back(std::move(*source));
    }
    auto datapath = bpf::XdpDatapath::open({.place = place,
                                            .anchored = !command.takes_object, // the gap is shorter then
                                            .guard_kind = {},
                                            .kernel = bpf::KernelPort(),
                                            .leaves_others = true},
                                           sources, {asked.interface});
    if (!datapath) return std::unexpected(datapath.error());
    for (const auto& [name, error] : (*datapath)->rejected()) return std::unexpected(error);
    const auto step = step_of(command, asked, **datapath, sources.empty() ? "" : sources.front().name);
    Outcome outcome{
        .id = {}, .interface = asked.interface, .ok = true, .error = {}, .notes = {}, .actual = {}};
    if (step)
        outcome = (*datapath)->apply({TransactionId{1}, asked.interface, {*step}});
    else if (step.error().number == EALREADY)
        outcome.notes.push_back(asked.interface + ": " + step.error().what);
    else
        return std::unexpected(step.error());
    outcome.actual = (*datapath)->read_back().at(asked.interface); // a guard passes again
    return outcome;
}

// What the positional words and options say, or the exit code with which that ends.
std::variant<Asked, int> read_asked(const ChangeCommand& command, const po::variables_map& values) {
    const auto text = [&](const char* name) {
        return values.contains(name) ? values[name].as<std::string>() : std::string();
    };
    const auto words = values.contains("words") ? values["words"].as<std::vector<std::string>>()
                                                : std::vector<std::string>();
    if (words.size() != 2)
        return misuse(command.name,
                      command.takes_object ? "expected INTERFACE OBJECT" : "expected INTERFACE MODE");
    Asked asked{.interface = words[0],
                .object = {},
                .function = text("function"),
                .twin = text("twin"),
                .modes = {},
                .ladder = {},
                .gap_max = {}};
    std::string modes = text("mode");
    (command.takes_object ? asked.object : modes) = words[1];
    if (!modes.empty() || values.contains("mode")) {
        auto ladder = parse_ladder(modes);
        if (!ladder) return misuse(command.name, ladder.error().what);
        asked.ladder = std::move(*ladder);
        asked.modes = modes;
    }
    if (const std::string gap = text("max-gap"); !gap.empty()) {
        const auto longest = parse_duration(gap);
        if (!longest) return misuse(command.name, "--max-gap: " + longest.error().what);
        asked.gap_max = *longest;
    }
    return asked;
}

int change(const ChangeCommand& command, const std::vector<std::string>& arguments) {
    const std::string notes = "Example: " + std::string(command.example) + "\n" + std::string(notes_end);
    CommandLine line{.name = command.name, .usage = command.usage, .notes = notes, .positional = "words"};
    add_place_options(line.options);
    const auto text = [] { return po::value<std::string>(); };
    auto add = line.options.add_options();
    if (command.takes_object) {
        add("function,f", text()->value_name("NAME"), "the program, where the object has several");
        add("twin", text()->value_name("NAME"),
            "a TC program of the object with the same verdicts, to stand in while the mode is switched");
    }
    if (command.name == attach.name)
        add("mode", text()->value_name("MODES"),
            "modes to try from left to right; where none are given, drv, or those of a controller's "
            "baseline");
    if (command.name == switch_mode.name)
        add("max-gap", text()->value_name("DURATION"),
            "refuse where no twin covers the gap and it was longer, or is not known yet");
    add_socket_option(line.options);
    add("json", "print one JSON object");
    const auto parsed = parse_options(line, arguments);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const auto& values = std::get<po::variables_map>(parsed);
    const Teller teller{.command = command.name, .json = values.contains("json")};
    if (const std::string mistake = instance_option_mistake(values); !mistake.empty())
        return misuse(command.name, "--instance: " + mistake);
    const auto read = read_asked(command, values);
    if (const int* code = std::get_if<int>(&read)) return *code;
    const auto& asked = std::get<Asked>(read);
    Diagnostics diagnostics;
    const auto place = place_of(values, diagnostics);
    if (!place) return refuse(teller, "nothing was changed", diagnostics);
    if (is_owned(*place)) {
        if (!asked.function.empty() || !asked.twin.empty())
            return refuse(teller, "instance " + place->name +
                                      " is run by a controller, whose configuration says which function and "
                                      "which twin a program has; leave --function and --twin away");
        return ask_controller(
            teller,
            {.command = std::string(command.name),
             .instance = place->name,
             .interface = asked.interface,
             .program = asked.object,
             .modes = asked.modes,
             .gap_max = values.contains("max-gap") ? values["max-gap"].as<std::string>() : ""},
            values);
    }
    const auto garbage = bpf::collect_garbage(*place, false);
    const auto outcome = change_here(command, asked, *place);
    if (garbage && (!outcome || !outcome->ok))
        if (auto removed = bpf::collect_since(*garbage, *place, asked.interface); !removed)
            std::cerr << "homeostat " << command.name
                      << ": what was pinned for it stays, until 'homeostat gc': " << removed.error().what
                      << "\n";
    if (!outcome) return refuse(teller, outcome.error().what);
    return tell_change(teller, change_json(*outcome));
}

} // namespace

int attach_command(const std::vector<std::string>& arguments) { return change(attach, arguments); }
int replace_command(const std::vector<std::string>& arguments) { return change(replace, arguments); }
int switch_command(const std::vector<std::string>& arguments) { return change(switch_mode, arguments); }

} // namespace homeostat::cli
