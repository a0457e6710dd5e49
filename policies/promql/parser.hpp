// Text to syntax tree: Prometheus 3's grammar with default features, plus our own SI and binary suffixes
// on numbers (200k, 1.5M, 4Ki; 5m stays five minutes). Refuses what is experimental in Prometheus.
#pragma once

#include "policies/promql/ast.hpp"

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::promql {

struct ParseError {
    std::size_t offset = 0; // bytes from the start of the expression
    std::size_t length = 0;
    std::string what;
    std::string expected; // what would have been right; may be empty

    bool operator==(const ParseError&) const = default;
};

struct ParseLimits {
    std::size_t length_max = 65'536;     // bytes
    std::size_t depth_max = 100;         // of nested operators, calls and parentheses
    std::size_t labels_max = 64;         // in one list of labels, or matchers in one selector
    std::size_t errors_max = 100;        // told of one expression
    std::size_t regex_size_max = 20'000; // instructions of all regular expressions together
};

// A syntax error ends the parse and comes last; of the type errors before it, and of a text whose syntax is
// right, all are told, in the order of their offsets. The list is never empty.
std::expected<Expr, std::vector<ParseError>> parse(std::string_view text, const ParseLimits& limits = {});

} // namespace homeostat::promql
