// A case of a test document, played to the controller's own tick over a datapath in memory. Pure and
// deterministic: the same case gives the same decisions, bit for bit.
#pragma once

#include "engine/policy_test/document.hpp"
#include "engine/tick.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace homeostat::policy_test {

// What was played so far.
struct SimulatedRun {
    EngineState state;
    std::vector<Decisions> decisions; // of every tick, in order; Decisions::now is start + time
};

// The generation that a case runs: the policies over the test's baseline. Null where the policies do not fit
// together; the diagnostics say why.
GenerationPtr make_case_generation(const PolicyTest& test, const TestCase& test_case,
                                   std::vector<PolicyDocument> policies, Diagnostics& diagnostics);

// Plays one case, up to its end or up to and with the last tick that is not after `until` (from the case's
// beginning). The policies of the test must be sound (a bug otherwise): take_policies told.
SimulatedRun run_case(const PolicyTest& test, const TestCase& test_case,
                      std::optional<Duration> until = std::nullopt);

// One case, tick by tick.
class Simulation {
  public:
    Simulation(const PolicyTest& test, const TestCase& test_case, GenerationPtr generation);
    Simulation(Simulation&&) noexcept;
    Simulation& operator=(Simulation&&) = delete;
    ~Simulation();

    // The time of the next tick; none after the last.
    std::optional<Duration> next() const;
    // Plays the next tick. There must be one.
    const Decisions& step();

    const PolicyTest& test() const;
    const EngineState& state() const;
    EngineState take_state() &&;
    // What is in the datapath now.
    const ActualState& actual() const;

  private:
    struct Play;
    std::unique_ptr<Play> play_;
};

} // namespace homeostat::policy_test
