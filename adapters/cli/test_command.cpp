#include "adapters/cli/command.hpp"
#include "adapters/cli/mistakes.hpp"
#include "adapters/cli/options.hpp"
#include "adapters/cli/test_document.hpp"
#include "adapters/cli/test_report.hpp"
#include "engine/policy_test/mutation.hpp"
#include "knowledge/text.hpp"

#include <re2/re2.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <unistd.h>

namespace homeostat::cli {

namespace po = boost::program_options;

namespace {

constexpr std::string_view usage = R"(Usage: homeostat test [OPTION]... FILE...

Unit tests of policies: plays series and events to the controller's own engine over a simulated datapath, and
says whether symptoms, adaptations and interfaces became what the tests expect. Touches nothing, needs no
privileges, and takes no longer than the computation.
)";

constexpr std::string_view notes = R"(A test document, NAME.test.toml beside NAME.toml:

  version  = 1
  policies = ["flood.toml"]          # what is tested, from this file's folder
  period   = "1s"                    # of ticks; this is the default

  [[interface]]                      # as in a controller's configuration
  name = "eth0"
  xdp.program = "counter"

  [[test]]
  name   = "a flood is guarded, and let go"
  series = [                         # promtool's notation: a, axn, a+bxn, a-bxn, _, _xn, stale
    { series = 'packets_total{iface="eth0"}', values = "0+10x5 1050+1000x5 6060+10x15" },
  ]
  [[test.expect]]
  at        = "5s"                   # after the last tick that is not later
  symptoms  = { flood = "inactive" } # inactive, pending, raised or clearing
  active    = []                     # these adaptations and no others
  [[test.expect]]
  at        = "8s"
  symptoms  = { 'flood{iface="eth0"}' = "raised" }
  active    = ["guard"]
  interface.eth0.xdp.program = "guard"
  [[test.expect]]                    # without a time: of the whole test
  decisions = ["6s apply guard", "17s remove guard"]
  [[test.invariant]]                 # at every tick
  never     = 'sum(adaptation_active) > 1'

and flood.toml:

  version = 1
  [[symptom]]
  name  = "flood"
  raise = 'rate(packets_total[2s]) > 100'
  keep  = "5s"
  [[adaptation]]
  name     = "guard"
  when     = "flood"
  min_hold = "10s"
  [adaptation.set.interface."{{iface}}"]
  xdp.program = "guard"

More that a test can have: [[test.event]] (urgent samples, interfaces that go and return, sensors that fail,
somebody who detaches a program), [[test.outcome]] (transactions that fail or take their time, interfaces that
refuse a mode); and an expectation: waits (the gate that is closed), eval, holds, empty, desired, messages.
REFERENCE.md lists all keys.

Exit code: 0 all tests passed, 1 one failed, a file has mistakes or cannot be read, --filter fits no test, or fewer
mutants were noticed than --mutate-min, 2 the command was not understood.
)";

struct Loaded {
    std::vector<TestedFile> files;
    Diagnostics diagnostics;
};

Loaded load_all(const std::vector<std::string>& paths) {
    Loaded loaded;
    FileTexts texts;
    for (const std::string& path : paths)
        if (auto test = load_test_document(texts, path, loaded.diagnostics))
            loaded.files.push_back({.test = std::move(*test), .cases = {}});
    put_in_order(loaded.diagnostics);
    return loaded;
}

struct Settings {
    const RE2* filter = nullptr; // null: all
    bool json = false;
    bool coverage = false;
    bool mutate = false;
    double mutate_min = 0; // percent
    Colours colours;
};

bool fits(const Settings& settings, const policy_test::TestCase& test_case) {
    return settings.filter == nullptr || RE2::PartialMatch(test_case.name.text, *settings.filter);
}

// The names of all tests, where the filter fits none of them.
std::vector<std::string> names_if_none_fits(const std::vector<TestedFile>& files, const Settings& settings) {
    std::vector<std::string> names;
    for (const TestedFile& file : files)
        for (const policy_test::TestCase& test_case : file.test.cases) {
            if (fits(settings, test_case)) return {};
            names.push_back(test_case.name.text);
        }
    return names;
}

void run_file(TestedFile& file, const Settings& settings) {
    policy_test::Coverage coverage(file.test);
    policy_test::Observer observer;
    if (settings.coverage)
        observer = [&](const policy_test::Simulation& simulation, const Decisions& decisions) {
            coverage.observe(simulation, decisions);
        };
    for (policy_test::TestCase& test_case : file.test.cases) {
        if (!fits(settings, test_case)) test_case.skip = "filtered out";
        file.cases.push_back(policy_test::check_case(file.test, test_case, observer));
        if (!settings.json) print_case(file, file.cases.back(), settings.colours, std::cout);
    }
    if (settings.coverage) file.coverage = coverage.points();
}

// Tells on a terminal how far it is, once it has taken so long that somebody might wonder.
class Progress {
  public:
    explicit Progress(std::size_t count) : count_(count) {}
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    ~Progress() {
        if (shown_) std::cerr << "\r\033[K" << std::flush;
    }

    void tell(std::size_t done) {
        const auto now = std::chrono::steady_clock::now();
        if (!is_terminal_ || now - begun_ < std::chrono::seconds{2}) return;
        shown_ = true;
        std::cerr << "\r" << done << " of " << count_ << " mutants" << std::flush;
    }

  private:
    std::size_t count_;
    bool is_terminal_ = ::isatty(STDERR_FILENO) == 1;
    bool shown_ = false;
    std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

MutationResult mutate(const policy_test::PolicyTest& test) {
    const auto mutants = policy_test::mutants_of(test.policies, test.beside);
    MutationResult result;
    Progress progress(mutants.size());
    std::size_t likely = 0;
    for (std::size_t i = 0; i < mutants.size(); ++i) {
        progress.tell(i);
        const policy_test::Fate fate = policy_test::try_mutant(test, mutants[i], likely);
        if (fate == policy_test::Fate::invalid) continue;
        ++result.mutants;
        if (fate == policy_test::Fate::killed)
            ++result.killed;
        else
            result.survivors.push_back({mutants[i].file, mutants[i].at, mutants[i].what});
    }
    return result;
}

void print_json(const std::vector<TestedFile>& files) {
    boost::json::array array;
    for (const TestedFile& file : files) array.push_back(to_json(file));
    const TestCounts counts = count(files);
    std::cout << boost::json::serialize(boost::json::object{{"passed", counts.passed},
                                                            {"failed", counts.failed},
                                                            {"skipped", counts.skipped},
                                                            {"files", std::move(array)}})
              << "\n";
}

int run_all(std::vector<TestedFile>& files, const Settings& settings) {
    for (TestedFile& file : files) {
        if (!settings.json && files.size() > 1) std::cout << file.test.file << "\n";
        run_file(file, settings);
    }
    bool ok = count(files).failed == 0;
    // A mutant that fails a test says nothing where the policy itself does.
    for (TestedFile& file : files)
        if (settings.mutate && ok) file.mutation = mutate(file.test);
    if (settings.json) {
        print_json(files);
    } else {
        print_counts(count(files), settings.colours, std::cout);
        for (const TestedFile& file : files) {
            if (file.coverage) print_coverage(*file.coverage, settings.colours, std::cout);
            if (file.mutation) print_mutation(*file.mutation, settings.colours, std::cout);
        }
        if (settings.mutate && !ok) std::cout << "no mutants were tried: the tests themselves fail\n";
    }
    for (const TestedFile& file : files)
        ok &= !file.mutation || file.mutation->percent() >= settings.mutate_min;
    return ok ? exit_ok : exit_failure;
}

} // namespace

int test_command(const std::vector<std::string>& arguments) {
    CommandLine line{.name = "test", .usage = usage, .notes = notes, .positional = "file"};
    line.options.add_options()("filter,f", po::value<std::string>()->value_name("REGEX"),
                               "run the tests whose names it fits; the others count as skipped")(
        "coverage", "tell which parts of the policies no test reached")(
        "mutate", "change the policies in small ways, and tell which changes no test notices")(
        "mutate-min", po::value<double>()->value_name("PERCENT"),
        "with --mutate: fail where less than so much is noticed")("json", "print a JSON object");
    const auto parsed = parse_options(line, arguments);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const auto& values = std::get<po::variables_map>(parsed);
    const Teller teller{.command = line.name, .json = values.contains("json")};
    const auto misused = [&](const std::string& what) { return misuse(line.name, what); };
    if (!values.contains("file")) return misused("no file is named");
    if (values.contains("mutate-min")) {
        if (!values.contains("mutate")) return misused("--mutate-min goes with --mutate");
        const double percent = values["mutate-min"].as<double>();
        const bool is_percentage = percent >= 0 && percent <= 100;
        if (!is_percentage) return misused("--mutate-min: expected 0 to 100");
    }
    std::unique_ptr<RE2> filter;
    if (values.contains("filter")) {
        filter = std::make_unique<RE2>(values["filter"].as<std::string>(), RE2::Quiet);
        if (!filter->ok()) return misused("--filter: " + filter->error());
    }
    Loaded loaded = load_all(values["file"].as<std::vector<std::string>>());
    if (has_errors(loaded.diagnostics))
        return refuse(teller, "nothing was run: there are mistakes", loaded.diagnostics);
    std::cerr << to_lines(loaded.diagnostics);
    const Settings settings{.filter = filter.get(),
                            .json = teller.json,
                            .coverage = values.contains("coverage"),
                            .mutate = values.contains("mutate"),
                            .mutate_min =
                                values.contains("mutate-min") ? values["mutate-min"].as<double>() : 0,
                            .colours = {.on = ::isatty(STDOUT_FILENO) == 1}};
    if (const auto names = names_if_none_fits(loaded.files, settings); !names.empty())
        return refuse(teller, "no test's name is fitted by --filter '" + values["filter"].as<std::string>() +
                                  "'; there are:" + one_a_line(names));
    return run_all(loaded.files, settings);
}

} // namespace homeostat::cli
