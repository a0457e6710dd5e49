// Labels that are named where there can be none of them: in matchers, groupings, vector matching, `clear`,
// and templates.
#pragma once

#include "policies/lint/schema.hpp"

namespace homeostat {

// `schema` must hold the policies' own metrics. Where the sensors are not known, only what follows from the
// policies is told.
void check_labels(const PolicySet& policies, const promql::Schema& schema, Diagnostics& diagnostics);

} // namespace homeostat
