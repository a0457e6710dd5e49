#include "adapters/cli/command.hpp"
#include "adapters/cli/load.hpp"
#include "adapters/cli/load_test.hpp"
#include "adapters/cli/options.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <iostream>
#include <tuple>

namespace homeostat::cli {

namespace po = boost::program_options;

namespace {

constexpr std::string_view usage = R"(Usage: homeostat check [OPTION]... FILE...

Says what is wrong in configurations and policies, all of it at once, as FILE:LINE:COLUMN: WHAT; WHAT WAS
EXPECTED. Touches nothing and needs no privileges.

A configuration is judged with the policies and the objects that it names, and with the policies given
beside it. A policy given alone is judged as far as a file alone can be: whether a sensor provides its metrics,
and whether maps and programs have what it sets, only a configuration tells. A test document is judged with the
policies that it tests; 'homeostat test' runs it.
)";

constexpr std::string_view notes = R"(Examples:
  homeostat check controller.toml
  homeostat check -c controller.toml policies/draft.toml

Exit code: 0 nothing is wrong, 1 something is, 2 the command was not understood.
)";

struct Files {
    std::vector<std::string> configs;
    std::vector<std::string> policies;
    std::vector<std::string> tests;
};

Files sort_files(const std::vector<std::string>& paths, Diagnostics& diagnostics) {
    Files files;
    for (const std::string& path : paths) {
        const auto text = read_file(path);
        if (!text)
            diagnostics.push_back(
                {.file = path, .at = {}, .what = text.error().what.substr(path.size() + 2), .expected = {}});
        else
            (policy_test::is_policy_test(*text) ? files.tests
             : is_config(*text)                 ? files.configs
                                                : files.policies)
                .push_back(path);
    }
    return files;
}

void check_alone(const std::vector<std::string>& policies, Diagnostics& diagnostics) {
    std::vector<PolicyDocument> documents;
    for (const std::string& path : policies)
        if (const auto text = read_file(path)) documents.push_back(read_policy(*text, path, diagnostics));
    make_policy_set(std::move(documents), nullptr, diagnostics);
}

void print_json(const Diagnostics& diagnostics) {
    boost::json::array array;
    for (const Diagnostic& d : diagnostics)
        array.push_back({{"file", d.file},
                         {"line", d.at.line},
                         {"column", d.at.column},
                         {"kind", d.kind == Diagnostic::Kind::error ? "error" : "warning"},
                         {"what", d.what},
                         {"expected", d.expected}});
    std::cout << boost::json::serialize(array) << "\n";
}

void print_text(const Diagnostics& diagnostics, std::size_t files) {
    for (const Diagnostic& d : diagnostics) std::cout << to_text(d) << "\n";
    if (diagnostics.empty())
        std::cout << files << (files == 1 ? " file: nothing is wrong\n" : " files: nothing is wrong\n");
}

} // namespace

int check_command(const std::vector<std::string>& arguments) {
    CommandLine line{.name = "check", .usage = usage, .notes = notes, .positional = "file"};
    line.options.add_options()("config,c", po::value<std::string>()->value_name("FILE"),
                               "judge the policies by this configuration")("json", "print a JSON array");
    const auto parsed = parse_options(line, arguments);
    if (const int* code = std::get_if<int>(&parsed)) return *code;
    const auto& values = std::get<po::variables_map>(parsed);
    std::vector<std::string> paths;
    if (values.contains("file")) paths = values["file"].as<std::vector<std::string>>();
    if (values.contains("config")) paths.push_back(values["config"].as<std::string>());
    if (paths.empty()) {
        std::cerr << "homeostat check: no file is named\nTry 'homeostat check --help'.\n";
        return exit_usage;
    }
    std::ranges::sort(paths);
    paths.erase(std::ranges::unique(paths).begin(), paths.end());

    Diagnostics diagnostics;
    const Files files = sort_files(paths, diagnostics);
    for (const std::string& config : files.configs) load_config(config, files.policies, 1, diagnostics);
    if (files.configs.empty()) check_alone(files.policies, diagnostics);
    for (const std::string& test : files.tests) load_test(test, diagnostics);
    put_in_order(diagnostics);
    if (values.contains("json"))
        print_json(diagnostics);
    else
        print_text(diagnostics, paths.size());
    return has_errors(diagnostics) ? exit_failure : exit_ok;
}

} // namespace homeostat::cli
