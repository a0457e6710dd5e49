// Runs the cases of a test document: what passed, and of what did not, all that is needed to see why.
#pragma once

#include "engine/policy_test/check_case.hpp"

#include <functional>
#include <string>
#include <vector>

namespace homeostat::policy_test {

struct TimelineEntry {
    Duration time{};
    std::string text; // a decision, see lines_of(Decisions)
};

struct CaseResult {
    enum class Verdict { passed, failed, skipped };

    std::string name;
    Position at; // of the name
    Verdict verdict = Verdict::passed;
    std::string skipped_because;
    std::vector<Finding> findings; // by time
    std::vector<TimelineEntry> timeline;
    std::size_t ticks = 0;
};

// Told after each tick.
using Observer = std::function<void(const Simulation&, const Decisions&)>;

// The policies must be sound, as for run_case. A case that says `skip` is not run.
CaseResult check_case(const PolicyTest& test, const TestCase& test_case, const Observer& observer = {});

// Whether these policies pass the case; ends at the first expectation that is not met.
bool passes(const PolicyTest& test, const TestCase& test_case, const GenerationPtr& generation);

// The entries nearest before and after a time.
std::vector<TimelineEntry> around(const std::vector<TimelineEntry>& timeline, Duration time);

} // namespace homeostat::policy_test
