// Whole ticks over scripted series, with a datapath in memory: what is planned is done at once, and its
// outcome is an input of the next tick.
#pragma once

#include "engine/datapath_in_memory.hpp"
#include "engine/tick.hpp"
#include "tests/engine/fakes.hpp"
#include "tests/policies/script.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::test {

// eth0 and eth1 with the program "counter", a second program "guard", and the sensor "packets" of the metric
// pps.
inline constexpr std::string_view small_config = R"(version = 1
[controller]
period = "1s"
[[program]]
name = "counter"
object = "counter.bpf.o"
[[program]]
name = "guard"
object = "guard.bpf.o"
[[interface]]
name = "eth0"
xdp.program = "counter"
[[interface]]
name = "eth1"
xdp.program = "counter"
[[sensor]]
name = "packets"
type = "bpf-map"
map = "packets"
key = { as = "src" }
value = "pps"
)";

// Throws, with the diagnostics, where either text has a mistake.
GenerationPtr generation_of(const std::vector<std::string>& policies, std::uint64_t number = 1,
                            std::string_view config = small_config);

struct ScenarioOptions {
    std::vector<std::string> config_changes; // lines to add to small_config
    std::set<int> failing_transactions;      // by turn, from 1
    bool backwards = false;                  // series are defined and written in reverse order
};

class Scenario {
  public:
    explicit Scenario(const std::vector<std::string>& policies, ScenarioOptions options = {});

    // One tick. The sensor reads these samples; a stale marker ends the series.
    Decisions tick(Duration at, const std::vector<std::pair<std::string, double>>& samples = {});

    // The same between the periods, as an urgent event starts it.
    Decisions urgent_tick(Duration at, const std::vector<std::pair<std::string, double>>& samples = {});

    // While held, transactions are carried out, but nobody hears of it.
    void hold_outcomes(bool held);

    // Each holds for the next tick.
    void reload(const std::vector<std::string>& policies);
    void fail_sensor(const std::string& error) { sensor_error_ = error; }
    void link(const std::string& interface, bool present);
    void command(OperatorCommand command) { next_.commands.push_back(std::move(command)); }

    // A tick for each value of the longest script, from `from` on. Each line begins with its time.
    std::vector<std::string> play(const std::vector<ScriptedSeries>& script, Duration from = Duration{0},
                                  Duration step = std::chrono::seconds{1});

    // The newest value of a series at the last tick.
    std::optional<double> value(const std::string& series) const;

    EngineState state;
    DatapathInMemory kernel{{"eth0", "eth1"}};
    std::vector<Decisions> history;

  private:
    Decisions tick(Duration at, bool periodic, const std::vector<std::pair<std::string, double>>& samples);
    SampleBatch batch(Instant now, std::vector<std::pair<std::string, double>> samples);

    ScenarioOptions options_;
    FaultyDatapath datapath_{kernel, options_.failing_transactions, "no memory"};
    std::vector<std::string> series_; // by the sensor's number
    std::string sensor_error_;
    Inputs next_;
    std::vector<Outcome> held_;
    bool is_holding_ = false;
    Instant now_;
};

} // namespace homeostat::test
