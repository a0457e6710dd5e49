// Judges a case while it is played: whether what was expected came about, and where not, what did.
#pragma once

#include "engine/policy_test/simulation.hpp"

#include <string>
#include <vector>

namespace homeostat::policy_test {

// An expectation that was not met, or an invariant that did not hold.
struct Finding {
    Position at; // in the test document
    Duration time{};
    std::string what;
    std::string expected;
    std::string actual;
    std::vector<std::string> evidence; // what the conditions saw then, and the first closed gate

    bool operator==(const Finding&) const = default;
};

class CaseCheck {
  public:
    CaseCheck(const PolicyTest& test, const TestCase& test_case);

    // After each tick. `next`: the time of the next one; none after the last.
    void see(Duration now, std::optional<Duration> next, const Simulation& simulation,
             const Decisions& decisions);
    // After the last tick: judges what needed to see all of it.
    void finish();

    const std::vector<Finding>& findings() const { return findings_; }
    // Whether nothing more is expected: all that is left cannot fail.
    bool failed() const { return !findings_.empty(); }

  private:
    struct Moment;
    struct Decision {
        Duration time{};
        Receipt::Action action{};
        std::string adaptation;
        Labels key;
    };

    void judge(const Expectation& expectation, const Moment& moment);
    void judge_symptoms(const Expectation& expectation, const Moment& moment);
    void judge_active(const Expectation& expectation, const Moment& moment);
    void judge_waits(const Expectation& expectation, const Moment& moment);
    void judge_interfaces(const Expectation& expectation, const Moment& moment);
    void judge_interface(const ExpectedInterface& expected, const DesiredInterface& is, std::string_view what,
                         const Moment& moment);
    void judge_evaluations(const Expectation& expectation, const Moment& moment);
    void judge_samples(const Condition& condition, bool wants_sample, std::string_view what, Position at,
                       const Moment& moment);
    void judge_decisions(const Expectation& expectation, Duration last);
    void judge_messages(const Expectation& expectation, Duration last);
    void judge_invariant(std::size_t index, const Moment& moment);
    void add(Finding finding);
    std::pair<Duration, Duration> range_of(const Expectation& expectation, Duration last) const;

    const PolicyTest& test_;
    const TestCase& case_;
    std::vector<bool> settled_; // by expectation: judged at its time, or not met in its range
    std::vector<bool> broken_;  // by invariant
    std::vector<std::map<std::string, std::size_t>> changes_; // by invariant and interface
    std::vector<Decision> decisions_;
    std::vector<std::pair<Duration, std::string>> messages_;
    std::vector<Duration> ticks_;
    std::vector<Finding> findings_;
};

} // namespace homeostat::policy_test
