// The language of Prometheus's promqltest as text: lines, series and what a case expects. Internal to the
// runner of such files: what is not of the language is thrown as Malformed, and caught there.
#pragma once

#include "knowledge/labels.hpp"
#include "knowledge/time.hpp"
#include "policies/promql/series_notation.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::promql {

// A line that is not of the language: a failure.
struct Malformed {
    std::string what;
};

struct NumberedLine {
    std::size_t number;
    std::string_view text;
    bool indented;
    bool after_gap; // a blank line or a comment stands before it
};

// Without blank lines and comments.
std::vector<NumberedLine> read_lines(std::string_view text);

// Everything else belongs to the command before it.
bool is_command(const NumberedLine& line);

// Takes the word that `text` begins with, and the blanks after it.
std::string_view take_word(std::string_view& text);

// A duration, or a number of seconds; either may be negative.
Duration parse_time(std::string_view text);

// name{label="value",…}: {} has no labels.
Labels parse_labels(std::string_view text);

struct SeriesLine {
    Labels labels;
    SeriesValues values;
    bool has_native_histograms = false; // which are read past
};

SeriesLine read_series(std::string_view line);

struct Case {
    bool is_range = false;
    Duration from{};
    Duration to{};
    Duration step{1};
    std::string expression;
    bool fails = false;
    std::vector<std::string> failure_texts; // to be found in the error
    std::vector<std::string> failure_expressions;
    bool ordered = false;
    bool is_matrix = false; // an instant query that answers with a range vector; `step` is the matrix's then
    Duration matrix_from{};
    std::optional<std::string> string;
    std::optional<double> scalar;
    std::vector<SeriesLine> series;
};

Case read_eval(std::string_view line);
void read_expectation(Case& into, std::string_view line);

} // namespace homeostat::promql
