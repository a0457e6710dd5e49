#include "adapters/bpf/datapath.hpp"
#include "adapters/bpf/map_sensor.hpp"
#include "adapters/bpf/observed.hpp"
#include "adapters/bpf/ring_sensor.hpp"
#include "adapters/cli/command.hpp"
#include "adapters/cli/load.hpp"
#include "adapters/cli/options.hpp"
#include "adapters/cli/report.hpp"
#include "adapters/rtnetlink/link_sensor.hpp"
#include "engine/runner.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
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
for, then its programs are detached.
)";

constexpr std::string_view notes =
    R"(With --json every decision is a line on standard output: objects of the types ready, symptom, receipt,
transaction, outcome, message and signals. The log goes to standard error.

In shadow nothing is loaded, attached or written. Map sensors read the maps of the program that is attached to
the interface, if it has them; ring buffers are not read, since that would take their records from their reader.

Exit code: 0 it was stopped, 1 it could not start, 2 the command was not understood.
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

std::vector<std::string> interface_names(const ControllerConfig& config) {
    std::vector<std::string> names;
    for (const InterfaceSpec& interface : config.interfaces) names.push_back(interface.name);
    return names;
}

void check_interfaces(const ControllerConfig& config, Diagnostics& diagnostics) {
    const auto existing = rtnetlink::interface_names();
    for (const InterfaceSpec& interface : config.interfaces) {
        if (existing && std::ranges::find(*existing, interface.name) != existing->end()) continue;
        std::string list;
        if (existing)
            for (const std::string& name : *existing) list += (list.empty() ? "" : ", ") + name;
        const std::string meant = existing ? nearest(interface.name, *existing) : "";
        diagnostics.push_back(
            {.file = config.file,
             .at = interface.at,
             .what = existing ? "there is no interface '" + interface.name + "'" : existing.error().what,
             .expected = meant.empty() ? "there are: " + list : "did you mean '" + meant + "'?"});
    }
}

// The world as a controller needs it: a datapath, and a sensor for each of the configuration's.
class World {
  public:
    static Result<World> open(const LoadedConfig& loaded, bool shadow) {
        World world;
        const std::vector<std::string> interfaces = interface_names(loaded.config);
        if (shadow) {
            world.datapath_ = std::make_unique<bpf::ObservedDatapath>(loaded.programs, interfaces);
        } else {
            auto datapath = bpf::XdpDatapath::open(loaded.programs, interfaces);
            if (!datapath) return std::unexpected(datapath.error());
            for (const auto& [program, error] : (*datapath)->rejected())
                return failure("program '" + program + "' is rejected: " + error.what, error.number);
            world.live_ = datapath->get();
            world.datapath_ = std::move(*datapath);
        }
        for (std::size_t i = 0; i < loaded.config.sensors.size(); ++i) {
            auto sensor = world.open_sensor(static_cast<SensorId>(i), loaded);
            if (!sensor)
                return failure("sensor " + loaded.config.sensors[i].name + ": " + sensor.error().what);
            world.sensors_.push_back(std::move(*sensor));
        }
        // Somebody must tell whether the interfaces are there, also where nobody asks for their counters.
        if (!world.watches_links_) {
            auto links = world.open_links(static_cast<SensorId>(world.sensors_.size()), loaded, false);
            if (!links) return std::unexpected(links.error());
            world.sensors_.push_back(std::move(*links));
        }
        return world;
    }

    Datapath& datapath() { return *datapath_; }
    std::vector<Sensor*> sensors() const {
        std::vector<Sensor*> all;
        for (const auto& sensor : sensors_) all.push_back(sensor.get());
        return all;
    }

  private:
    using Opened = Result<std::unique_ptr<Sensor>>;

    template <class Made> static Opened opened(Result<std::unique_ptr<Made>> made) {
        if (!made) return std::unexpected(made.error());
        return std::unique_ptr<Sensor>(std::move(*made));
    }

    Opened open_links(SensorId id, const LoadedConfig& loaded, bool counters) {
        watches_links_ = true;
        return opened(rtnetlink::LinkSensor::create(id, interface_names(loaded.config), counters));
    }

    Opened open_sensor(SensorId id, const LoadedConfig& loaded) {
        const SensorSpec& spec = loaded.config.sensors[static_cast<std::size_t>(id)];
        if (const auto* map = std::get_if<MapSensorSpec>(&spec.source)) {
            if (live_ == nullptr)
                return opened(bpf::ObservedMapSensor::create(id, *map, spec.series_max, loaded.programs,
                                                             interface_names(loaded.config)));
            auto maps = live_->maps_named(map->map);
            if (!maps) return std::unexpected(maps.error());
            return opened(bpf::MapSensor::create(id, *map, spec.series_max, std::move(*maps)));
        }
        if (const auto* ring = std::get_if<RingSensorSpec>(&spec.source)) {
            if (live_ == nullptr) return std::make_unique<bpf::ObservedRingSensor>(id);
            auto rings = live_->maps_named(ring->map);
            if (!rings) return std::unexpected(rings.error());
            return opened(bpf::RingSensor::create(id, *ring, spec.series_max, std::move(*rings)));
        }
        return open_links(id, loaded, true);
    }

    std::unique_ptr<Datapath> datapath_;
    bpf::XdpDatapath* live_ = nullptr; // datapath_, unless in shadow
    std::vector<std::unique_ptr<Sensor>> sensors_;
    bool watches_links_ = false;
};

struct RunOptions {
    std::string config;
    bool shadow = false;
    bool json = false;
    std::optional<Duration> signals_every;
};

void log(const LogLine& line) {
    constexpr std::array levels{spdlog::level::info, spdlog::level::warn, spdlog::level::err};
    spdlog::log(levels[static_cast<std::size_t>(line.level)], "{}", line.text);
}

void print_line(const std::string& line) {
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fputc('\n', stdout);
    std::fflush(stdout);
}

GenerationPtr in_shadow(const Generation& generation) {
    auto shadowed = std::make_shared<Generation>(generation);
    shadowed->shadow = true;
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
        auto next = load_config(options_.config, {}, generation_->number + 1, diagnostics);
        if (next && next->generation) check_reloadable(loaded_.config, next->config, diagnostics);
        if (!next || !next->generation || has_errors(diagnostics)) {
            for (const Diagnostic& d : diagnostics) spdlog::error("{}", to_text(d));
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
        "json", "print decisions as JSON lines on standard output")(
        "signals", po::value<std::string>()->value_name("DURATION"),
        "with --json, also print all signals that often, such as 1s");
    const auto parsed = parse_options(line, arguments);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const auto& values = std::get<po::variables_map>(parsed);
    RunOptions options{.config = values["config"].as<std::string>(),
                       .shadow = values.contains("shadow"),
                       .json = values.contains("json"),
                       .signals_every = {}};
    if (values.contains("signals")) {
        const auto every = parse_duration(values["signals"].as<std::string>());
        if (!every || !options.json) {
            std::cerr << "homeostat run: --signals: " << (every ? "goes with --json" : every.error().what)
                      << "\nTry 'homeostat run --help'.\n";
            return exit_usage;
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

int run_loop(Shell& shell, World& world, const RunOptions& options) {
    const auto clock = real_clock();
    Runner runner(shell.generation(),
                  {.clock = clock,
                   .sensors = world.sensors(),
                   .datapath = &world.datapath(),
                   .decided = [&](const Decisions& d, const EngineState& state) { shell.decided(d, state); },
                   .reload = [&] { return shell.reload(); }},
                  {.period = shell.loaded().config.period});
    spdlog::info("generation {}: {} interfaces, {} sensors, {} policies, every {}{}",
                 shell.generation()->number, shell.loaded().config.interfaces.size(),
                 shell.loaded().config.sensors.size(), shell.generation()->policies.adaptations.size(),
                 to_text(shell.loaded().config.period),
                 options.shadow ? ", in shadow: nothing will be changed" : "");
    if (options.json) print_line(ready_json(*shell.generation(), clock()));
    runner.run();
    spdlog::info("stopped");
    return exit_ok;
}

} // namespace

int run_command(const std::vector<std::string>& arguments) {
    const auto parsed = read_options(arguments);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const auto& options = std::get<RunOptions>(parsed);
    start_log();

    Diagnostics diagnostics;
    auto loaded = load_config(options.config, {}, 1, diagnostics);
    if (loaded) check_interfaces(loaded->config, diagnostics);
    if (!loaded || !loaded->generation || has_errors(diagnostics)) {
        for (const Diagnostic& d : diagnostics) std::cerr << to_text(d) << "\n";
        return exit_failure;
    }
    Shell shell(options, std::move(*loaded));
    auto world = World::open(shell.loaded(), options.shadow);
    if (!world) {
        std::cerr << "homeostat run: " << world.error().what << "\n";
        return exit_failure;
    }
    return run_loop(shell, *world, options);
}

} // namespace homeostat::cli
