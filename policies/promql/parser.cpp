#include "policies/promql/parser_impl.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace homeostat::promql {

namespace {

std::string lower(std::string_view text) {
    std::string made(text);
    for (char& c : made)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return made;
}

bool is_plain_label_name(std::string_view name) { return name.find(':') == name.npos; }

ExprPtr share(Expr expr) { return std::make_shared<const Expr>(std::move(expr)); }

} // namespace

Parser::Parser(std::string_view text, const ParseLimits& limits) : limits_(limits), lexer_(text) {}

// ---- tokens

bool Parser::is(std::string_view symbol) const {
    return current_.kind == Token::Kind::symbol && current_.text == symbol;
}

bool Parser::is_word(std::string_view keyword) const {
    return current_.kind == Token::Kind::name && lower(current_.text) == keyword;
}

Token Parser::take() {
    Token taken = std::move(current_);
    previous_end_ = taken.at.end();
    current_ = lexer_.next();
    return taken;
}

bool Parser::accept(std::string_view symbol) {
    if (!is(symbol)) return false;
    take();
    return true;
}

void Parser::expect(std::string_view symbol, std::string_view where) {
    if (!accept(symbol)) unexpected("'" + std::string(symbol) + "' " + std::string(where));
}

void Parser::too_many(const std::string& things) const {
    fail(current_.at, "more than " + std::to_string(limits_.labels_max) + " " + things);
}

void Parser::complain(Span at, std::string what, std::string expected) {
    if (errors_.size() == limits_.errors_max)
        fail(current_.at,
             "more than " + std::to_string(limits_.errors_max) + " mistakes; the rest is not read");
    errors_.push_back({at.offset, at.length, std::move(what), std::move(expected)});
}

void Parser::fail(Span at, std::string what, std::string expected) const {
    throw SyntaxError{{at.offset, at.length, std::move(what), std::move(expected)}};
}

void Parser::unexpected(std::string expected) const {
    if (current_.kind == Token::Kind::end)
        fail(current_.at, "the expression ends too early", std::move(expected));
    fail(current_.at, "unexpected '" + std::string(current_.text) + "'", std::move(expected));
}

void Parser::enter() {
    if (++depth_ > limits_.depth_max)
        fail(current_.at, "nested deeper than " + std::to_string(limits_.depth_max) + " levels");
}

// ---- operators

Expr Parser::parse_all() {
    current_ = lexer_.next();
    Expr made = expression(0);
    if (current_.kind != Token::Kind::end) unexpected("an operator or the end of the expression");
    return made;
}

Expr Parser::expression(int precedence_min) {
    enter();
    Expr left = unary();
    for (;;) {
        const bool may_be_operator =
            current_.kind == Token::Kind::symbol || current_.kind == Token::Kind::name;
        const BinaryInfo* op = may_be_operator ? find_binary(lower(current_.text)) : nullptr;
        if (!op || op->precedence < precedence_min) break;
        refuse_trim(take());
        const Span bool_at = current_.at;
        const bool returns_bool = is_word("bool");
        if (returns_bool) take();
        if (returns_bool && !is_comparison(op->op))
            complain(bool_at, "bool modifier can only be used on comparison operators");
        const std::size_t matching_begin = current_.at.offset;
        bool has_modifier = false;
        VectorMatching vector_matching = matching(*op, has_modifier);
        refuse_experimental({"fill", "fill_left", "fill_right"}, "(");
        std::optional<Span> matching_at;
        if (has_modifier && !vector_matching.labels.empty())
            matching_at = Span{matching_begin, previous_end_ - matching_begin};
        Expr right = expression(op->right_associative ? op->precedence : op->precedence + 1);
        left = make_binary(*op, std::move(left), std::move(right), returns_bool, std::move(vector_matching),
                           matching_at);
    }
    --depth_;
    return left;
}

VectorMatching Parser::matching(const BinaryInfo& op, bool& has_modifier) {
    using enum VectorMatching::Cardinality;
    VectorMatching made;
    made.cardinality = is_set_operator(op.op) ? many_to_many : one_to_one;
    if (!is_word("on") && !is_word("ignoring")) return made;
    has_modifier = true;
    made.on = is_word("on");
    take();
    made.labels = label_list();
    if (!is_word("group_left") && !is_word("group_right")) return made;
    const Span group_at = current_.at;
    if (is_set_operator(op.op))
        complain(group_at, "no grouping allowed for \"" + std::string(op.name) + "\" operation");
    else
        made.cardinality = is_word("group_left") ? many_to_one : one_to_many;
    take();
    if (is("(")) made.include = label_list();
    for (const std::string& label : made.include)
        if (made.on && std::ranges::find(made.labels, label) != made.labels.end())
            complain(group_at, "label \"" + label + "\" must not occur in ON and GROUP clause at once");
    return made;
}

Expr Parser::unary() {
    if (!is("-") && !is("+")) return primary();
    enter();
    const Token sign = take();
    Expr operand = expression(unary_precedence + 1);
    --depth_;
    const std::size_t begin = sign.at.offset;
    if (operand.type != Type::scalar && operand.type != Type::vector)
        complain(operand.at,
                 "unary expression only allowed on expressions of type scalar or instant vector, got \"" +
                     std::string(to_text(operand.type)) + "\"");
    if (sign.text == "+") {
        operand.at = {begin, previous_end_ - begin};
        return operand;
    }
    if (const auto* number = std::get_if<NumberLiteral>(&operand.node))
        return make(Type::scalar, begin, NumberLiteral{-number->value});
    const Type type = operand.type;
    return make(type, begin, Negation{share(std::move(operand))});
}

// ---- primaries

Expr Parser::primary() {
    const std::size_t begin = current_.at.offset;
    switch (current_.kind) {
    case Token::Kind::number:
    case Token::Kind::duration: {
        const double value = take().number;
        return postfix(make(Type::scalar, begin, NumberLiteral{value}), false);
    }
    case Token::Kind::string: {
        std::string value = take().string;
        return postfix(make(Type::string, begin, StringLiteral{std::move(value)}), false);
    }
    case Token::Kind::name:
        return named(take());
    case Token::Kind::symbol:
        if (is("(")) return postfix(parenthesised(), false);
        if (is("{")) return postfix(selector(begin, ""), true);
        break;
    case Token::Kind::end:
        break;
    }
    unexpected("a number, a string, a metric, a function, an aggregation or '('");
}

Expr Parser::parenthesised() {
    const std::size_t begin = take().at.offset;
    Expr inner = expression(0);
    expect(")", "to close the parenthesis");
    inner.at = {begin, previous_end_ - begin};
    return inner;
}

Expr Parser::named(const Token& name) {
    const std::string word = lower(name.text);
    if (word == "inf" || word == "nan") {
        using limits = std::numeric_limits<double>;
        const double value = word == "inf" ? limits::infinity() : limits::quiet_NaN();
        return postfix(make(Type::scalar, name.at.offset, NumberLiteral{value}), false);
    }
    if ((word == "limitk" || word == "limit_ratio") && (is_word("by") || is_word("without")))
        fail(name.at, "aggregation '" + word + "' is experimental; it is not supported");
    const AggregateInfo* aggregate = find_aggregate(word);
    if (aggregate && (is("(") || is_word("by") || is_word("without")))
        return postfix(aggregation(*aggregate, name), false);
    if (is("(")) return postfix(call(name), false);
    return postfix(selector(name.at.offset, std::string(name.text)), true);
}

Expr Parser::call(const Token& name) {
    const Function* function = find_function(name.text);
    const std::string text(name.text);
    if (!function && is_refused_function(name.text))
        complain(name.at,
                 "function '" + text + "' is experimental or for native histograms; it is not supported");
    else if (!function) {
        const std::string near = nearest(text, function_names());
        complain(name.at, "unknown function with name \"" + text + "\"",
                 near.empty() ? "" : "'" + near + "'");
    }
    Call made{function, arguments(text)};
    const Span at{name.at.offset, previous_end_ - name.at.offset};
    if (!function) return make(Type::vector, at.offset, NumberLiteral{}); // the error is noted
    check_call(*function, made, at);
    return make(function->result, at.offset, std::move(made));
}

std::vector<ExprPtr> Parser::arguments(std::string_view of) {
    std::vector<ExprPtr> made;
    expect("(", "before the arguments of " + std::string(of));
    while (!is(")")) {
        made.push_back(share(expression(0)));
        const Span comma_at = current_.at;
        if (!accept(",")) break;
        if (is(")")) fail(comma_at, "trailing commas not allowed in function call args");
    }
    expect(")", "after the arguments of " + std::string(of));
    return made;
}

Expr Parser::aggregation(const AggregateInfo& aggregate, const Token& name) {
    Aggregation made;
    made.op = aggregate.op;
    const auto at_grouping = [this] { return is_word("by") || is_word("without"); };
    const bool grouping_first = at_grouping();
    if (grouping_first) grouping(made);
    std::vector<ExprPtr> given = arguments(aggregate.name);
    if (!grouping_first && at_grouping()) grouping(made);
    const Span at{name.at.offset, previous_end_ - name.at.offset};
    const std::size_t wanted = aggregate.parameter ? 2 : 1;
    if (given.empty()) {
        complain(at, "no arguments for aggregate expression provided");
        return make(Type::vector, at.offset, NumberLiteral{});
    }
    if (given.size() != wanted) {
        complain(at, "wrong number of arguments for aggregate expression provided, expected " +
                         std::to_string(wanted) + ", got " + std::to_string(given.size()));
        return make(Type::vector, at.offset, NumberLiteral{});
    }
    made.operand = given.back();
    if (wanted == 2) made.parameter = given.front();
    check_aggregation(aggregate, made, at);
    return make(Type::vector, at.offset, std::move(made));
}

void Parser::grouping(Aggregation& into) {
    into.without = is_word("without");
    take();
    into.labels = label_list();
}

std::vector<std::string> Parser::label_list() {
    std::vector<std::string> labels;
    expect("(", "before the labels");
    while (!is(")")) {
        if (labels.size() == limits_.labels_max) too_many("labels in one list");
        labels.push_back(label_name(current_));
        take();
        if (!accept(",")) break;
    }
    expect(")", "after the labels");
    return labels;
}

std::string Parser::label_name(const Token& token) {
    if (token.kind == Token::Kind::name && is_plain_label_name(token.text)) return std::string(token.text);
    if (token.kind == Token::Kind::string && !token.string.empty()) return token.string;
    unexpected("a label name");
}

// ---- selectors

Expr Parser::selector(std::size_t begin, std::string metric_name) {
    Selector made;
    made.metric_name = std::move(metric_name);
    if (is("{")) matchers(made);
    check_metric_name(made, begin);
    const Span at{begin, previous_end_ - begin};
    const auto chooses = [](const Matcher& m) { return !m.matches(""); };
    const bool broken = !errors_.empty() && errors_.back().offset >= begin;
    if (made.metric_name.empty() && !broken && std::ranges::none_of(made.matchers, chooses))
        complain(at, "vector selector must contain at least one non-empty matcher",
                 "a metric name, or a matcher that refuses the empty string");
    return make(Type::vector, begin, std::move(made));
}

void Parser::matchers(Selector& into) {
    take();
    while (!is("}")) {
        if (into.matchers.size() == limits_.labels_max) too_many("matchers in one selector");
        one_matcher(into);
        if (!accept(",")) break;
    }
    expect("}", "to close the selector, or ',' before the next matcher");
}

void Parser::one_matcher(Selector& into) {
    const Token label = current_;
    Matcher matcher{label_name(label), MatchOp::equal, "", label.at, nullptr};
    take();
    if (label.kind == Token::Kind::string && (is(",") || is("}")))
        return take_metric_name(into, matcher.label, label.at);
    if (accept("="))
        matcher.op = MatchOp::equal;
    else if (accept("!="))
        matcher.op = MatchOp::not_equal;
    else if (accept("=~"))
        matcher.op = MatchOp::regex;
    else if (accept("!~"))
        matcher.op = MatchOp::not_regex;
    else
        unexpected("=, !=, =~ or !~ after the label");
    if (current_.kind != Token::Kind::string) unexpected("a string in quotes");
    const Token value = take();
    matcher.value = value.string;
    matcher.at = {label.at.offset, previous_end_ - label.at.offset};
    compile(matcher, value.at);
    into.matchers.push_back(std::move(matcher));
}

// A name that stands by itself excludes matchers of it. Without one, the first that is given by equality is
// the selector's name; further matchers of it stay matchers.
void Parser::check_metric_name(Selector& selector, std::size_t begin) {
    for (auto m = selector.matchers.begin(); m != selector.matchers.end(); ++m) {
        if (m->label != metric_name_label) continue;
        if (!selector.metric_name.empty()) {
            complain({begin, previous_end_ - begin}, "metric name must not be set twice: \"" +
                                                         selector.metric_name + "\" or \"" + m->value + "\"");
            return;
        }
        if (m->op != MatchOp::equal || m->value.empty()) continue;
        selector.metric_name = std::move(m->value);
        selector.matchers.erase(m);
        return;
    }
}

void Parser::take_metric_name(Selector& into, std::string name, Span at) {
    if (!into.metric_name.empty())
        complain(at, "metric name must not be set twice: \"" + into.metric_name + "\" or \"" + name + "\"");
    into.metric_name = std::move(name);
}

// ---- what may follow a primary

Expr Parser::postfix(Expr operand, bool bare) {
    for (;;) {
        if (is("["))
            operand = range_or_subquery(std::move(operand), bare);
        else if (is_word("offset"))
            offset(operand, bare);
        else if (is("@"))
            at_modifier(operand, bare);
        else {
            refuse_experimental({"anchored", "smoothed"});
            return operand;
        }
        bare = true;
    }
}

Expr Parser::range_or_subquery(Expr operand, bool bare) {
    const std::size_t bracket = take().at.offset;
    const Duration range = duration(true);
    if (accept(":")) return subquery(operand, range);
    expect("]", "to close the range, or ':' for a subquery");
    const Span at{bracket, previous_end_ - bracket};
    const auto* plain = std::get_if<Selector>(&operand.node);
    if (!plain || !bare || plain->range) {
        complain(at, "ranges only allowed for vector selectors",
                 "a range after a selector, or a subquery such as [5m:1m]");
        return operand;
    }
    if (plain->offset != Duration{})
        complain(at, "no offset modifiers allowed before range", "the range before them");
    else if (plain->at)
        complain(at, "no @ modifiers allowed before range", "the range before them");
    Selector made = *plain;
    made.range = range;
    return make(Type::matrix, operand.at.offset, std::move(made));
}

Expr Parser::subquery(const Expr& operand, Duration range) {
    Subquery made;
    made.range = range;
    if (!is("]")) made.step = duration(true);
    expect("]", "to close the subquery");
    if (operand.type != Type::vector)
        complain(operand.at,
                 "subquery is only allowed on instant vector, got " +
                     std::string(operand.type == Type::matrix ? "matrix" : to_text(operand.type)) +
                     " instead");
    made.inner = share(operand);
    return make(Type::matrix, operand.at.offset, std::move(made));
}

namespace {

// What `offset` and `@` change: of a selector that is not in parentheses, or of a subquery.
std::pair<Duration*, std::optional<AtModifier>*> shifted(Expr& operand, bool bare) {
    if (!bare) return {nullptr, nullptr};
    if (auto* selector = std::get_if<Selector>(&operand.node)) return {&selector->offset, &selector->at};
    if (auto* subquery = std::get_if<Subquery>(&operand.node)) return {&subquery->offset, &subquery->at};
    return {nullptr, nullptr};
}

} // namespace

void Parser::offset(Expr& operand, bool bare) {
    const std::size_t begin = take().at.offset;
    const bool negative = accept("-");
    if (!negative) accept("+");
    const Duration value = negative ? -duration(false) : duration(false);
    const Span at{begin, previous_end_ - begin};
    Duration* const target = shifted(operand, bare).first;
    if (!target)
        complain(at, "offset modifier must be preceded by an instant vector selector or range vector "
                     "selector or a subquery");
    else if (*target != Duration{})
        complain(at, "offset may not be set multiple times");
    else
        *target = value;
    operand.at.length = previous_end_ - operand.at.offset;
}

void Parser::at_modifier(Expr& operand, bool bare) {
    const std::size_t begin = take().at.offset;
    const AtModifier value = at_time();
    const Span at{begin, previous_end_ - begin};
    auto* const target = shifted(operand, bare).second;
    if (!target)
        complain(at, "@ modifier must be preceded by an instant vector selector or range vector selector or "
                     "a subquery");
    else if (*target)
        complain(at, "@ <timestamp> may not be set multiple times");
    else
        *target = value;
    operand.at.length = previous_end_ - operand.at.offset;
}

AtModifier Parser::at_time() {
    using Kind = AtModifier::Kind;
    if (is_word("start") || is_word("end")) {
        const Kind kind = is_word("start") ? Kind::start : Kind::end;
        take();
        expect("(", "after start or end");
        expect(")", "after start( or end(");
        return {kind, {}};
    }
    const bool negative = accept("-");
    if (!negative) accept("+");
    if (current_.kind != Token::Kind::number && current_.kind != Token::Kind::duration)
        unexpected("a time in seconds, start() or end()");
    const Token time = take();
    const double ms = (negative ? -time.number : time.number) * 1000.0;
    if (!(std::abs(ms) < 9e15)) fail(time.at, "the time is out of range");
    return {Kind::time, at_ms(std::llround(ms))};
}

// Durations that are computed are an experimental feature of Prometheus.
void Parser::refuse_duration_expression(std::initializer_list<std::string_view> symbols) const {
    if (std::ranges::any_of(symbols, [this](std::string_view symbol) { return is(symbol); }))
        fail(current_.at, "expressions of durations are experimental; they are not supported");
}

void Parser::refuse_experimental(std::initializer_list<std::string_view> words, std::string_view then) {
    if (std::ranges::none_of(words, [this](std::string_view word) { return is_word(word); })) return;
    const Token word = current_;
    if (!then.empty()) {
        Lexer ahead = lexer_;
        if (ahead.next().text != then) return;
    }
    fail(word.at, "modifier '" + std::string(word.text) + "' is experimental; it is not supported");
}

// </ and >/ cut native histograms.
void Parser::refuse_trim(const Token& comparison) const {
    if ((comparison.text == "<" || comparison.text == ">") && is("/") && current_.at.offset == previous_end_)
        fail({comparison.at.offset, 2}, "operator '" + std::string(comparison.text) +
                                            "/' is for native histograms; it is not supported");
}

// A sign is read in front of an offset by offset(), elsewhere here.
Duration Parser::duration(bool positive) {
    const Token sign = current_;
    const bool negative = positive && accept("-");
    if (positive && !negative) accept("+");
    refuse_duration_expression({"("});
    refuse_experimental({"step", "range", "min", "max", "min_of", "max_of"}, "(");
    if (current_.kind != Token::Kind::number && current_.kind != Token::Kind::duration)
        unexpected("a duration such as 100ms, 5m or 1h30m, or a number of seconds");
    const Token token = take();
    Duration value = token.duration;
    // A century is beyond every use, and far from overflow in all that is computed with it.
    constexpr double seconds_max = 100.0 * 365 * 86400;
    if (!(token.number <= seconds_max)) fail(token.at, "the duration is longer than 100 years");
    // As Prometheus does, whole nanoseconds are rounded to, and parts of a millisecond cut off.
    if (token.kind == Token::Kind::number) value = Duration{std::llround(token.number * 1e9) / 1'000'000};
    if (positive) refuse_duration_expression({"+", "-", "*", "/", "%", "^"});
    if (positive && (negative || value <= Duration{}))
        fail({sign.at.offset, token.at.end() - sign.at.offset}, "duration must be greater than 0");
    return value;
}

// ---- the public function

std::expected<Expr, std::vector<ParseError>> parse(std::string_view text, const ParseLimits& limits) {
    if (text.size() > limits.length_max) {
        const std::string what =
            "the expression is longer than " + std::to_string(limits.length_max) + " bytes";
        return std::unexpected(
            std::vector{ParseError{limits.length_max, text.size() - limits.length_max, what, ""}});
    }
    Parser parser(text, limits);
    std::optional<Expr> made;
    std::optional<ParseError> syntax_error;
    try {
        made = parser.parse_all();
    } catch (SyntaxError& error) {
        syntax_error = std::move(error.error);
    }
    std::vector<ParseError> errors = std::move(parser.errors());
    std::ranges::stable_sort(errors, {}, &ParseError::offset);
    if (syntax_error) errors.push_back(std::move(*syntax_error));
    if (!errors.empty()) return std::unexpected(std::move(errors));
    return std::move(*made);
}

} // namespace homeostat::promql
