#include "policies/promql/parser_impl.hpp"
#include "policies/promql/regex.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace homeostat::promql {

namespace {

constexpr std::array<AggregateInfo, 12> aggregates{{
    {"sum", AggregateOp::sum, {}},
    {"avg", AggregateOp::avg, {}},
    {"min", AggregateOp::min, {}},
    {"max", AggregateOp::max, {}},
    {"count", AggregateOp::count, {}},
    {"group", AggregateOp::group, {}},
    {"stddev", AggregateOp::stddev, {}},
    {"stdvar", AggregateOp::stdvar, {}},
    {"topk", AggregateOp::topk, Type::scalar},
    {"bottomk", AggregateOp::bottomk, Type::scalar},
    {"quantile", AggregateOp::quantile, Type::scalar},
    {"count_values", AggregateOp::count_values, Type::string},
}};

constexpr std::array<BinaryInfo, 16> binaries{{
    {"+", BinaryOp::add, 4},
    {"-", BinaryOp::sub, 4},
    {"*", BinaryOp::mul, 5},
    {"/", BinaryOp::div, 5},
    {"%", BinaryOp::mod, 5},
    {"^", BinaryOp::pow, 6, true},
    {"atan2", BinaryOp::atan2, 5},
    {"==", BinaryOp::eq, 3},
    {"!=", BinaryOp::ne, 3},
    {"<", BinaryOp::lt, 3},
    {"<=", BinaryOp::le, 3},
    {">", BinaryOp::gt, 3},
    {">=", BinaryOp::ge, 3},
    {"and", BinaryOp::logical_and, 2},
    {"or", BinaryOp::logical_or, 1},
    {"unless", BinaryOp::logical_unless, 2},
}};

template <class Table> auto find_in(const Table& table, std::string_view name) {
    const auto found = std::ranges::find_if(table, [name](const auto& row) { return row.name == name; });
    return found == table.end() ? nullptr : &*found;
}

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

} // namespace

const AggregateInfo* find_aggregate(std::string_view name) { return find_in(aggregates, name); }
const AggregateInfo& info(AggregateOp op) { return aggregates[static_cast<std::size_t>(op)]; }
const BinaryInfo* find_binary(std::string_view name) { return find_in(binaries, name); }
const BinaryInfo& info(BinaryOp op) { return binaries[static_cast<std::size_t>(op)]; }

std::string with_article(Type type) {
    return (type == Type::vector ? "an " : "a ") + std::string(to_text(type));
}

Expr Parser::make(Type type, std::size_t begin, Expr::Node node) {
    Expr made{type, {begin, previous_end_ - begin}, std::move(node)};
    for_each_child(made,
                   [&made](const Expr& child) { made.height = std::max(made.height, child.height + 1); });
    if (made.height > limits_.depth_max)
        fail(made.at, "nested deeper than " + std::to_string(limits_.depth_max) + " levels");
    return made;
}

Expr Parser::make_binary(const BinaryInfo& op, Expr left, Expr right, bool returns_bool,
                         VectorMatching matching, std::optional<Span> matching_at) {
    const bool scalars = left.type == Type::scalar && right.type == Type::scalar;
    const std::size_t begin = left.at.offset;
    Binary made{op.op, std::make_shared<const Expr>(std::move(left)),
                std::make_shared<const Expr>(std::move(right)), returns_bool, std::move(matching)};
    check_binary(made, op.name, matching_at);
    return make(scalars ? Type::scalar : Type::vector, begin, std::move(made));
}

void Parser::check_binary(const Binary& binary, std::string_view op, std::optional<Span> matching_at) {
    const auto is_operand = [](const Expr& e) { return e.type == Type::scalar || e.type == Type::vector; };
    for (const Expr* operand : {binary.left.get(), binary.right.get()})
        if (!is_operand(*operand))
            complain(operand->at, quoted(op) + " has " + with_article(operand->type) + " as its operand",
                     "a scalar or an instant vector");
    const bool vectors = binary.left->type == Type::vector && binary.right->type == Type::vector;
    const bool scalars = binary.left->type == Type::scalar && binary.right->type == Type::scalar;
    const Span whole{binary.left->at.offset, binary.right->at.end() - binary.left->at.offset};
    if (is_set_operator(binary.op))
        for (const Expr* operand : {binary.left.get(), binary.right.get()})
            if (operand->type == Type::scalar)
                complain(operand->at, quoted(op) + " has a scalar as its operand", "an instant vector");
    if (scalars && is_comparison(binary.op) && !binary.returns_bool)
        complain(whole, "two scalars are compared without 'bool'", quoted(std::string(op) + " bool"));
    if (matching_at && !vectors && is_operand(*binary.left) && is_operand(*binary.right))
        complain(*matching_at, "vector matching is only for two instant vectors");
}

void Parser::expect_type(const Expr& expr, Type wanted, const std::string& where) {
    if (expr.type == wanted) return;
    complain(expr.at, where + " is " + with_article(expr.type), with_article(wanted));
}

void Parser::check_call(const Function& function, const Call& call, Span at) {
    const std::size_t given = call.arguments.size();
    const std::size_t declared = function.arguments.size();
    if (given < function.required || (given > declared && !function.repeats_last)) {
        std::string wanted = std::to_string(function.required);
        if (function.repeats_last)
            wanted = "at least " + wanted;
        else if (declared != function.required)
            wanted += " to " + std::to_string(declared);
        complain(at, std::string(function.name) + " has " + std::to_string(given) + " arguments", wanted);
    }
    if (declared == 0) return;
    const std::size_t typed = function.repeats_last ? given : std::min(given, declared);
    for (std::size_t i = 0; i < typed; ++i)
        expect_type(*call.arguments[i], function.arguments[std::min(i, declared - 1)],
                    "argument " + std::to_string(i + 1) + " of " + std::string(function.name));
}

void Parser::check_aggregation(const AggregateInfo& aggregate, const Aggregation& aggregation, Span) {
    const std::string name(aggregate.name);
    expect_type(*aggregation.operand, Type::vector, "the operand of " + name);
    if (aggregate.parameter)
        expect_type(*aggregation.parameter, *aggregate.parameter, "the parameter of " + name);
}

void Parser::compile(Matcher& matcher, Span value_at) {
    if (matcher.op != MatchOp::regex && matcher.op != MatchOp::not_regex) return;
    auto compiled = compile_regex(matcher.value);
    if (compiled->ok()) regex_size_ += regex_size(*compiled);
    // Compiling costs time, so what is too large ends the reading.
    if (compiled->error_code() == RE2::ErrorPatternTooLarge || regex_size_ > limits_.regex_size_max)
        fail(value_at, "the regular expressions of the expression are too large",
             "shorter ones, with lower repetition counts");
    if (compiled->ok())
        matcher.expression = std::move(compiled);
    else
        complain(value_at, "bad regular expression: " + compiled->error(), "RE2 syntax");
}

} // namespace homeostat::promql
