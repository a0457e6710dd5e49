#include "adapters/cli/test_source.hpp"

#include "adapters/cli/load.hpp"
#include "engine/policy_test/simulation.hpp"

#include <algorithm>
#include <filesystem>
#include <iostream>

namespace homeostat::cli {

namespace {

std::vector<PolicyDocument> read_policies(const policy_test::PolicyTest& test, Diagnostics& diagnostics) {
    std::vector<PolicyDocument> policies;
    for (const SourceText& file : test.policy_files) {
        const std::string path = (std::filesystem::path(test.file).parent_path() / file.text).string();
        if (const auto text = read_file(path))
            policies.push_back(read_policy(*text, path, diagnostics));
        else
            diagnostics.push_back(
                {.file = test.file, .at = file.position(0), .what = text.error().what, .expected = {}});
    }
    return policies;
}

Result<const policy_test::TestCase*> choose(const policy_test::PolicyTest& test, const std::string& name) {
    std::vector<std::string> names;
    for (const policy_test::TestCase& one : test.cases) names.push_back(one.name.text);
    if (name.empty() && names.size() == 1) return &test.cases.front();
    const auto found = std::ranges::find(names, name);
    if (found != names.end()) return &test.cases[static_cast<std::size_t>(found - names.begin())];
    std::string list;
    for (const std::string& one : names) list += (list.empty() ? "" : ", ") + ("'" + one + "'");
    if (name.empty()) return failure(test.file + " has several cases; choose one with --case: " + list);
    const std::string meant = nearest(name, names);
    return failure(test.file + " has no case '" + name + "'; " +
                   (meant.empty() ? "there are: " + list : "did you mean '" + meant + "'?"));
}

} // namespace

Result<EngineState> play_case(const std::string& file, const std::string& name,
                              std::optional<Duration> until) {
    const auto text = read_file(file);
    if (!text) return std::unexpected(text.error());
    Diagnostics diagnostics;
    auto test = policy_test::read_policy_test(*text, file, diagnostics);
    if (test) policy_test::take_policies(*test, read_policies(*test, diagnostics), diagnostics);
    put_in_order(diagnostics);
    for (const Diagnostic& diagnostic : diagnostics) std::cerr << to_text(diagnostic) << "\n";
    if (!test || has_errors(diagnostics)) return failure(file + " cannot be played");
    const auto chosen = choose(*test, name);
    if (!chosen) return std::unexpected(chosen.error());
    return policy_test::run_case(*test, **chosen, until).state;
}

} // namespace homeostat::cli
