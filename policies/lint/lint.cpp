#include "policies/lint/lint.hpp"

#include <algorithm>
#include <array>

namespace homeostat {

namespace {

constexpr std::array<std::string_view, 28> names{"always-true",
                                                 "any-sample-raises",
                                                 "budget-never-binds",
                                                 "counter-threshold",
                                                 "damp-never-binds",
                                                 "damps-at-once",
                                                 "delta-of-counter",
                                                 "exact-comparison",
                                                 "fight",
                                                 "for-within-quorum",
                                                 "forget-too-soon",
                                                 "irate-with-for",
                                                 "label-not-always",
                                                 "label-without-effect",
                                                 "never-true",
                                                 "no-hysteresis",
                                                 "off",
                                                 "overlapping-clear",
                                                 "rate-of-gauge",
                                                 "requires-off",
                                                 "subquery-step",
                                                 "undamped",
                                                 "unused-signal",
                                                 "unused-symptom",
                                                 "verify-looks-back",
                                                 "verify-reports-only",
                                                 "verify-too-soon",
                                                 "window-too-short"};

} // namespace

std::span<const std::string_view> warning_names() { return names; }

void lint(const PolicySet& policies, const LintContext& context, Diagnostics& diagnostics) {
    lint_expressions(policies, context, diagnostics);
    lint_symptoms(policies, context, diagnostics);
    lint_adaptations(policies, context, diagnostics);
}

void drop_allowed(const PolicySet& policies, Diagnostics& diagnostics) {
    std::erase_if(diagnostics, [&](const Diagnostic& diagnostic) {
        return diagnostic.kind == Diagnostic::Kind::warning &&
               std::ranges::any_of(policies.warnings_allowed, [&](const SourceText& allowed) {
                   return allowed.file == diagnostic.file && allowed.text == diagnostic.name;
               });
    });
    for (const SourceText& allowed : policies.warnings_allowed) {
        if (std::ranges::find(names, allowed.text) != names.end()) continue;
        const std::string meant = nearest(allowed.text, {names.begin(), names.end()});
        diagnostics.push_back({.file = allowed.file,
                               .at = allowed.position(0),
                               .what = "no warning is named '" + allowed.text + "'",
                               .expected = meant.empty() ? "expected one that 'check' tells, in its brackets"
                                                         : "did you mean '" + meant + "'?"});
    }
}

} // namespace homeostat
