// One turn of the loop: Monitor, Analyze, Plan, at one logical time. A pure function of the state and the
// inputs: no clock, no file, no kernel, no logging. The same inputs give the same decisions, bit for bit.
#pragma once

#include "engine/generation.hpp"
#include "engine/history.hpp"
#include "engine/ports.hpp"
#include "knowledge/knowledge.hpp"
#include "knowledge/receipt.hpp"
#include "policies/analyze_memory.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace homeostat {

// The baseline of an interface as an operator wants it, until the next reload.
struct OperatorCommand {
    std::string interface;
    DesiredInterface baseline;
    std::string text; // for the record: "attach guard in drv, else skb"
};

// All that a tick is told.
struct Inputs {
    Instant now;
    bool periodic = true; // facts are recorded at periodic ticks only
    Readings readings;
    std::vector<Outcome> outcomes;
    ActualState observed; // read back without a transaction; the first time, of every interface
    GenerationPtr reload; // null: go on with the one that is there
    std::vector<OperatorCommand> commands;
    std::uint64_t ticks_skipped = 0;  // periods that passed without a tick, since the last tick
    std::uint64_t inputs_dropped = 0; // at the limit of the queue, since the last tick
};

// A sensor's own numbers for its series, and what they are in the store.
struct SensorSeries {
    struct Local {
        Labels labels;
        std::optional<SeriesId> id; // none: not in the store (yet, or any more)
    };
    std::vector<Local> locals;
    bool up = true;
    std::string error;
    std::uint64_t refused = 0; // series beyond the sensor's limit
    bool store_full = false;   // a series of it found no room in the store
};

struct EngineState {
    explicit EngineState(GenerationPtr first);

    Knowledge knowledge;
    GenerationPtr generation;
    DesiredState baseline;             // the generation's, with what operators have changed since
    std::uint64_t commands_taken = 0;  // of operators, since the start
    std::vector<SensorSeries> sensors; // by SensorId
    std::uint64_t ticks = 0;
    std::uint64_t ticks_skipped = 0;
    std::uint64_t inputs_dropped = 0;
    DecisionHistory history;
    AnalyzeMemory memory;            // of the generation
    bool adopted = false;            // the generation is taken over
    std::optional<Instant> swept_at; // when series were last forgotten
};

Decisions tick(EngineState& state, const Inputs& inputs);

} // namespace homeostat
