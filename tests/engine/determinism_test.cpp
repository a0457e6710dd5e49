#include "tests/engine/scenario.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace homeostat::test {
namespace {

const std::string signals = "[[signal]]\nname = 'total'\nexpr = 'sum by (iface) (pps)'\n"
                            "[[signal]]\nname = 'spread'\nexpr = 'stddev by (iface) (pps)'\n";
const std::string symptoms =
    "[[symptom]]\nname = 'flood'\nraise = 'total > 1'\nclear = 'avg_over_time(total[5s]) < 1'\n"
    "[[symptom]]\nname = 'source'\nraise = 'pps > 0.3'\n"
    "[[symptom]]\nname = 'uneven'\nraise = 'spread > 0.1'\nfor = '1s'\n";
const std::string guard = "[[adaptation]]\nname = 'guard'\nwhen = 'flood and uneven'\ncooldown = '2s'\n"
                          "set.interface.\"{{iface}}\".xdp.program = 'guard'\n";
const std::string block = "[[adaptation]]\nname = 'block'\nwhen = 'source'\nbudget = '5/10s'\n"
                          "set.interface.\"{{iface}}\".maps.blocked.\"{{src}}\" = true\n";

// Values whose sums depend on the order of addition.
std::vector<ScriptedSeries> script() {
    std::vector<ScriptedSeries> series;
    for (const std::string iface : {"eth0", "eth1"})
        for (int src = 0; src < 5; ++src) {
            std::string values;
            for (int step = 0; step < 30; ++step)
                values += std::to_string(0.1 * ((step * (src + 3)) % 7) * (iface == "eth0" ? 1 : 0.7)) + " ";
            series.push_back({"pps{iface='" + iface + "',src='s" + std::to_string(src) + "'}", values});
        }
    return series;
}

std::vector<Decisions> history_of(const std::vector<std::string>& policies, ScenarioOptions options = {}) {
    Scenario scenario(policies, std::move(options));
    scenario.play(script());
    return scenario.history;
}

std::size_t decided(const std::vector<Decisions>& history) {
    return static_cast<std::size_t>(
        std::ranges::count_if(history, [](const Decisions& d) { return !d.empty(); }));
}

TEST(Determinism, TheSameInputsGiveTheSameDecisions) {
    const auto first = history_of({signals, symptoms, guard, block});
    EXPECT_GT(decided(first), 10U) << "there is something to compare";
    EXPECT_EQ(first, history_of({signals, symptoms, guard, block}));
}

TEST(Determinism, TheOrderOfSeriesWithinABatchDoesNotMatter) {
    ScenarioOptions backwards;
    backwards.backwards = true;
    EXPECT_EQ(history_of({signals, symptoms, guard, block}),
              history_of({signals, symptoms, guard, block}, backwards));
}

TEST(Determinism, TheOrderOfPolicyFilesAndRulesDoesNotMatter) {
    EXPECT_EQ(history_of({signals, symptoms, guard, block}), history_of({block, guard + symptoms, signals}));
}

TEST(Determinism, FaultsAtTheSameTurnsGiveTheSameDecisions) {
    ScenarioOptions faults;
    faults.failing_transactions = {2, 3, 5, 8};
    const auto first = history_of({signals, symptoms, guard, block}, faults);
    EXPECT_EQ(first, history_of({signals, symptoms, guard, block}, faults));
    EXPECT_NE(first, history_of({signals, symptoms, guard, block}));
}

TEST(Determinism, WhatWentBeforeAWindowDoesNotMatter) {
    const std::string policy = "[[symptom]]\nname = 's'\nraise = 'sum_over_time(pps[3s]) > 1'\n";
    Scenario young({policy});
    Scenario old({policy});
    for (int s = 0; s < 50; ++s)
        old.tick(std::chrono::seconds{s}, {{"pps{iface='eth0'}", s % 2 == 0 ? 1e17 : 0.1 * s}});
    const std::vector<ScriptedSeries> same{{"pps{iface='eth0'}", "0.1 0.2 0.3 0.4 0.5 0.6 0.1 0.1 0.1 0.1"}};
    young.play(same, std::chrono::seconds{100});
    old.play(same, std::chrono::seconds{100});
    const auto changes = [](const Scenario& scenario) {
        std::vector<SymptomChange> all;
        for (const Decisions& decisions : scenario.history)
            if (decisions.now >= at_ms(1'000'000'103'000))
                all.insert(all.end(), decisions.symptoms.begin(), decisions.symptoms.end());
        return all;
    };
    EXPECT_FALSE(changes(young).empty());
    EXPECT_EQ(changes(young), changes(old));
}

} // namespace
} // namespace homeostat::test
