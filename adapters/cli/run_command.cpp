#include "adapters/cli/command.hpp"
#include "adapters/cli/load.hpp"
#include "adapters/cli/mistakes.hpp"
#include "adapters/cli/operator_desk.hpp"
#include "adapters/cli/options.hpp"
#include "adapters/cli/place.hpp"
#include "adapters/cli/question_json.hpp"
#include "adapters/cli/report.hpp"
#include "adapters/cli/world.hpp"
#include "adapters/control/paths.hpp"
#include "adapters/control/server.hpp"
#include "adapters/rtnetlink/links.hpp"
#include "engine/runner.hpp"
#include "knowledge/text.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <iostream>
#include <memory>

namespace homeostat::cli {

namespace po = boost::program_options;

namespace {

constexpr std::string_view usage = R"(Usage: homeostat run -c FILE [OPTION]...

The controller, in the foreground: loads the programs, attaches the baseline to each interface, reads the
sensors, and changes what is attached as the policies say. Needs root, or CAP_BPF, CAP_NET_ADMIN and
CAP_PERFMON.

Everything is checked before anything is touched. SIGHUP reads the configuration and the policies again; if
something is wrong with them, the last good ones go on. SIGINT and SIGTERM stop it: a change in flight is waited
for. What is attached stays attached, also where the controller is killed: the next one goes on with it, and takes back
a change that was cut short. --detach-on-exit, or 'homeostat detach', undoes everything.
)";

constexpr std::string_view notes =
    R"(With --json every decision is a line on standard output: objects of the types ready, symptom, receipt,
transaction, outcome, message and signals. The log goes to standard error.

In shadow nothing is loaded, attached or written, and receipts say shadow. Map sensors read the maps of the program
that is attached to the interface, if it has them, which takes CAP_SYS_ADMIN; without such a program they have
nothing to read, and policies over their metrics cannot fire. So shadow is for trying policies beside a controller
that runs, or over link_* metrics. Ring buffers are not read, since that would take their records from their reader.

Exit code: 0 it was stopped, 1 it could not start, also for a file that has mistakes, 2 the command was not understood.
)";

// Real time, but never backwards: the wall clock is asked once, and goes on by the steady one.
std::function<Instant()> real_clock() {
    const auto wall = std::chrono::system_clock::now().time_since_epoch();
    const auto steady = std::chrono::steady_clock::now();
    return [wall, steady] {
        const auto now = wall + (std::chrono::steady_clock::now() - steady);
        return Instant{std::chrono::duration_cast<Duration>(now)};
    };
}

void check_interfaces(const ControllerConfig& config, Diagnostics& diagnostics) {
    const auto existing = rtnetlink::interface_names();
    for (const InterfaceSpec& interface : config.interfaces) {
        if (existing && std::ranges::find(*existing, interface.name) != existing->end()) continue;
        const std::string list = existing ? joined(*existing) : "";
        // No guess here: a wrong one would put a program on somebody's only link.
        diagnostics.push_back(
            {.file = config.file,
             .at = interface.at,
             .what = existing ? "there is no interface '" + interface.name + "' in this network namespace"
                              : existing.error().what,
             .expected = existing ? "there are: " + list : ""});
    }
}

struct RunOptions {
    std::string config;
    bool shadow = false;
    bool json = false;
    bool detach_on_exit = false;
    std::string instance; // "": as configured
    std::optional<Duration> signals_every;
};

void log(const LogLine& line) {
    constexpr std::array levels{spdlog::level::info, spdlog::level::warn, spdlog::level::err};
    spdlog::log(levels[static_cast<std::size_t>(line.level)], "{}", line.text);
}

// A reader that went away must not stop a controller; that it did is told once.
void print_line(const std::string& line) {
    static bool closed = false;
    if (closed) return;
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fputc('\n', stdout);
    if (std::fflush(stdout) == 0) return;
    closed = true;
    spdlog::warn("standard output cannot be written: decisions are no longer printed there");
}

GenerationPtr in_shadow(const Generation& generation) {
    auto shadowed = std::make_shared<Generation>(generation);
    shadowed->shadow = true;
    // So their receipts say it too.
    for (AdaptationRule& rule : shadowed->policies.adaptations)
        if (rule.enforcement == Enforcement::enforce) rule.enforcement = Enforcement::shadow;
    return shadowed;
}

// What the loop reports to and asks for reloads.
class Shell {
  public:
    Shell(RunOptions options, LoadedConfig loaded)
        : options_(std::move(options)), loaded_(std::move(loaded)), generation_(loaded_.generation) {
        if (options_.shadow) generation_ = in_shadow(*generation_);
    }

    const LoadedConfig& loaded() const { return loaded_; }
    GenerationPtr generation() const { return generation_; }

    void decided(const Decisions& decisions, const EngineState& state) {
        for (const LogLine& line : log_lines(decisions)) log(line);
        if (!options_.json) return;
        for (const std::string& line : json_lines(decisions)) print_line(line);
        if (!options_.signals_every) return;
        if (signals_at_ && decisions.now - *signals_at_ < *options_.signals_every) return;
        signals_at_ = decisions.now;
        print_line(signals_json(state, decisions.now));
    }

    GenerationPtr reload() {
        Diagnostics diagnostics;
        FileTexts texts;
        auto next = load_config(texts, options_.config, {}, generation_->number + 1, diagnostics);
        if (next && !options_.instance.empty()) next->config.instance = options_.instance;
        if (next && next->generation) check_reloadable(loaded_.config, next->config, diagnostics);
        if (!next || !next->generation || has_errors(diagnostics)) {
            put_in_order(diagnostics);
            for (const Diagnostic& d : diagnostics) spdlog::error("{}", printable(to_text(d)));
            spdlog::error("the reload is refused; generation {} goes on", generation_->number);
            return nullptr;
        }
        loaded_ = std::move(*next);
        generation_ = options_.shadow ? in_shadow(*loaded_.generation) : loaded_.generation;
        spdlog::info("generation {} is loaded", generation_->number);
        return generation_;
    }

  private:
    RunOptions options_;
    LoadedConfig loaded_;
    GenerationPtr generation_;
    std::optional<Instant> signals_at_;
};

std::variant<RunOptions, int> read_options(const std::vector<std::string>& arguments) {
    CommandLine line{.name = "run", .usage = usage, .notes = notes, .positional = {}};
    line.options.add_options()("config,c", po::value<std::string>()->required()->value_name("FILE"),
                               "the controller's configuration")("shadow", "decide and log, touch nothing")(
        "detach-on-exit", "when stopped, detach everything and remove all traces")(
        "instance", po::value<std::string>()->value_name("NAME"),
        "instead of the configuration's controller.instance")(
        "json", "print decisions as JSON lines on standard output")(
        "signals", po::value<std::string>()->value_name("DURATION"),
        "with --json, also print all signals that often, such as 1s");
    const auto parsed = parse_options(line, arguments);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const auto& values = std::get<po::variables_map>(parsed);
    if (const std::string mistake = instance_option_mistake(values); !mistake.empty())
        return misuse("run", "--instance: " + mistake);
    if (values.contains("shadow") && values.contains("detach-on-exit"))
        return misuse("run", "--detach-on-exit: in shadow nothing is attached");
    RunOptions options{.config = values["config"].as<std::string>(),
                       .shadow = values.contains("shadow"),
                       .json = values.contains("json"),
                       .detach_on_exit = values.contains("detach-on-exit"),
                       .instance = values.contains("instance") ? values["instance"].as<std::string>() : "",
                       .signals_every = {}};
    if (values.contains("signals")) {
        const auto every = parse_duration(values["signals"].as<std::string>());
        if (!every || *every == Duration{0} || !options.json) {
            return misuse("run", "--signals: " + (!every         ? every.error().what
                                                  : options.json ? "expected 1ms or more"
                                                                 : "goes with --json"));
        }
        options.signals_every = *every;
    }
    return options;
}

void start_log() {
    auto logger = spdlog::stderr_color_mt("homeostat", spdlog::color_mode::automatic);
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc);
    spdlog::set_default_logger(std::move(logger));
}

control::Reply answer_request(const EngineState& state, const boost::json::object& request) {
    using control::Refused;
    const auto question = read_question(request);
    if (!question) return std::unexpected(control::Refusal{Refused::request, question.error().what});
    const auto answer = ask(state, *question);
    if (!answer) return std::unexpected(control::Refusal{Refused::question, answer.error().what});
    return answer_json(*answer);
}

// Null where there is none: it was not wanted, or the default place cannot be used. A place that the
// configuration names must be usable.
Result<std::unique_ptr<control::Server>> open_control(const ControllerConfig& config, OperatorDesk& desk) {
    if (config.control == no_control) return nullptr;
    const std::string path = config.control.value_or(control::default_path(config.file));
    auto server = control::Server::open(
        path, "homeostat " HOMEOSTAT_VERSION, answer_request, {},
        [&desk](const EngineState& state, const boost::json::object& request,
                std::function<void(control::Reply)> reply) { desk.take(state, request, std::move(reply)); });
    if (server) spdlog::info("questions are answered on {}", path);
    if (server || config.control) return server;
    spdlog::warn("{}; the controller goes on, and cannot be asked", server.error().what);
    return nullptr;
}

// Holds SIGHUP back until somebody is there to take it: it asks for a reload, also while what is to be
// reloaded is loaded for the first time. Where that fails it is never let go, so that the exit code tells
// why.
class HeldBack {
  public:
    HeldBack() {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGHUP);
        pthread_sigmask(SIG_BLOCK, &set, &before_);
    }
    void release() const { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  private:
    sigset_t before_{};
};

int run_loop(Shell& shell, World& world, const RunOptions& options, control::Server* control,
             OperatorDesk& desk, const HeldBack& hangups) {
    const auto clock = real_clock();
    std::vector<Sensor*> sensors;
    for (const auto& sensor : world.sensors) sensors.push_back(sensor.get());
    Runner runner(shell.generation(),
                  {.clock = clock,
                   .sensors = std::move(sensors),
                   .datapath = world.datapath.get(),
                   .decided =
                       [&](const Decisions& d, const EngineState& state) {
                           shell.decided(d, state);
                           desk.decided(d, state);
                       },
                   .reload = [&] { return shell.reload(); },
                   .services = control != nullptr ? std::vector<Service*>{control} : std::vector<Service*>{}},
                  {.period = shell.loaded().config.period});
    desk.submit = [&runner](OperatorCommand command) { runner.command(std::move(command)); };
    hangups.release(); // the runner takes signals from here on
    spdlog::info("generation {}: {} interface(s), {} sensor(s), {} adaptation(s), every {}{}",
                 shell.generation()->number, shell.loaded().config.interfaces.size(),
                 shell.loaded().config.sensors.size(), shell.generation()->policies.adaptations.size(),
                 homeostat::to_text(shell.loaded().config.period),
                 options.shadow ? ", in shadow: nothing will be changed" : "");
    if (options.json) print_line(ready_json(*shell.generation(), clock()));
    runner.run();
    if (options.detach_on_exit)
        if (auto detached = world.detach(); !detached) {
            spdlog::error("stopped, but not everything is detached: {}", detached.error().what);
            return exit_failure;
        }
    spdlog::info(options.detach_on_exit || options.shadow ? "stopped" : "stopped; what is attached stays");
    return exit_ok;
}

} // namespace

int run_command(const std::vector<std::string>& arguments) {
    const HeldBack hangups;
    const auto parsed = read_options(arguments);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const auto& options = std::get<RunOptions>(parsed);
    start_log();
    std::signal(SIGPIPE, SIG_IGN); // whoever reads the log may go; the controller stays

    Diagnostics diagnostics;
    FileTexts texts;
    auto loaded = load_config(texts, options.config, {}, 1, diagnostics);
    if (loaded) check_interfaces(loaded->config, diagnostics);
    if (!loaded || !loaded->generation || has_errors(diagnostics)) {
        put_in_order(diagnostics);
        std::cerr << to_lines(diagnostics);
        return exit_failure;
    }
    if (!options.instance.empty()) loaded->config.instance = options.instance;
    Shell shell(options, std::move(*loaded));
    auto world = options.shadow ? open_shadow_world(shell.loaded()) : open_world(shell.loaded());
    if (!world) {
        std::cerr << "homeostat run: " << world.error().what << "\n";
        return exit_failure;
    }
    for (const std::string& note : world->notes) spdlog::info("{}", note);
    OperatorDesk desk(shell.loaded().config.instance);
    const auto control = open_control(shell.loaded().config, desk);
    if (!control) {
        std::cerr << "homeostat run: " << control.error().what << "\n";
        return exit_failure;
    }
    return run_loop(shell, *world, options, control->get(), desk, hangups);
}

} // namespace homeostat::cli
