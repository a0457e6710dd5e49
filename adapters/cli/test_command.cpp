#include "adapters/cli/command.hpp"
#include "adapters/cli/load_test.hpp"
#include "adapters/cli/options.hpp"
#include "adapters/cli/test_report.hpp"

#include <re2/re2.h>

#include <iostream>
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
    { series = 'packets_total{iface="eth0"}', values = "0+10x5 1050+1000x5 5060+10x15" },
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

Exit code: 0 all tests passed, 1 one failed, 2 the command or a file was not understood.
)";

struct Loaded {
    std::vector<TestedFile> files;
    Diagnostics diagnostics;
};

Loaded load_all(const std::vector<std::string>& paths) {
    Loaded loaded;
    for (const std::string& path : paths)
        if (auto test = load_test(path, loaded.diagnostics))
            loaded.files.push_back({.test = std::move(*test), .cases = {}});
    put_in_order(loaded.diagnostics);
    return loaded;
}

struct Settings {
    const RE2* filter = nullptr; // null: all
    bool json = false;
    Colours colours;
};

void run_file(TestedFile& file, const Settings& settings) {
    for (policy_test::TestCase& test_case : file.test.cases) {
        if (settings.filter != nullptr && !RE2::PartialMatch(test_case.name.text, *settings.filter))
            test_case.skip = "filtered out";
        file.cases.push_back(policy_test::check_case(file.test, test_case));
        if (!settings.json) print_case(file, file.cases.back(), settings.colours, std::cout);
    }
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
    if (settings.json)
        print_json(files);
    else
        print_counts(count(files), settings.colours, std::cout);
    return count(files).failed > 0 ? exit_failure : exit_ok;
}

} // namespace

int test_command(const std::vector<std::string>& arguments) {
    CommandLine line{.name = "test", .usage = usage, .notes = notes, .positional = "file"};
    line.options.add_options()("filter,f", po::value<std::string>()->value_name("REGEX"),
                               "run the tests whose names it fits; the others count as skipped")(
        "json", "print a JSON object");
    const auto parsed = parse_options(line, arguments);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const auto& values = std::get<po::variables_map>(parsed);
    const auto misused = [](const std::string& what) {
        std::cerr << "homeostat test: " << what << "\nTry 'homeostat test --help'.\n";
        return exit_usage;
    };
    if (!values.contains("file")) return misused("no file is named");
    std::unique_ptr<RE2> filter;
    if (values.contains("filter")) {
        filter = std::make_unique<RE2>(values["filter"].as<std::string>(), RE2::Quiet);
        if (!filter->ok()) return misused("--filter: " + filter->error());
    }
    Loaded loaded = load_all(values["file"].as<std::vector<std::string>>());
    for (const Diagnostic& diagnostic : loaded.diagnostics) std::cerr << to_text(diagnostic) << "\n";
    if (has_errors(loaded.diagnostics)) return exit_usage;
    const Settings settings{.filter = filter.get(),
                            .json = values.contains("json"),
                            .colours = {.on = ::isatty(STDOUT_FILENO) == 1}};
    return run_all(loaded.files, settings);
}

} // namespace homeostat::cli
