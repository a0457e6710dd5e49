// What `homeostat run` would do now. Nothing is touched.
#include "adapters/bpf/datapath/datapath.hpp"
#include "adapters/bpf/datapath/guard.hpp"
#include "adapters/bpf/datapath/outlook.hpp"
#include "adapters/bpf/datapath/survey.hpp"
#include "adapters/bpf/objects/trial_load.hpp"
#include "adapters/cli/command.hpp"
#include "adapters/cli/load.hpp"
#include "adapters/cli/mistakes.hpp"
#include "adapters/cli/options.hpp"
#include "adapters/cli/place.hpp"
#include "knowledge/text.hpp"
#include "policies/reconcile.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <iostream>

namespace homeostat::cli {

namespace po = boost::program_options;
namespace json = boost::json;

namespace {

constexpr std::string_view usage = R"(Usage: homeostat plan -c FILE [OPTION]...

What 'homeostat run -c FILE' would do now, before any policy decides: for each interface what is attached, what should
be, the steps between, and which XDP modes the interface can take and why not; whether the kernel takes the programs;
what is left from before. Nothing is touched: programs are loaded to try them, and given up again. Needs root.
)";

constexpr std::string_view notes =
    R"(Example: homeostat plan -c configs/controller.toml

Exit code: 0 it was told, and nothing stands in the way, 1 something does, or could not be asked, 2 the command was not
understood.
)";

constexpr std::array modes{XdpMode::hw, XdpMode::drv, XdpMode::skb};

struct PlannedMode {
    XdpMode mode;
    bpf::ModeOutlook outlook;
};

struct PlannedInterface {
    std::string name;
    bool present = false;
    bool up = false;
    bpf::LinkFacts facts;
    std::string attached; // what is there, in words
    DesiredInterface desired;
    std::vector<Step> steps;
    std::vector<PlannedMode> outlook;
    std::vector<std::string> obstacles;
};

struct PlannedProgram {
    std::string name;
    std::string where;
    std::string refusal; // "" where the kernel takes it
};

struct Plan {
    std::string instance;
    std::vector<PlannedInterface> interfaces;
    std::vector<PlannedProgram> programs;
    std::vector<std::string> also; // what else would be done

    bool is_clear() const {
        return std::ranges::all_of(interfaces,
                                   [](const PlannedInterface& one) { return one.obstacles.empty(); }) &&
               std::ranges::all_of(programs, [](const PlannedProgram& one) { return one.refusal.empty(); });
    }
};

// What is needed to see an interface as the controller would.
struct Seen {
    const LoadedConfig& loaded;
    bpf::InstancePlace place;
    bpf::InstanceRecords records;
    std::map<std::string, std::string> versions; // names of the configuration's programs
};

// The XDP program in the words of knowledge/datapath.hpp.
std::optional<AttachedXdp> xdp_of(const Seen& seen, const bpf::SurveyedInterface& surveyed) {
    const bpf::SurveyedProgram* program = bpf::xdp_that_counts(surveyed, seen.place.name);
    if (program == nullptr) return std::nullopt;
    const auto mode = parse_xdp_mode(program->hook.substr(4)).value_or(XdpMode::skb);
    if (!bpf::is_of(*program, seen.place.name, surveyed.name))
        return AttachedXdp{std::string(foreign_prefix) + program->name, mode, program->id};
    const auto known = seen.versions.find(program->version);
    return AttachedXdp{known != seen.versions.end() ? known->second
                                                    : std::string(bpf::outdated_prefix) + program->version,
                       mode, program->id};
}

std::string attached_text(const bpf::SurveyedInterface& surveyed, const std::optional<AttachedXdp>& xdp) {
    if (!xdp) return "nothing";
    const bool is_outdated = xdp->program.starts_with(bpf::outdated_prefix);
    const std::string name = is_outdated ? xdp->program.substr(bpf::outdated_prefix.size())
                             : xdp->program.starts_with(foreign_prefix)
                                 ? xdp->program.substr(foreign_prefix.size())
                                 : xdp->program;
    std::string text =
        name + " (id " + std::to_string(xdp->program_id) + "), " + std::string(to_text(xdp->mode));
    for (const bpf::SurveyedProgram& program : surveyed.programs)
        if (program.id == xdp->program_id)
            text +=
                program.owner.kind == bpf::Owner::Kind::homeostat
                    ? ", by homeostat " + program.owner.instance +
                          (program.owner.interface == surveyed.name ? "" : " for " + program.owner.interface)
                    : ", not by homeostat (" + to_text(program.owner) + ")";
    return text + (is_outdated ? "; no program of the configuration, as it is now" : "");
}

// The TC programs of the instance; a guard is none.
std::map<TcDirection, AttachedTc> tc_of(const Seen& seen, const bpf::SurveyedInterface& surveyed) {
    std::map<TcDirection, AttachedTc> programs;
    for (const bpf::SurveyedProgram& program : surveyed.programs) {
        if (!bpf::is_of(program, seen.place.name, surveyed.name) || program.hook.starts_with("xdp ") ||
            program.version.empty() || bpf::is_twin(program.version))
            continue;
        const auto known = seen.versions.find(program.version);
        for (const TcDirection direction : tc_directions)
            if (program.hook.ends_with(to_text(direction)))
                programs[direction] = {known != seen.versions.end()
                                           ? known->second
                                           : std::string(bpf::outdated_prefix) + program.version,
                                       program.id};
    }
    return programs;
}

std::string tc_text(TcDirection direction, const std::string& program) {
    return "; " + program + " at TC " + std::string(to_text(direction));
}

Result<PlannedInterface> plan_interface(const Seen& seen, const InterfaceSpec& spec) {
    PlannedInterface planned{.name = spec.name,
                             .present = ::if_nametoindex(spec.name.c_str()) != 0,
                             .up = false,
                             .facts = {},
                             .attached = "",
                             .desired = spec.baseline,
                             .steps = {},
                             .outlook = {},
                             .obstacles = {}};
    if (!planned.present) {
        planned.obstacles.emplace_back("there is no such interface in this network namespace");
        return planned;
    }
    const auto surveyed = bpf::survey_interfaces({spec.name}, seen.place.bpffs, seen.place.state);
    if (!surveyed) return std::unexpected(surveyed.error());
    const bpf::SurveyedInterface& there = surveyed->front();
    planned.up = there.up;
    const unsigned ifindex = there.ifindex;
    planned.facts = bpf::link_facts(ifindex).value_or(bpf::LinkFacts{});
    ActualInterface actual{
        .present = true, .up = there.up, .index = ifindex, .xdp = xdp_of(seen, there), .entries = {}};
    actual.tc = tc_of(seen, there);
    planned.attached = attached_text(there, actual.xdp);
    for (const auto& [direction, tc] : actual.tc)
        planned.attached += tc_text(direction, tc.program + " (id " + std::to_string(tc.program_id) + ")");
    if (const auto known = seen.records.manifest.interfaces.find(spec.name);
        known != seen.records.manifest.interfaces.end())
        actual.entries = known->second.owned;
    planned.steps = reconcile(spec.baseline, actual);
    for (const XdpMode mode : modes) planned.outlook.push_back({mode, bpf::outlook(planned.facts, mode)});
    const bool is_foreign = actual.xdp && actual.xdp->program.starts_with(foreign_prefix);
    if (is_foreign && !planned.steps.empty() && !spec.baseline.replace_foreign) {
        planned.steps.clear(); // they would fail
        planned.obstacles.emplace_back(
            "the program that is attached is somebody else's and is left alone; on_foreign = "
            "\"replace\" would detach it");
    }
    const auto is_no = [&](XdpMode mode) {
        return bpf::outlook(planned.facts, mode).answer == bpf::ModeOutlook::Answer::no;
    };
    if (spec.baseline.program && std::ranges::all_of(spec.baseline.ladder, is_no))
        planned.obstacles.emplace_back("it takes none of the modes that the configuration allows");
    return planned;
}

// Whether the kernel takes it; what comes of it is given up at once.
PlannedProgram try_program(const bpf::ProgramSource& source) {
    PlannedProgram tried{.name = source.name, .where = source.path, .refusal = ""};
    const std::string own =
        source.function.empty() ? source.layout->only_program().value_or("") : source.function;
    for (const std::string& function : {own, source.twin}) {
        if (function.empty()) continue;
        const auto trial = bpf::try_load(source.path, function);
        if (!trial) {
            tried.refusal = trial.error().what;
            return tried;
        }
        for (const bpf::TrialProgram& program : trial->programs)
            if (program.refusal) tried.refusal = program.name + ": " + program.refusal->what;
    }
    return tried;
}

std::vector<std::string> what_is_left(const Seen& seen) {
    std::vector<std::string> also;
    if (!seen.records.owner.empty())
        also.push_back("a controller owns this instance now (process " + seen.records.owner +
                       "): another one would not start");
    else if (seen.records.journal)
        also.push_back("a change on " + seen.records.journal->interface +
                       " that was cut short would be taken back first");
    if (!seen.records.dropped.empty()) also.push_back(seen.records.dropped);
    for (const std::string& interface : bpf::pinned_interfaces(seen.place))
        if (std::ranges::find(seen.loaded.config.interfaces, interface, &InterfaceSpec::name) ==
            seen.loaded.config.interfaces.end())
            also.push_back(interface +
                           " is not in the configuration any more: what is attached to it would be detached");
    return also;
}

Result<Plan> make_plan(const LoadedConfig& loaded) {
    Seen seen{.loaded = loaded, .place = place_of(loaded.config), .records = {}, .versions = {}};
    auto records = bpf::read_records(seen.place);
    if (!records) return std::unexpected(records.error());
    seen.records = std::move(*records);
    Plan plan{.instance = seen.place.name, .interfaces = {}, .programs = {}, .also = what_is_left(seen)};
    for (const bpf::ProgramSource& source : loaded.programs) {
        if (const auto version = bpf::version_of(source)) seen.versions.emplace(*version, source.name);
        plan.programs.push_back(try_program(source));
    }
    for (const InterfaceSpec& spec : loaded.config.interfaces) {
        auto planned = plan_interface(seen, spec);
        if (!planned) return std::unexpected(planned.error());
        plan.interfaces.push_back(std::move(*planned));
    }
    return plan;
}

std::string_view answer_text(bpf::ModeOutlook::Answer answer) {
    constexpr std::array<std::string_view, 3> words{"yes", "no", "perhaps"};
    return words[static_cast<std::size_t>(answer)];
}

std::string facts_text(const PlannedInterface& planned) {
    if (!planned.present) return "not there";
    std::string text = planned.facts.driver.empty() ? planned.facts.kind : planned.facts.driver;
    if (!planned.facts.master.empty())
        text += ", part of " + planned.facts.master_kind + " " + planned.facts.master;
    return text + (text.empty() ? "" : ", ") + (planned.up ? "up" : "down") + ", MTU " +
           std::to_string(planned.facts.mtu);
}

std::string desired_text(const DesiredInterface& desired) {
    std::string text = desired.program      ? *desired.program + " in mode " + ladder_text(desired.ladder)
                       : desired.tc.empty() ? "nothing attached"
                                            : "no XDP program";
    for (const auto& [direction, program] : desired.tc) text += tc_text(direction, program);
    return text;
}

void print_row(std::string_view name, std::string_view text) {
    std::cout << fmt::format("  {:<14}{}\n", name, printable(std::string(text)));
}

void print_interface(const PlannedInterface& planned) {
    std::cout << planned.name << ": " << facts_text(planned) << "\n";
    if (planned.present) {
        print_row("attached", planned.attached);
        print_row("should be", desired_text(planned.desired));
        print_row("would do", planned.steps.empty() ? "nothing" : to_text(planned.steps.front()));
        for (std::size_t i = 1; i < planned.steps.size(); ++i) print_row("", to_text(planned.steps[i]));
        for (const PlannedMode& one : planned.outlook)
            print_row("mode " + std::string(to_text(one.mode)),
                      std::string(answer_text(one.outlook.answer)) +
                          (one.outlook.why.empty() ? "" : ": " + one.outlook.why));
    }
    for (const std::string& obstacle : planned.obstacles) print_row("BUT", obstacle);
}

void print_lines(const Plan& plan) {
    for (const PlannedInterface& planned : plan.interfaces) print_interface(planned);
    std::cout << "programs, as the kernel takes them:\n";
    for (const PlannedProgram& program : plan.programs)
        print_row(program.name,
                  (program.refusal.empty() ? "yes: " : "no: " + program.refusal + ": ") + program.where);
    if (!plan.also.empty()) std::cout << "also:\n";
    for (const std::string& line : plan.also) std::cout << "  " << line << "\n";
    std::cout << "this is what 'homeostat run' would do as instance " << plan.instance
              << "; nothing was touched\n";
}

json::object to_json(const PlannedInterface& planned) {
    json::array steps;
    for (const Step& step : planned.steps) steps.push_back(json::value(printable(to_text(step))));
    json::object outlook;
    for (const PlannedMode& one : planned.outlook)
        outlook[to_text(one.mode)] =
            json::object{{"possible", answer_text(one.outlook.answer)}, {"why", one.outlook.why}};
    return {{"name", planned.name},
            {"present", planned.present},
            {"up", planned.up},
            {"driver", planned.facts.driver},
            {"mtu", planned.facts.mtu},
            {"attached", printable(planned.attached)},
            {"desired", desired_text(planned.desired)},
            {"steps", std::move(steps)},
            {"modes", std::move(outlook)},
            {"obstacles", json::array(planned.obstacles.begin(), planned.obstacles.end())}};
}

void print_json(const Plan& plan) {
    json::array interfaces;
    for (const PlannedInterface& planned : plan.interfaces) interfaces.push_back(to_json(planned));
    json::array programs;
    for (const PlannedProgram& program : plan.programs)
        programs.push_back({{"name", program.name},
                            {"object", printable(program.where)},
                            {"taken", program.refusal.empty()},
                            {"error", printable(program.refusal)}});
    std::cout << json::object{{"instance", plan.instance},
                              {"interfaces", std::move(interfaces)},
                              {"programs", std::move(programs)},
                              {"also", json::array(plan.also.begin(), plan.also.end())}}
              << "\n";
}

} // namespace

int plan_command(const std::vector<std::string>& arguments) {
    CommandLine line{.name = "plan", .usage = usage, .notes = notes, .positional = {}};
    line.options.add_options()("config,c", po::value<std::string>()->required()->value_name("FILE"),
                               "the controller's configuration")(
        "instance", po::value<std::string>()->value_name("NAME"),
        "instead of the configuration's controller.instance")("json", "print one JSON object");
    const auto parsed = parse_options(line, arguments);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const auto& values = std::get<po::variables_map>(parsed);
    const Teller teller{.command = "plan", .json = values.contains("json")};
    if (const std::string mistake = instance_option_mistake(values); !mistake.empty())
        return misuse("plan", "--instance: " + mistake);
    Diagnostics diagnostics;
    FileTexts texts;
    auto loaded = load_config(texts, values["config"].as<std::string>(), {}, 1, diagnostics);
    if (!loaded || !loaded->generation)
        return refuse(teller, "the configuration is not understood", diagnostics);
    if (values.contains("instance")) loaded->config.instance = values["instance"].as<std::string>();
    const auto plan = make_plan(*loaded);
    if (!plan) return refuse(teller, plan.error().what);
    if (teller.json)
        print_json(*plan);
    else
        print_lines(*plan);
    return plan->is_clear() ? exit_ok : exit_failure;
}

} // namespace homeostat::cli
