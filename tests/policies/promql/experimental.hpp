// Why a case of Prometheus's own test files can have another result here: they are run with features that are
// experimental.
#pragma once

#include "knowledge/series_store.hpp"
#include "policies/promql/ast.hpp"

#include <string>

namespace homeostat::promql {

// "" where none of them can be the reason. `difference` is what was found.
std::string experimental_reason(const Expr& expr, const SeriesStore& store, const std::string& difference);

} // namespace homeostat::promql
