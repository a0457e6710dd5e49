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

// Well-formed UTF-8, shortest forms only.
bool is_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[i + k]); };
        const unsigned char lead = byte(0);
        const std::size_t length = lead < 0x80   ? 1
                                   : lead < 0xc2 ? 0
                                   : lead < 0xe0 ? 2
                                   : lead < 0xf0 ? 3
                                   : lead < 0xf5 ? 4
                                                 : 0;
        if (length == 0 || text.size() - i < length) return false;
        for (std::size_t k = 1; k < length; ++k)
            if ((byte(k) & 0xc0) != 0x80) return false;
        if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f) ||
            (lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f))
            return false;
        i += length;
    }
    return true;
}

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

} // namespace

const AggregateInfo* find_aggregate(std::string_view name) { return find_in(aggregates, name); }
const AggregateInfo& info(AggregateOp op) { return aggregates[static_cast<std::size_t>(op)]; }
const BinaryInfo* find_binary(std::string_view name) { return find_in(binaries, name); }
const BinaryInfo& info(BinaryOp op) { return binaries[static_cast<std::size_t>(op)]; }

bool is_label_name(std::string_view name) { return !name.empty() && is_utf8(name); }

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
    const bool vectors = made.left->type == Type::vector && made.right->type == Type::vector;
    if (!vectors) made.matching = {}; // without labels it is let pass, and means nothing
    return make(scalars ? Type::scalar : Type::vector, begin, std::move(made));
}

void Parser::check_binary(const Binary& binary, std::string_view op, std::optional<Span> matching_at) {
    const auto is_operand = [](const Expr& e) { return e.type == Type::scalar || e.type == Type::vector; };
    for (const Expr* operand : {binary.left.get(), binary.right.get()})
        if (!is_operand(*operand))
            complain(operand->at, "binary expression must contain only scalar and instant vector types",
                     "a scalar or an instant vector, not " + with_article(operand->type));
    const bool vectors = binary.left->type == Type::vector && binary.right->type == Type::vector;
    const bool scalars = binary.left->type == Type::scalar && binary.right->type == Type::scalar;
    const Span whole{binary.left->at.offset, binary.right->at.end() - binary.left->at.offset};
    if (is_set_operator(binary.op))
        for (const Expr* operand : {binary.left.get(), binary.right.get()})
            if (operand->type == Type::scalar)
                complain(operand->at,
                         "set operator \"" + std::string(op) + "\" not allowed in binary scalar expression");
    if (scalars && is_comparison(binary.op) && !binary.returns_bool)
        complain(whole, "comparisons between scalars must use BOOL modifier",
                 quoted(std::string(op) + " bool"));
    if (matching_at && !vectors && is_operand(*binary.left) && is_operand(*binary.right))
        complain(*matching_at, "vector matching only allowed between instant vectors");
}

void Parser::expect_type(const Expr& expr, Type wanted, const std::string& where) {
    if (expr.type == wanted) return;
    complain(expr.at, "expected type " + std::string(to_text(wanted)) + " in " + where + ", got " +
                          std::string(to_text(expr.type)));
}

void Parser::check_call(const Function& function, const Call& call, Span at) {
    const std::size_t given = call.arguments.size();
    const std::size_t declared = function.arguments.size();
    if (given < function.required || (given > declared && !function.repeats_last)) {
        const bool varies = function.repeats_last || declared != function.required;
        const std::string bound = !varies ? "" : given < function.required ? "at least " : "at most ";
        complain(at, "expected " + bound +
                         std::to_string(given < function.required ? function.required : declared) +
                         " argument(s) in call to \"" + std::string(function.name) + "\", got " +
                         std::to_string(given));
    }
    if (declared == 0) return;
    const std::size_t typed = function.repeats_last ? given : std::min(given, declared);
    for (std::size_t i = 0; i < typed; ++i)
        expect_type(*call.arguments[i], function.arguments[std::min(i, declared - 1)],
                    "call to function \"" + std::string(function.name) + "\"");
}

void Parser::check_aggregation(const AggregateInfo& aggregate, const Aggregation& aggregation, Span) {
    expect_type(*aggregation.operand, Type::vector, "aggregation expression");
    if (aggregate.parameter)
        expect_type(*aggregation.parameter, *aggregate.parameter, "aggregation parameter");
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
