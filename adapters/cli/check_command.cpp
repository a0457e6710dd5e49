#include "adapters/cli/command.hpp"
#include "adapters/cli/load.hpp"
#include "adapters/cli/mistakes.hpp"
#include "adapters/cli/options.hpp"
#include "adapters/cli/test_document.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <iostream>
#include <iterator>
#include <optional>

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

Exit code: 0 nothing is wrong, 1 something is or a file cannot be read, with --strict also where there is a warning,
2 the command was not understood.
)";

struct Files {
    std::vector<std::string> configs;
    std::vector<std::string> policies;
    std::vector<std::string> tests;
};

Files sort_files(FileTexts& texts, const std::vector<std::string>& paths, Diagnostics& diagnostics) {
    Files files;
    for (const std::string& path : paths) {
        const auto& text = texts.read(path);
        if (!text) {
            diagnostics.push_back(unreadable(path, text.error()));
            continue;
        }
        const FileKind kind = kind_of(*text);
        (kind == FileKind::test     ? files.tests
         : kind == FileKind::config ? files.configs
                                    : files.policies)
            .push_back(path);
    }
    return files;
}

json::object bound_json(const FlapBound& bound) {
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
    json::array limits;
    for (const FlapBound& bound : bounds) limits.push_back(bound_json(bound));
    std::cout << json::serialize(
                     json::object{{"diagnostics", to_json(diagnostics)}, {"bounds", std::move(limits)}})
              << "\n";
}

std::string counted(std::size_t count, const std::string& what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

// The bounds are of policies that could run.
void print_text(const Diagnostics& diagnostics, const std::vector<FlapBound>& bounds, std::size_t files) {
    std::cout << to_lines(diagnostics);
    if (has_errors(diagnostics)) return;
    const std::string warnings = diagnostics.empty() ? "" : ", " + counted(diagnostics.size(), "warning");
    std::cout << counted(files, "file") << ": nothing is wrong" << warnings << "\n";
    for (const FlapBound& bound : bounds) std::cout << to_text(bound) << "\n";
}

std::vector<FlapBound> check_files(FileTexts& texts, std::vector<std::string> paths,
                                   const std::optional<std::string>& config, Diagnostics& diagnostics) {
    if (const auto* text = config ? &texts.read(*config) : nullptr; text != nullptr && *text)
        if (auto mistaken = mistaken_kind(*config, **text, FileKind::config)) {
            diagnostics.push_back(std::move(*mistaken));
            std::erase(paths, *config);
        }
    const Files files = sort_files(texts, paths, diagnostics);
    std::vector<FlapBound> bounds;
    for (const std::string& one : files.configs)
        if (auto loaded = load_config(texts, one, files.policies, 1, diagnostics))
            std::ranges::move(loaded->review.bounds, std::back_inserter(bounds));
    if (files.configs.empty()) bounds = review_alone(texts, files.policies, diagnostics).bounds;
    for (const std::string& test : files.tests) load_test_document(texts, test, diagnostics);
    return bounds;
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
    const bool json = values.contains("json");
    std::vector<std::string> paths;
    if (values.contains("file")) paths = values["file"].as<std::vector<std::string>>();
    const std::optional<std::string> config =
        values.contains("config") ? std::optional(values["config"].as<std::string>()) : std::nullopt;
    if (config) paths.push_back(*config);
    if (paths.empty()) return misuse(line.name, "no file is named");
    std::ranges::sort(paths);
    paths.erase(std::ranges::unique(paths).begin(), paths.end());

    FileTexts texts;
    Diagnostics diagnostics;
    const std::vector<FlapBound> bounds = check_files(texts, paths, config, diagnostics);
    put_in_order(diagnostics);
    if (json)
        print_json(diagnostics, bounds);
    else
        print_text(diagnostics, bounds, paths.size());
    const bool has_failed = values.contains("strict") ? !diagnostics.empty() : has_errors(diagnostics);
    return has_failed ? exit_failure : exit_ok;
}

} // namespace homeostat::cli
