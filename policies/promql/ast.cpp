#include "policies/promql/parser_impl.hpp"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace homeostat::promql {

std::string_view to_text(Type type) {
    switch (type) {
    case Type::scalar:
        return "scalar";
    case Type::vector:
        return "instant vector";
    case Type::matrix:
        return "range vector";
    case Type::string:
        return "string";
    }
    return "";
}

std::string_view to_text(BinaryOp op) { return info(op).name; }
std::string_view to_text(AggregateOp op) { return info(op).name; }

bool Matcher::matches(std::string_view label_value) const {
    switch (op) {
    case MatchOp::equal:
        return label_value == value;
    case MatchOp::not_equal:
        return label_value != value;
    case MatchOp::regex:
        return expression && RE2::FullMatch(label_value, *expression);
    case MatchOp::not_regex:
        return !(expression && RE2::FullMatch(label_value, *expression));
    }
    return false;
}

namespace {

bool is_plain_name(std::string_view name, bool colons) {
    const auto is_start = [colons](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colons && c == ':');
    };
    if (name.empty() || !is_start(name[0])) return false;
    return std::ranges::all_of(name, [&](char c) { return is_start(c) || (c >= '0' && c <= '9'); });
}

std::string quoted(std::string_view text) {
    constexpr std::string_view hex = "0123456789abcdef";
    std::string made = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            (made += '\\') += c;
        else if (byte < 0x20 || byte == 0x7f)
            ((made += "\\x") += hex[byte >> 4]) += hex[byte & 15];
        else
            made += c;
    }
    return made + '"';
}

std::string number_text(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Inf" : "Inf";
    std::array<char, 40> buffer{};
    const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
    return std::string(buffer.data(), end);
}

std::string label_text(const std::string& label) {
    return is_plain_name(label, false) ? label : quoted(label);
}

std::string list_text(const std::vector<std::string>& labels) {
    std::string made = "(";
    for (const std::string& label : labels) (made += made.size() > 1 ? ", " : "") += label_text(label);
    return made + ")";
}

std::string time_text(Duration offset, const std::optional<AtModifier>& at) {
    std::string made;
    if (at) {
        using Kind = AtModifier::Kind;
        made += " @ ";
        if (at->kind == Kind::time)
            made += number_text(static_cast<double>(to_ms(at->time)) / 1000.0);
        else
            made += at->kind == Kind::start ? "start()" : "end()";
    }
    if (offset != Duration{}) made += " offset " + homeostat::to_text(offset);
    return made;
}

std::string text_of(const NumberLiteral& number) { return number_text(number.value); }
std::string text_of(const StringLiteral& string) { return quoted(string.value); }

// Would be read as something else where a metric may stand.
bool is_keyword(std::string_view name) {
    constexpr std::array<std::string_view, 7> keywords{"inf",        "nan",         "bool",    "on",
                                                       "group_left", "group_right", "ignoring"};
    const auto same = [name](std::string_view keyword) {
        return std::ranges::equal(name, keyword, [](char c, char k) { return (c | 0x20) == k || c == k; });
    };
    return std::ranges::any_of(keywords, same);
}

std::string text_of(const Selector& selector) {
    constexpr std::array<std::string_view, 4> operators{"=", "!=", "=~", "!~"};
    const bool plain = is_plain_name(selector.metric_name, true) && !is_keyword(selector.metric_name);
    std::string inner = plain || selector.metric_name.empty() ? "" : quoted(selector.metric_name);
    for (const Matcher& m : selector.matchers) {
        if (!inner.empty()) inner += ",";
        inner += label_text(m.label);
        inner += operators[static_cast<std::size_t>(m.op)];
        inner += quoted(m.value);
    }
    std::string made = plain ? selector.metric_name : "";
    if (!inner.empty()) made += "{" + inner + "}";
    if (selector.range) made += "[" + homeostat::to_text(*selector.range) + "]";
    return made + time_text(selector.offset, selector.at);
}

// An operand that binds less tightly than its place demands stands in parentheses.
int precedence(const Expr& expr) {
    if (const auto* binary = std::get_if<Binary>(&expr.node)) return info(binary->op).precedence;
    if (std::holds_alternative<Negation>(expr.node)) return unary_precedence;
    const auto* number = std::get_if<NumberLiteral>(&expr.node);
    const bool has_sign = number && std::signbit(number->value) && !std::isnan(number->value);
    return has_sign ? unary_precedence : 100;
}

std::string operand_text(const Expr& expr, int precedence_min) {
    return precedence(expr) < precedence_min ? "(" + to_text(expr) + ")" : to_text(expr);
}

std::string text_of(const Subquery& subquery) {
    std::string made = operand_text(*subquery.inner, 100);
    made += "[" + homeostat::to_text(subquery.range) + ":";
    if (subquery.step) made += homeostat::to_text(*subquery.step);
    return made + "]" + time_text(subquery.offset, subquery.at);
}

std::string text_of(const Negation& negation) {
    // Of signs in a row each takes no deeper nesting than it did where they were read.
    if (std::holds_alternative<Negation>(negation.inner->node)) return "-" + to_text(*negation.inner);
    return "-" + operand_text(*negation.inner, unary_precedence + 1);
}

std::string matching_text(const VectorMatching& matching) {
    using enum VectorMatching::Cardinality;
    const bool grouped = matching.cardinality == many_to_one || matching.cardinality == one_to_many;
    if (!matching.on && matching.labels.empty() && !grouped) return "";
    std::string made = (matching.on ? " on " : " ignoring ") + list_text(matching.labels);
    if (!grouped) return made;
    made += matching.cardinality == many_to_one ? " group_left " : " group_right ";
    return made + list_text(matching.include);
}

std::string text_of(const Binary& binary) {
    const BinaryInfo& op = info(binary.op);
    const int left_min = op.right_associative ? op.precedence + 1 : op.precedence;
    const int right_min = op.right_associative ? op.precedence : op.precedence + 1;
    std::string made = operand_text(*binary.left, left_min) + " ";
    made += op.name;
    if (binary.returns_bool) made += " bool";
    return made + matching_text(binary.matching) + " " + operand_text(*binary.right, right_min);
}

std::string text_of(const Aggregation& aggregation) {
    std::string made(to_text(aggregation.op));
    if (aggregation.without || !aggregation.labels.empty())
        made += (aggregation.without ? " without " : " by ") + list_text(aggregation.labels) + " ";
    made += "(";
    if (aggregation.parameter) made += to_text(*aggregation.parameter) + ", ";
    return made + to_text(*aggregation.operand) + ")";
}

std::string text_of(const Call& call) {
    std::string made(call.function->name);
    made += "(";
    for (std::size_t i = 0; i < call.arguments.size(); ++i)
        (made += i == 0 ? "" : ", ") += to_text(*call.arguments[i]);
    return made + ")";
}

} // namespace

std::string to_text(const Expr& expr) {
    return std::visit([](const auto& node) { return text_of(node); }, expr.node);
}

} // namespace homeostat::promql
