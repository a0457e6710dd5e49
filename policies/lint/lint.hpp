// Warnings about policies that are right as far as the rules go, and hardly do what their author means.
#pragma once

#include "policies/lint/schema.hpp"

#include <optional>
#include <span>
#include <string_view>

namespace homeostat {

struct LintContext {
    promql::Schema schema;          // with the policies' own metrics
    std::optional<Duration> period; // of the controller, where it is known
    bool is_whole = true;           // no rule was left out for a mistake
};

void lint(const PolicySet& policies, const LintContext& context, Diagnostics& diagnostics);

// Parts of it.
void lint_expressions(const PolicySet& policies, const LintContext& context, Diagnostics& diagnostics);
void lint_symptoms(const PolicySet& policies, const LintContext& context, Diagnostics& diagnostics);
void lint_adaptations(const PolicySet& policies, const LintContext& context, Diagnostics& diagnostics);

// Takes away the warnings that the files allow. To allow one of a name that there is not is a mistake.
void drop_allowed(const PolicySet& policies, Diagnostics& diagnostics);

// All that there are, sorted.
std::span<const std::string_view> warning_names();

} // namespace homeostat
