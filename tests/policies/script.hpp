// Policies tested by data: series over time in, decisions as lines of text out.
#pragma once

#include "knowledge/labels.hpp"
#include "knowledge/receipt.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::test {

// pps{iface="eth0"} as a label set. Throws on anything else.
Labels labels_of(std::string_view selector);

// A series and its value at each step, as promtool writes them: "1", "_" (no sample), "stale" (it ends),
// "NaN", "5x3" (5, and three times more), "1+2x3" (1 3 5 7) and "7-2x3" (7 5 3 1).
struct ScriptedSeries {
    std::string series;
    std::string values;
};

// One per step; none for "_".
std::vector<std::optional<double>> values_of(std::string_view script);

// The decisions of one tick, a line each, such as "flood{iface="eth0"}: inactive -> raised (7)",
// "apply guard{iface="eth0"}", "wait guard{iface="eth0"}: cooldown closed: until …" and
// "eth0: replace by guard (because guard{iface="eth0"})".
std::vector<std::string> lines_of(const Decisions& decisions);

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
