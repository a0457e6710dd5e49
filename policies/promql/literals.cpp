#include "policies/promql/literals.hpp"

#include "policies/promql/parser.hpp"

#include <utility>

namespace homeostat::promql {

namespace {

bool is_regex(const Matcher& matcher) {
    return matcher.op == MatchOp::regex || matcher.op == MatchOp::not_regex;
}

// The same tree with other literals; their regular expressions are not compiled.
class Rewriter {
  public:
    explicit Rewriter(const LiteralChange& change) : change_(change) {}

    Expr rewrite(const Expr& expr) {
        Expr made = expr;
        if (auto* string = std::get_if<StringLiteral>(&made.node)) {
            apply(string->value, false);
        } else if (auto* selector = std::get_if<Selector>(&made.node)) {
            for (Matcher& matcher : selector->matchers) apply(matcher.value, is_regex(matcher));
        } else if (auto* subquery = std::get_if<Subquery>(&made.node)) {
            subquery->inner = share(subquery->inner);
        } else if (auto* negation = std::get_if<Negation>(&made.node)) {
            negation->inner = share(negation->inner);
        } else if (auto* binary = std::get_if<Binary>(&made.node)) {
            binary->left = share(binary->left);
            binary->right = share(binary->right);
        } else if (auto* aggregation = std::get_if<Aggregation>(&made.node)) {
            aggregation->operand = share(aggregation->operand);
            aggregation->parameter = share(aggregation->parameter);
        } else if (auto* call = std::get_if<Call>(&made.node)) {
            for (ExprPtr& argument : call->arguments) argument = share(argument);
        }
        return made;
    }

    const Result<void>& result() const { return result_; }

  private:
    ExprPtr share(const ExprPtr& expr) {
        return expr ? std::make_shared<const Expr>(rewrite(*expr)) : nullptr;
    }

    void apply(std::string& literal, bool regex) {
        auto changed = change_(literal, regex);
        if (changed)
            literal = std::move(*changed);
        else if (result_)
            result_ = std::unexpected(changed.error());
    }

    const LiteralChange& change_;
    Result<void> result_;
};

} // namespace

void for_each_literal(const Expr& expr,
                      const std::function<void(const std::string& literal, Span at)>& visit) {
    if (const auto* string = std::get_if<StringLiteral>(&expr.node)) visit(string->value, expr.at);
    if (const auto* selector = std::get_if<Selector>(&expr.node))
        for (const Matcher& matcher : selector->matchers) visit(matcher.value, matcher.at);
    for_each_child(expr, [&](const Expr& child) { for_each_literal(child, visit); });
}

Result<Expr> with_literals(const Expr& expr, const LiteralChange& change) {
    Rewriter rewriter(change);
    const Expr changed = rewriter.rewrite(expr);
    if (!rewriter.result()) return std::unexpected(rewriter.result().error());
    // The canonical text quotes every literal, and reading it again compiles them.
    auto parsed = parse(to_text(changed));
    if (!parsed) return failure(parsed.error().front().what);
    return std::move(*parsed);
}

} // namespace homeostat::promql
