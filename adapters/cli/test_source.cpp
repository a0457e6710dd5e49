#include "adapters/cli/test_source.hpp"

#include "adapters/cli/test_document.hpp"
#include "engine/policy_test/simulation.hpp"

#include <algorithm>
#include <iostream>

namespace homeostat::cli {

namespace {

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
    Diagnostics diagnostics;
    const auto test = load_test_document(file, diagnostics);
    put_in_order(diagnostics);
    for (const Diagnostic& diagnostic : diagnostics) std::cerr << to_text(diagnostic) << "\n";
    if (!test || has_errors(diagnostics)) return failure(file + " cannot be played");
    const auto chosen = choose(*test, name);
    if (!chosen) return std::unexpected(chosen.error());
    return policy_test::run_case(*test, **chosen, until).state;
}

} // namespace homeostat::cli
