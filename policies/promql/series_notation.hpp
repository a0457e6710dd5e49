// Series as promtool's tests and promqltest write them: a label set, and its value at each step.
#pragma once

#include "knowledge/error.hpp"
#include "knowledge/labels.hpp"

#include <optional>
#include <string_view>
#include <vector>

namespace homeostat::promql {

inline constexpr std::size_t series_values_max = 1'000'000;

// One per step; none: no sample. A stale marker ends the series.
using SeriesValues = std::vector<std::optional<double>>;

// Words with blanks between them: a (a number, NaN, Inf, -Inf), axn (a, and n times more), a+bxn and a-bxn
// (n further steps), _ (no sample), _xn (none, n times) and stale. Fails with Error::number as the offset of
// the word that is none of these.
Result<SeriesValues> parse_series_values(std::string_view text);

// Takes a number off the text's beginning, also one with a plus before it; none where there is no number.
std::optional<double> take_number(std::string_view& text);

// name{label="value",…}, {…} or name: labels by equality only.
Result<Labels> parse_series(std::string_view text);

} // namespace homeostat::promql
