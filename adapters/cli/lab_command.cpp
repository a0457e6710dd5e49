#include "adapters/cli/command.hpp"
#include "adapters/cli/lab_account.hpp"
#include "adapters/cli/lab_child.hpp"
#include "adapters/cli/load.hpp"
#include "adapters/cli/mistakes.hpp"
#include "adapters/cli/options.hpp"
#include "adapters/lab/network.hpp"
#include "adapters/lab/traffic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iostream>
#include <sys/signalfd.h>
#include <unistd.h>

namespace homeostat::cli {

namespace po = boost::program_options;
using namespace std::chrono_literals;
using Time = std::chrono::steady_clock;

namespace {

constexpr std::string_view usage = R"(Usage: homeostat lab [OPTION]...

Shows a controller at work in a private lab: two network namespaces joined by a veth pair, and real packets. ICMP and
TCP run all the time. A UDP flood starts; `homeostat run` raises the symptom and replaces the counting program by
the guard; the flood ends, and the baseline comes back. Needs root. Takes about half a minute, ends with an
account of what happened, and leaves nothing behind, also after Ctrl-C.
)";

constexpr std::string_view notes =
    R"(The configuration must manage the interface lab0. The signals of configs/policies/lab-udp-flood.toml are what is
shown while it runs.

Exit code: 0 all of it really happened, 1 something did not, 2 the command was not understood.
)";

constexpr std::string_view lab_interface = "lab0"; // the controller's end, in each lab::Lab
constexpr auto baseline_patience = 15s;
constexpr auto mitigation_patience = 15s;
constexpr auto restore_patience = 60s;

struct LabOptions {
    std::string config;
    std::uint32_t flood_pps = 50'000;
    std::chrono::seconds flood_time{8};
    bool keep = false;
    bool json = false;
    bool verbose = false;
};

// SIGINT and SIGTERM as a descriptor, so that one wait sees everything. Threads made later inherit the mask.
class Interrupts {
  public:
    Interrupts() {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGHUP);
        sigaddset(&set, SIGPIPE); // a reader that left is no reason to leave the lab behind
        pthread_sigmask(SIG_BLOCK, &set, nullptr);
        descriptor_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    }
    Interrupts(const Interrupts&) = delete;
    Interrupts& operator=(const Interrupts&) = delete;
    ~Interrupts() { close(descriptor_); }
    int descriptor() const { return descriptor_; }

  private:
    int descriptor_;
};

// The run from the first packet to the last, told as it goes.
class Show {
  public:
    Show(const LabOptions& options, lab::Lab& lab, LabChild& child, int signals)
        : options_(options), lab_(lab), child_(child), signals_(signals), began_(Time::now()) {}

    // What went wrong, or "". The figures are as far as it came in either case.
    std::string run() {
        const Scene scenes[] = {&Show::wait_for_baseline, &Show::normal_traffic, &Show::flood,
                                &Show::recover};
        std::string problem;
        for (const Scene scene : scenes) {
            problem = (this->*scene)();
            if (!problem.empty()) break;
        }
        end_traffic();
        return problem;
    }

    LabFigures figures;

  private:
    using Scene = std::string (Show::*)();

    void say(const std::string& what) const {
        if (options_.json) return;
        const std::chrono::duration<double> since = Time::now() - began_;
        std::printf("%6.1f s  %s\n", since.count(), what.c_str());
        std::fflush(stdout);
    }

    // Listens until it is so, or the time is over. What went wrong, or "".
    std::string until(const std::function<bool(const LabStory&)>& is_so, Time::duration patience,
                      const std::string& otherwise) {
        const auto end = Time::now() + patience;
        while (!is_so(child_.story())) {
            switch (child_.listen(end, signals_)) {
            case LabChild::Told::something:
                show_news();
                break;
            case LabChild::Told::timeout:
                return otherwise;
            case LabChild::Told::interrupted:
                return "interrupted";
            case LabChild::Told::ended:
                return "the controller ended by itself; 'homeostat lab --verbose' shows what it said";
            }
        }
        return "";
    }

    std::string listen_for(Time::duration time) {
        const std::string problem = until([](const LabStory&) { return false; }, time, "over");
        return problem == "over" ? "" : problem;
    }

    void show_news() {
        const LabStory& story = child_.story();
        if (story.raised_ns && !std::exchange(raised_told_, true)) say("the symptom is raised");
        for (; programs_told_ < story.attached.size(); ++programs_told_)
            say(fmt::format("in the kernel: {} ({})", story.attached[programs_told_].program,
                            story.attached[programs_told_].mode));
        if (story.signals_told == signals_told_ || story.attached.empty()) return;
        signals_told_ = story.signals_told;
        say(fmt::format("packets/s: udp {:7.0f}  tcp {:5.0f}  icmp {:5.0f}   dropped {:7.0f}   program {}",
                        story.signal("udp_pps,proto=udp"), story.signal("tcp_pps,proto=tcp"),
                        story.signal("icmp_pps,proto=icmp"), story.signal("dropped_pps"), story.program()));
    }

    std::string wait_for_baseline() {
        say("two namespaces, joined by a veth pair: " + lab_.host.name() + " and " + lab_.peer.name());
        return until([](const LabStory& story) { return !story.attached.empty(); }, baseline_patience,
                     "the baseline was not attached in time; 'homeostat lab --verbose' shows why");
    }

    // Keeps the generator, or tells why there is none.
    std::string keep(std::optional<lab::Traffic>& place, Result<lab::Traffic> traffic) {
        if (!traffic) return traffic.error().what;
        place.emplace(std::move(*traffic));
        return "";
    }

    std::string normal_traffic() {
        say("normal traffic: ICMP echo and a TCP connection, 100 messages/s each");
        const lab::Bounds bounds{.time = 5min};
        std::string problem = keep(echo_, lab::serve_tcp_echo(lab_.host, 7, bounds));
        if (problem.empty()) problem = keep(sink_, lab::receive_udp(lab_.host, 9, bounds));
        if (problem.empty()) problem = keep(icmp_, lab::probe_icmp(lab_.peer, {.bounds = bounds}));
        if (problem.empty()) problem = keep(tcp_, lab::talk_tcp(lab_.peer, {.bounds = bounds}));
        return problem.empty() ? listen_for(2500ms) : problem;
    }

    std::string flood() {
        say(fmt::format("a UDP flood starts: {} packets/s for {} s", options_.flood_pps,
                        options_.flood_time.count()));
        const lab::UdpFlood flood{.packets_per_second = options_.flood_pps,
                                  .bounds = {.time = options_.flood_time}};
        std::string problem = keep(flood_, lab::flood_udp(lab_.peer, flood));
        if (!problem.empty()) return problem;
        const auto began = Time::now();
        problem = until([](const LabStory& story) { return story.attached.size() >= 2; }, mitigation_patience,
                        "the flood was not mitigated in time");
        if (!problem.empty()) return problem;
        figures.mitigated = true;
        figures.passed_at_mitigation = sink_->count();
        figures.flood_at_mitigation = flood_->count();
        problem = listen_for(options_.flood_time - (Time::now() - began));
        figures.flood = problem.empty() ? flood_->wait() : flood_->stop();
        if (problem.empty()) say("the flood is over");
        return problem;
    }

    std::string recover() {
        const std::string baseline = child_.story().attached.front().program;
        std::string problem = until(
            [&](const LabStory& story) { return story.attached.size() >= 3 && story.program() == baseline; },
            restore_patience, "the baseline did not come back in time");
        figures.restored = problem.empty();
        return problem.empty() ? listen_for(1500ms) : problem;
    }

    void end_traffic() {
        if (icmp_) say("normal traffic ends");
        if (flood_) figures.flood = flood_->stop();
        if (icmp_) figures.icmp = icmp_->stop();
        if (tcp_) figures.tcp = tcp_->stop();
        if (sink_) figures.flood_passed = sink_->stop();
        // The newest counters tell of all packets.
        const std::uint64_t told = child_.story().signals_told;
        if (!child_.story().ended)
            until([&](const LabStory& story) { return story.signals_told > told + 1; }, 3s, "");
    }

    const LabOptions& options_;
    lab::Lab& lab_;
    LabChild& child_;
    int signals_;
    Time::time_point began_;
    std::optional<lab::Traffic> echo_, sink_, icmp_, tcp_, flood_;
    bool raised_told_ = false;
    std::size_t programs_told_ = 0;
    std::uint64_t signals_told_ = 0;
};

// Beside the program as it was built, and where it was installed to.
std::string default_config() {
    namespace fs = std::filesystem;
    std::error_code error;
    const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
    for (const char* place : {"../../configs/lab.toml", "../share/homeostat/lab.toml"})
        if (const fs::path path = program / place; fs::exists(path, error))
            return path.lexically_normal().string();
    return "configs/lab.toml";
}

bool check_config(const std::string& file) {
    Diagnostics diagnostics;
    FileTexts texts;
    const auto loaded = load_config(texts, file, {}, 1, diagnostics);
    if (loaded && std::ranges::find(loaded->config.interfaces, lab_interface, &InterfaceSpec::name) ==
                      loaded->config.interfaces.end())
        diagnostics.push_back(
            {.file = file,
             .at = {},
             .what = "interface '" + std::string(lab_interface) + "' is not managed here",
             .expected = "the lab has no other; see the lab.toml that comes with homeostat"});
    put_in_order(diagnostics);
    std::cerr << to_lines(diagnostics);
    return loaded && loaded->generation && !has_errors(diagnostics);
}

void print_kept(const lab::Lab& lab, const std::string& config) {
    std::cout << "\nThe lab is still there. To go on in it:\n"
              << "  sudo ip netns exec " << lab.host.name() << " "
              << std::filesystem::read_symlink("/proc/self/exe").string() << " run -c " << config << "\n"
              << "  sudo ip netns exec " << lab.peer.name() << " ping 10.77.0.1\n"
              << "To remove it:\n"
              << "  sudo ip netns del " << lab.host.name() << "\n  sudo ip netns del " << lab.peer.name()
              << "\n";
}

int fail(const std::string& why) {
    std::cerr << "homeostat lab: " << why << "\n";
    return exit_failure;
}

bool is_gone(const std::string& network_namespace) {
    std::error_code error;
    return !std::filesystem::exists("/run/netns/" + network_namespace, error);
}

int run_lab(const LabOptions& options) {
    if (geteuid() != 0) return fail("needs root, to make network namespaces; run it with sudo");
    if (!check_config(options.config)) return exit_failure;
    const Interrupts interrupts;
    auto lab = lab::Lab::create("homeostat-" + std::to_string(getpid()));
    if (!lab) return fail(lab.error().what);
    const std::vector<std::string> names{lab->host.name(), lab->peer.name()};
    if (options.keep) lab->keep();

    auto child = LabChild::start(lab->host, options.config, options.verbose);
    if (!child) return fail(child.error().what);
    Show show(options, *lab, *child, interrupts.descriptor());
    const std::string problem = show.run();
    LabFigures figures = show.figures;
    figures.controller_exit = child->stop();
    const std::optional<lab::Lab> kept = options.keep ? std::optional(std::move(*lab)) : std::nullopt;
    if (!options.keep) {
        const lab::Lab removed = std::move(*lab);
    }
    figures.kept = options.keep;
    figures.left_nothing = options.keep || std::ranges::all_of(names, is_gone);

    std::cout << (options.json ? account_json(child->story(), figures) + "\n"
                               : account_text(child->story(), figures));
    if (kept && !options.json) print_kept(*kept, options.config);
    if (!problem.empty()) return fail(problem);
    return std::ranges::all_of(lab_checks(child->story(), figures), &LabCheck::ok) ? exit_ok : exit_failure;
}

} // namespace

int lab_command(const std::vector<std::string>& arguments) {
    LabOptions options;
    unsigned seconds = 8;
    CommandLine line{.name = "lab", .usage = usage, .notes = notes, .positional = {}};
    line.options.add_options()(
        "config,c", po::value(&options.config)->value_name("FILE"),
        "the controller's configuration (default: the lab.toml that comes with homeostat)")(
        "flood", po::value(&options.flood_pps)->value_name("PPS")->default_value(options.flood_pps),
        "packets a second of the flood, 1 to 1000000")(
        "seconds", po::value(&seconds)->value_name("N")->default_value(seconds),
        "how long the flood lasts, in seconds, 1 to 120")("keep", "leave the lab's namespaces when it ends")(
        "json", "print the account as one JSON object, and nothing else")("verbose,v",
                                                                          "show the controller's log");
    const auto parsed = parse_options(line, arguments);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const auto& values = std::get<po::variables_map>(parsed);
    if (seconds < 1 || seconds > 120 || options.flood_pps < 1 || options.flood_pps > 1'000'000)
        return misuse("lab", "expected a flood of 1 to 1000000 packets/s, for 1 to 120 seconds");
    options.flood_time = std::chrono::seconds{seconds};
    options.keep = values.contains("keep");
    options.json = values.contains("json");
    options.verbose = values.contains("verbose");
    if (options.config.empty()) options.config = default_config();
    return run_lab(options);
}

} // namespace homeostat::cli
