#include "engine/policy_test/run.hpp"

#include "policies/decision_text.hpp"

#include <algorithm>
#include <cassert>

namespace homeostat::policy_test {

CaseResult check_case(const PolicyTest& test, const TestCase& test_case, const Observer& observer) {
    CaseResult result;
    result.name = test_case.name.text;
    result.at = test_case.name.position(0);
    if (test_case.skip) {
        result.verdict = CaseResult::Verdict::skipped;
        result.skipped_because = *test_case.skip;
        return result;
    }
    Diagnostics diagnostics;
    GenerationPtr generation = make_case_generation(test, test_case, test.policies, diagnostics);
    assert(generation != nullptr);
    Simulation simulation(test, test_case, std::move(generation));
    CaseCheck check(test, test_case);
    for (auto time = simulation.next(); time;) {
        const Decisions& decisions = simulation.step();
        for (std::string& line : lines_of(decisions)) result.timeline.push_back({*time, std::move(line)});
        ++result.ticks;
        const auto next = simulation.next();
        check.see(*time, next, simulation, decisions);
        if (observer) observer(simulation, decisions);
        time = next;
    }
    check.finish();
    result.findings = check.findings();
    std::ranges::stable_sort(result.findings, {}, &Finding::time);
    if (!result.findings.empty()) result.verdict = CaseResult::Verdict::failed;
    return result;
}

bool passes(const PolicyTest& test, const TestCase& test_case, const GenerationPtr& generation) {
    Simulation simulation(test, test_case, generation);
    CaseCheck check(test, test_case);
    for (auto time = simulation.next(); time && !check.failed();) {
        const Decisions& decisions = simulation.step();
        const auto next = simulation.next();
        check.see(*time, next, simulation, decisions);
        time = next;
    }
    if (!check.failed()) check.finish();
    return !check.failed();
}

std::vector<TimelineEntry> around(const std::vector<TimelineEntry>& timeline, Duration time) {
    constexpr std::ptrdiff_t before = 6;
    constexpr std::ptrdiff_t after = 3;
    const auto later = std::ranges::upper_bound(timeline, time, {}, &TimelineEntry::time);
    const auto first = later - std::min(before, later - timeline.begin());
    const auto last = later + std::min(after, timeline.end() - later);
    return {first, last};
}

} // namespace homeostat::policy_test
