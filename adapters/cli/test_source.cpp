#include "adapters/cli/test_source.hpp"

#include "adapters/cli/test_document.hpp"
#include "engine/policy_test/simulation.hpp"
#include "knowledge/text.hpp"

#include <algorithm>

namespace homeostat::cli {

namespace {

Result<const policy_test::TestCase*> choose(const policy_test::PolicyTest& test, const std::string& name) {
    std::vector<std::string> names;
    for (const policy_test::TestCase& one : test.cases) names.push_back(one.name.text);
    if (name.empty() && names.size() == 1) return &test.cases.front();
    const auto found = std::ranges::find(names, name);
    if (found != names.end()) return &test.cases[static_cast<std::size_t>(found - names.begin())];
    if (name.empty())
        return failure(test.file + " has several cases; choose one with --case:" + one_a_line(names));
    const std::string meant = nearest(name, names);
    return failure(test.file + " has no case '" + name + "'; " +
                   (meant.empty() ? "there are:" + one_a_line(names) : "did you mean '" + meant + "'?"));
}

} // namespace

Result<PlayedCase> play_case(const std::string& file, const std::string& name, std::optional<Duration> until,
                             Diagnostics& diagnostics) {
    FileTexts texts;
    const auto test = load_test_document(texts, file, diagnostics);
    put_in_order(diagnostics);
    if (!test || has_errors(diagnostics)) return failure(file + " cannot be played");
    const auto chosen = choose(*test, name);
    if (!chosen) return std::unexpected(chosen.error());
    const Duration end = (*chosen)->end;
    return PlayedCase{.state = policy_test::run_case(*test, **chosen, until).state,
                      .note = until && *until > end
                                  ? "the case ends at " + to_text(end) + ": this is what is known then"
                                  : ""};
}

} // namespace homeostat::cli
