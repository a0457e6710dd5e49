// Policies tested by data: series over time in, decisions as lines of text out.
#pragma once

#include "knowledge/labels.hpp"
#include "knowledge/receipt.hpp"
#include "policies/decision_text.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::test {

// pps{iface="eth0"} as a label set. Throws on anything else.
Labels labels_of(std::string_view selector);

// A series and its value at each step, see promql::parse_series_values.
struct ScriptedSeries {
    std::string series;
    std::string values;
};

// One per step; none for "_". Throws on what is no value.
std::vector<std::optional<double>> values_of(std::string_view script);

// Everything that is decided must follow from what its receipts carry: each one that the suite makes is
// judged again. Throws, with what contradicts itself.
void expect_no_contradictions(const Decisions& decisions);

// A tick for each value of the longest script, from `from` on; the samples are by series. Each line of the
// result begins with its time.
using ScriptTick =
    std::function<Decisions(Duration at, const std::vector<std::pair<std::string, double>>& samples)>;
std::vector<std::string> play_script(const std::vector<ScriptedSeries>& script, Duration from, Duration step,
                                     const ScriptTick& tick);

} // namespace homeostat::test
