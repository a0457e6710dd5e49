// Decisions for people and for machines.
#pragma once

#include "engine/tick.hpp"
#include "knowledge/receipt.hpp"

#include <string>
#include <vector>

namespace homeostat::cli {

struct LogLine {
    enum class Level { info, warning, error };
    Level level = Level::info;
    std::string text;
};

LogLine log_line(const Decided& decided);
// A line for each decision, in the order in which they were made.
std::vector<LogLine> log_lines(const Decisions& decisions);

// A JSON object on a line of its own for each decision. Every one has "type" and "time" (seconds since the
// epoch); the types are symptom, receipt, transaction, outcome and message.
std::vector<std::string> json_lines(const Decisions& decisions);

// One JSON object, of type "signals": the newest value of every signal's series.
std::string signals_json(const EngineState& state, Instant now);

// One JSON object, of type "ready": the loop is about to turn.
std::string ready_json(const Generation& generation, Instant now);

} // namespace homeostat::cli
