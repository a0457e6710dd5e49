// configs/REFERENCE.md says what the code does: its names and defaults are compared.
#include "engine/config.hpp"
#include "engine/facts.hpp"
#include "policies/document.hpp"
#include "policies/gates.hpp"
#include "policies/lint/lint.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

namespace homeostat {
namespace {

using Row = std::vector<std::string>; // cells

// The rows of the tables below a heading, up to the next one.
std::vector<Row> rows_of(const std::string& heading) {
    std::ifstream file(HOMEOSTAT_SOURCE_DIR "/configs/REFERENCE.md");
    std::vector<Row> rows;
    bool is_inside = false;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("## ")) is_inside = line == "## " + heading;
        if (!is_inside || !line.starts_with("| ")) continue;
        Row row;
        for (std::size_t at = 2; at < line.size();) {
            const std::size_t end = std::min(line.find(" |", at), line.size());
            row.push_back(line.substr(at, end - at));
            at = end + 3;
        }
        rows.push_back(std::move(row));
    }
    return rows;
}

// The words in backticks of the first cells.
std::set<std::string> names_in(const std::vector<Row>& rows) {
    std::set<std::string> names;
    for (const Row& row : rows)
        for (std::size_t at = row.front().find('`'); at != std::string::npos;) {
            const std::size_t end = row.front().find('`', at + 1);
            names.insert(row.front().substr(at + 1, end - at - 1));
            at = row.front().find('`', end + 1);
        }
    return names;
}

std::set<std::string> words(std::span<const std::string_view> list) { return {list.begin(), list.end()}; }

TEST(Reference, HasEveryWarningOfCheckAndNoOther) {
    EXPECT_EQ(names_in(rows_of("Warnings of `homeostat check`")), words(warning_names()));
}

TEST(Reference, HasEveryGateOfApplying) { EXPECT_EQ(names_in(rows_of("Gates")), words(gates_of_applying())); }

TEST(Reference, NamesEverySeriesOfTheControllersOwn) {
    std::ifstream file(HOMEOSTAT_SOURCE_DIR "/configs/REFERENCE.md");
    const std::string reference((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    for (const std::string& name : fact_names())
        EXPECT_NE(reference.find("`" + name + "`"), std::string::npos) << name;
}

std::string text(Duration duration) { return "`\"" + to_text(duration) + "\"`"; }
std::string text(std::size_t number) { return std::to_string(number); }

void expect_defaults(const std::string& heading, const std::map<std::string, std::string>& defaults) {
    std::map<std::string, std::string> told;
    for (const Row& row : rows_of(heading)) told[row.at(0)] = row.at(1);
    for (const auto& [keys, value] : defaults) {
        ASSERT_TRUE(told.contains(keys)) << keys;
        EXPECT_EQ(told[keys], value) << keys;
    }
}

TEST(Reference, HasTheDefaultsOfControllerFiles) {
    const ControllerConfig config;
    const Limits& limits = config.limits;
    const SensorSpec sensor;
    const RingSensorSpec ring;
    ASSERT_FALSE(MapSensorSpec{}.keep_cpus);
    ASSERT_FALSE(MapSensorSpec{}.skip_zero);
    expect_defaults(
        "Controller file",
        {{"`controller.period`", text(config.period)},
         {"… `name`, `series_max`", "type and map, " + text(sensor.series_max)},
         {"… `forget`", text(ring.forget)},
         {"… `xdp.climb_after`", text(DesiredInterface{}.climb_after)},
         {"… `on_foreign`", DesiredInterface{}.replace_foreign ? "" : "`\"leave\"`"},
         {"`limits.lookback`", text(limits.lookback)},
         {"`limits.series_max`, `samples_per_series_max`",
          text(limits.store.series_max) + ", " + text(limits.store.samples_per_series_max)},
         {"`limits.samples_per_evaluation_max`", text(limits.samples_per_evaluation_max)},
         {"`limits.work_per_evaluation_max`", text(limits.work_per_evaluation_max)},
         {"`limits.instances_per_symptom_max`, `instances_per_adaptation_max`",
          text(limits.instances_per_symptom_max) + ", " + text(limits.instances_per_adaptation_max)},
         {"`limits.changes_per_minute_max`", text(limits.changes_per_minute_max)},
         {"`limits.decisions_kept_max`", text(limits.decisions_kept_max)},
         {"`limits.inputs_queued_max`", text(limits.inputs_queued_max)}});
}

TEST(Reference, HasTheDefaultsOfPolicyFiles) {
    Diagnostics diagnostics;
    const PolicyDocument document = read_policy("version = 1\n[[symptom]]\nname = 's'\nraise = 'a > 1'\n"
                                                "[[adaptation]]\nname = 'a'\nwhen = 's'\n"
                                                "set.interface.eth0.xdp.program = 'p'\n"
                                                "damp = {}\nverify.expect = 'a < 1'\n",
                                                "p", diagnostics);
    ASSERT_TRUE(diagnostics.empty());
    const SymptomRule& symptom = document.symptoms.at(0);
    const AdaptationRule& rule = document.adaptations.at(0);
    ASSERT_EQ(symptom.timing.for_, symptom.timing.keep);
    ASSERT_EQ(rule.min_hold, rule.cooldown);
    ASSERT_TRUE(rule.verify->rollback);
    ASSERT_FALSE(symptom.timing.quorum || rule.budget || rule.max_active);
    expect_defaults(
        "Policy file",
        {{"… `for`, `keep`", text(symptom.timing.for_)},
         {"… `on_missing`", "`\"" + std::string(to_text(symptom.timing.on_missing)) + "\"`"},
         {"… `forget`", text(symptom.timing.forget)},
         {"… `severity`, `summary`", "`\"" + symptom.severity + "\"`, none"},
         {"… `priority`", std::to_string(rule.priority)},
         {"… `enforcement`", "`\"" + std::string(to_text(rule.enforcement)) + "\"`"},
         {"… `min_hold`, `cooldown`", text(rule.min_hold)},
         {"… `verify.settle`, `within`", text(rule.verify->settle) + ", " + text(rule.verify->within)},
         {"… `verify.otherwise`", "`\"rollback\"`"},
         {"… `verify.backoff`", text(rule.verify->backoff)}});
    const std::string damp = "{ half_life = \"" + to_text(rule.damp->half_life) +
                             "\", suppress = " + std::to_string(rule.damp->suppress) +
                             ", reuse = " + std::to_string(rule.damp->reuse) + " }";
    const std::vector<Row> rows = rows_of("Policy file");
    EXPECT_TRUE(std::ranges::any_of(rows, [&](const Row& row) {
        return row.at(0) == "… `damp`" && row.at(2).find(damp) != std::string::npos;
    })) << damp;
}

} // namespace
} // namespace homeostat
