// The recursive-descent parser behind parse(). Internal to this folder.
#pragma once

#include "policies/promql/functions.hpp"
#include "policies/promql/lexer.hpp"

#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

namespace homeostat::promql {

struct AggregateInfo {
    std::string_view name;
    AggregateOp op;
    std::optional<Type> parameter; // none: takes no parameter
};

struct BinaryInfo {
    std::string_view name;
    BinaryOp op;
    int precedence;
    bool right_associative = false;
};

const AggregateInfo* find_aggregate(std::string_view name); // in any case of letters
const AggregateInfo& info(AggregateOp op);
const BinaryInfo* find_binary(std::string_view name); // in any case of letters
const BinaryInfo& info(BinaryOp op);

std::string with_article(Type type); // "an instant vector"

// Unary minus binds as `*` does: tighter than what stands below it in the table of operators, looser than
// `^`.
inline constexpr int unary_precedence = 5;

class Parser {
  public:
    Parser(std::string_view text, const ParseLimits& limits);

    Expr parse_all(); // throws SyntaxError
    std::vector<ParseError>& errors() { return errors_; }

  private:
    // grammar
    Expr expression(int precedence_min);
    Expr unary();
    Expr primary();
    Expr postfix(Expr operand, bool bare);
    Expr parenthesised();
    Expr named(const Token& name);
    Expr call(const Token& name);
    std::vector<ExprPtr> arguments(std::string_view of);
    Expr aggregation(const AggregateInfo& aggregate, const Token& name);
    Expr selector(std::size_t begin, std::string metric_name);
    void matchers(Selector& into);
    void one_matcher(Selector& into);
    void check_metric_name(Selector& selector, std::size_t begin);
    void take_metric_name(Selector& into, std::string name, Span at);
    Expr range_or_subquery(Expr operand, bool bare);
    Expr subquery(const Expr& operand, Duration range);
    void offset(Expr& operand, bool bare);
    void at_modifier(Expr& operand, bool bare);
    AtModifier at_time();
    Duration duration(bool positive);
    void refuse_duration_expression(std::initializer_list<std::string_view> symbols) const;
    void refuse_trim(const Token& comparison) const;
    void refuse_experimental(std::initializer_list<std::string_view> words, std::string_view then = "");
    void grouping(Aggregation& into);
    VectorMatching matching(const BinaryInfo& op, bool& has_modifier);
    std::vector<std::string> label_list();
    std::string label_name(const Token& token);

    // types, in type_check.cpp: they collect errors and go on
    Expr make(Type type, std::size_t begin, Expr::Node node);
    Expr make_binary(const BinaryInfo& op, Expr left, Expr right, bool returns_bool, VectorMatching matching,
                     std::optional<Span> matching_at);
    void check_binary(const Binary& binary, std::string_view op, std::optional<Span> matching_at);
    void check_call(const Function& function, const Call& call, Span at);
    void check_aggregation(const AggregateInfo& aggregate, const Aggregation& aggregation, Span at);
    void expect_type(const Expr& expr, Type wanted, const std::string& where);
    void compile(Matcher& matcher, Span value_at);

    // tokens
    bool is(std::string_view symbol) const;
    bool is_word(std::string_view keyword) const;
    bool accept(std::string_view symbol);
    void expect(std::string_view symbol, std::string_view where);
    Token take();
    void complain(Span at, std::string what, std::string expected = "");
    [[noreturn]] void fail(Span at, std::string what, std::string expected = "") const;
    [[noreturn]] void too_many(const std::string& things) const;
    [[noreturn]] void unexpected(std::string expected) const;
    void enter();

    const ParseLimits limits_;
    Lexer lexer_;
    Token current_;
    std::size_t previous_end_ = 0;
    std::size_t depth_ = 0;
    std::size_t regex_size_ = 0; // of all so far
    std::vector<ParseError> errors_;
};

} // namespace homeostat::promql
