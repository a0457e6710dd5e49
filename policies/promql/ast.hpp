// The syntax tree of a PromQL expression. Nodes are immutable values: children are shared, so a copy or
// a transformation of a tree shares what it does not change. Made by parse(), which has checked all
// types: a tree in hand is well-typed. Safe to read from any thread.
#pragma once

#include "knowledge/time.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace re2 {
class RE2;
}

namespace homeostat::promql {

enum class Type { scalar, vector, matrix, string };

// "scalar", "instant vector", "range vector", "string", as Prometheus calls them.
std::string_view to_text(Type type);

// A stretch of the source text, in bytes.
struct Span {
    std::size_t offset = 0;
    std::size_t length = 0;

    std::size_t end() const { return offset + length; }
    bool operator==(const Span&) const = default;
};

struct Expr;
using ExprPtr = std::shared_ptr<const Expr>; // never null unless a member says so
struct Function;                             // see functions.hpp

struct NumberLiteral {
    double value;
};

struct StringLiteral {
    std::string value; // unescaped
};

enum class MatchOp { equal, not_equal, regex, not_regex };

struct Matcher {
    std::string label;
    MatchOp op;
    std::string value; // or the expression's text; anchored at both ends
    Span at;
    std::shared_ptr<const re2::RE2> expression; // null unless op is regex or not_regex

    bool matches(std::string_view label_value) const; // an absent label has the value ""
};

// Prometheus's `@`: a fixed time instead of the evaluation's; start() and end() are those of a range query.
struct AtModifier {
    enum class Kind { time, start, end };

    Kind kind;
    Instant time; // Kind::time only
};

// An instant vector selector, or with a range, a range vector selector.
struct Selector {
    std::string metric_name;       // "" where the matchers alone choose
    std::vector<Matcher> matchers; // without the one that metric_name stands for
    std::optional<Duration> range; // > 0
    Duration offset{};             // negative looks ahead
    std::optional<AtModifier> at;
};

struct Subquery {
    ExprPtr inner;                // an instant vector
    Duration range{};             // > 0
    std::optional<Duration> step; // none: EvalOptions::subquery_step
    Duration offset{};
    std::optional<AtModifier> at;
};

struct Negation {
    ExprPtr inner;
};

enum class BinaryOp {
    // clang-format off
    add, sub, mul, div, mod, pow, atan2,
    eq, ne, lt, le, gt, ge,
    logical_and, logical_or, logical_unless,
    // clang-format on
};

std::string_view to_text(BinaryOp op);
constexpr bool is_comparison(BinaryOp op) { return op >= BinaryOp::eq && op <= BinaryOp::ge; }
constexpr bool is_set_operator(BinaryOp op) { return op >= BinaryOp::logical_and; }

// How samples of two vectors find each other.
struct VectorMatching {
    enum class Cardinality { one_to_one, many_to_one, one_to_many, many_to_many };

    Cardinality cardinality = Cardinality::one_to_one; // many_to_one: group_left
    bool on = false;                                   // else ignoring
    std::vector<std::string> labels;
    std::vector<std::string> include; // of group_left(...), group_right(...)
};

struct Binary {
    BinaryOp op;
    ExprPtr left;
    ExprPtr right;
    bool returns_bool = false; // a comparison that filters, where false
    VectorMatching matching;   // of two vectors
};

enum class AggregateOp {
    sum,
    avg,
    min,
    max,
    count,
    group,
    stddev,
    stdvar,
    topk,
    bottomk,
    quantile,
    count_values
};

std::string_view to_text(AggregateOp op);

struct Aggregation {
    AggregateOp op;
    ExprPtr operand;
    ExprPtr parameter; // null unless op takes one
    bool without = false;
    std::vector<std::string> labels; // of by or without
};

struct Call {
    const Function* function; // into the static table
    std::vector<ExprPtr> arguments;
};

// Parentheses and unary plus leave no node; parentheses widen the span.
struct Expr {
    using Node =
        std::variant<NumberLiteral, StringLiteral, Selector, Subquery, Negation, Binary, Aggregation, Call>;

    Type type;
    Span at;
    Node node;
    std::size_t height = 1; // nodes on the longest path to a leaf; parse() limits it, so recursion is safe
};

// Calls visit(child) for each direct child, in source order.
template <class Visit> void for_each_child(const Expr& expr, Visit visit) {
    if (const auto* subquery = std::get_if<Subquery>(&expr.node))
        visit(*subquery->inner);
    else if (const auto* negation = std::get_if<Negation>(&expr.node))
        visit(*negation->inner);
    else if (const auto* binary = std::get_if<Binary>(&expr.node))
        visit(*binary->left), visit(*binary->right);
    else if (const auto* call = std::get_if<Call>(&expr.node))
        for (const ExprPtr& argument : call->arguments) visit(*argument);
    else if (const auto* aggregation = std::get_if<Aggregation>(&expr.node)) {
        if (aggregation->parameter) visit(*aggregation->parameter);
        visit(*aggregation->operand);
    }
}

// The expression in canonical form: parses again to an equal tree.
std::string to_text(const Expr& expr);

} // namespace homeostat::promql
