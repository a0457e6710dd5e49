// Runs policies over scripted series: Analyze and Plan in the order of a tick, without an engine around them.
#pragma once

#include "policies/analyze.hpp"
#include "policies/plan.hpp"
#include "policies/policy_set.hpp"
#include "tests/policies/script.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::test {

// eth0 and eth1, each with the program "counter" in drv mode.
DesiredState two_interfaces();

// Throws, with the diagnostics, where the text has a mistake.
PolicySet policies_of(std::string_view toml);

// Plans no transactions: what is desired is in `knowledge`.
class PolicyRun {
  public:
    explicit PolicyRun(std::string_view toml);

    // The same knowledge under other policies.
    void reload(std::string_view toml);

    // One tick at this time since the start, after these samples were appended. A series that is not named
    // keeps what it had.
    Decisions tick(Duration at, const std::vector<std::pair<std::string, double>>& samples = {});

    // A tick for each value of the longest script, the first at 0s. Each line begins with its time.
    std::vector<std::string> play(const std::vector<ScriptedSeries>& script,
                                  Duration step = std::chrono::seconds{1});

    SymptomState state(const std::string& symptom, const std::string& key) const;
    bool active(const std::string& adaptation, const std::string& key) const;

    PolicySet policies;
    DesiredState baseline = two_interfaces();
    AnalyzeLimits analyze;
    PlanLimits plan;
    Knowledge knowledge;

  private:
    void adopt();

    bool changed_ = true;
    Duration last_{-1};
};

// One run of `play` from the start.
std::vector<std::string> decisions_of(std::string_view toml, const std::vector<ScriptedSeries>& script,
                                      Duration step = std::chrono::seconds{1});

} // namespace homeostat::test
