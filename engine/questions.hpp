// Questions to a controller, and their answers: what does this expression say, why was that decided, why is
// this not done. Pure: the state is only read, and the same state gives the same answer. Live, a policy test
// and a recording answer alike.
#pragma once

#include "engine/history.hpp"
#include "engine/tick.hpp"
#include "knowledge/error.hpp"
#include "policies/promql/evaluate.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace homeostat {

// A time, or how long before the last tick.
using Moment = std::variant<Instant, Duration>;

struct Question {
    enum class Kind { eval, explain, whynot, symptoms, decisions, signals };

    Kind kind{};
    // eval: the expression. explain: a receipt's id, or NAME. whynot: NAME. Others: NAME, or "" for all.
    // NAME is that of an adaptation, a symptom or a signal, and may be followed by {label="value"}.
    std::string text{};
    std::optional<Moment> at{};    // eval, explain, whynot; none: as of the last tick
    std::string only{};            // decisions: symptom, receipt, transaction, outcome or message; "" for all
    std::size_t newest = 20;       // decisions: at most so many
    std::optional<Moment> since{}; // decisions

    bool operator==(const Question&) const = default;
};

// "eval", "explain" and so on: what a question is called everywhere.
std::string_view to_text(Question::Kind kind);
std::optional<Question::Kind> parse_question_kind(std::string_view text);
std::vector<std::string> question_names();

struct QuestionLimits {
    std::size_t samples_max = 1'000'000; // touched by one expression: a question must not hold up the loop
    std::size_t rows_max = 1'000;        // of an answer; what is left out is counted
};

struct SeriesSamples {
    Labels labels;
    std::vector<Point> points; // oldest first
};

struct Evaluation {
    Instant at;
    std::variant<double, std::string, promql::Vector, std::vector<SeriesSamples>> value;
};

// A receipt or a change of a symptom, with what carried it out.
struct Explanation {
    Decided decided;
    std::vector<Decided> carried_out; // transactions, each followed by its outcome where it is known
    std::vector<std::string> lines;   // the same in plain words
};

// What stands first in the way of an instance, or of all where none is asked for.
struct WhyNot {
    std::string name;
    Labels key;
    std::string blocker; // "": nothing; raise (of a symptom), when, gate, limit, arbitration or datapath
    std::string gate;    // where that blocks
    std::vector<std::string> lines;
};

struct SymptomRow {
    std::string name;
    Labels key;
    SymptomState state{};
    std::optional<Instant> since; // none: no instance is remembered
    double value = 0;
    std::string error; // why it cannot be evaluated
};

struct SignalRow {
    std::string name;
    Labels key;
    std::optional<Point> point; // none: it has no series
    std::string error;          // why it cannot be evaluated
};

struct Answer {
    Instant at; // of the last tick
    std::uint64_t generation = 0;
    std::variant<Evaluation, std::vector<Explanation>, std::vector<WhyNot>, std::vector<SymptomRow>,
                 std::vector<Decided>, std::vector<SignalRow>>
        what;
    std::vector<std::string> notes; // what its reader must know to trust it
    std::size_t left_out = 0;       // rows beyond the limit
};

// Fails on what cannot be asked: an unknown name, an expression with a mistake, a time that is not
// remembered.
Result<Answer> ask(const EngineState& state, const Question& question, const QuestionLimits& limits = {});

// The mistakes of an expression, by line and column of its text and without a file; none where it can be
// asked.
Diagnostics mistakes_of(const std::string& expression);
// The same as lines for people, "" where there are none.
std::string mistakes_text(const std::string& expression);

// What Question::only may be.
std::span<const std::string_view> decision_kinds();

} // namespace homeostat
