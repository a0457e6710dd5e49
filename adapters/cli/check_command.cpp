#include "adapters/cli/command.hpp"
#include "adapters/cli/load.hpp"
#include "adapters/cli/options.hpp"
#include "adapters/cli/test_document.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <iostream>
#include <iterator>
#include <tuple>

namespace homeostat::cli {

namespace json = boost::json;
namespace po = boost::program_options;

namespace {

constexpr std::string_view usage = R"(Usage: homeostat check [OPTION]... FILE...

Says what is wrong in configurations and policies, all of it at once, as FILE:LINE:COLUMN: WHAT; WHAT WAS
EXPECTED. Warns of what is allowed and hardly meant, with the name of the warning in brackets. Then it says for each
interface how often the policies can change it in an hour at most, and what keeps them from more. Touches nothing
and needs no privileges.

A configuration is judged with the policies and the objects that it names, and with the policies given
beside it. A policy given alone is judged as far as a file alone can be: whether a sensor provides its metrics
and labels, and whether maps and programs have what it sets, only a configuration tells. A test document is judged
with the policies that it tests; 'homeostat test' runs it.
)";

constexpr std::string_view notes = R"(Examples:
  homeostat check controller.toml
  homeostat check -c controller.toml policies/draft.toml

Exit code: 0 nothing is wrong, 1 something is, with --strict also where there is a warning, 2 the command was not
understood.
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

PolicyReview check_alone(const std::vector<std::string>& policies, Diagnostics& diagnostics) {
    std::vector<PolicyDocument> documents;
    for (const std::string& path : policies)
        if (const auto text = read_file(path)) documents.push_back(read_policy(*text, path, diagnostics));
    return review_policies(make_policy_set(std::move(documents), nullptr, diagnostics), diagnostics);
}

json::object to_json(const Diagnostic& d) {
    return {{"file", d.file},        {"line", d.at.line},
            {"column", d.at.column}, {"kind", d.kind == Diagnostic::Kind::error ? "error" : "warning"},
            {"name", d.name},        {"what", d.what},
            {"expected", d.expected}};
}

json::object to_json(const FlapBound& bound) {
    json::array shares;
    for (const FlapShare& share : bound.shares)
        shares.push_back({{"adaptation", share.adaptation},
                          {"changes_per_hour_max", share.changes},
                          {"because", share.because}});
    return {{"target", bound.target},
            {"written", bound.written},
            {"changes_per_hour_max", bound.changes},
            {"because", bound.because},
            {"adaptations", std::move(shares)}};
}

void print_json(const Diagnostics& diagnostics, const std::vector<FlapBound>& bounds) {
    json::array told;
    for (const Diagnostic& d : diagnostics) told.push_back(to_json(d));
    json::array limits;
    for (const FlapBound& bound : bounds) limits.push_back(to_json(bound));
    std::cout << json::serialize(
                     json::object{{"diagnostics", std::move(told)}, {"bounds", std::move(limits)}})
              << "\n";
}

std::string counted(std::size_t count, const std::string& what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

// The bounds are of policies that could run.
void print_text(const Diagnostics& diagnostics, const std::vector<FlapBound>& bounds, std::size_t files) {
    for (const Diagnostic& d : diagnostics) std::cout << to_text(d) << "\n";
    if (has_errors(diagnostics)) return;
    const std::string warnings = diagnostics.empty() ? "" : ", " + counted(diagnostics.size(), "warning");
    std::cout << counted(files, "file") << ": nothing is wrong" << warnings << "\n";
    for (const FlapBound& bound : bounds) std::cout << to_text(bound) << "\n";
}

} // namespace

int check_command(const std::vector<std::string>& arguments) {
    CommandLine line{.name = "check", .usage = usage, .notes = notes, .positional = "file"};
    line.options.add_options()("config,c", po::value<std::string>()->value_name("FILE"),
                               "judge the policies by this configuration")("json", "print a JSON object")(
        "strict", "let warnings fail");
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
    std::vector<FlapBound> bounds;
    for (const std::string& config : files.configs)
        if (auto loaded = load_config(config, files.policies, 1, diagnostics))
            std::ranges::move(loaded->review.bounds, std::back_inserter(bounds));
    if (files.configs.empty()) bounds = check_alone(files.policies, diagnostics).bounds;
    for (const std::string& test : files.tests) load_test_document(test, diagnostics);
    put_in_order(diagnostics);
    if (values.contains("json"))
        print_json(diagnostics, bounds);
    else
        print_text(diagnostics, bounds, paths.size());
    const bool has_failed = values.contains("strict") ? !diagnostics.empty() : has_errors(diagnostics);
    return has_failed ? exit_failure : exit_ok;
}

} // namespace homeostat::cli
