// The string literals of an expression: the values of its matchers, and string arguments. They alone may hold
// templates, which are bound after parsing, so that a label's value can never become syntax.
#pragma once

#include "knowledge/error.hpp"
#include "policies/promql/ast.hpp"

#include <functional>
#include <string>

namespace homeostat::promql {

// In source order.
void for_each_literal(const Expr& expr,
                      const std::function<void(const std::string& literal, Span at)>& visit);

// The expression with each literal replaced. `change` also learns whether it is a regular expression. Fails
// where `change` does, or where a changed regular expression is none.
using LiteralChange = std::function<Result<std::string>(const std::string& literal, bool is_regex)>;
Result<Expr> with_literals(const Expr& expr, const LiteralChange& change);

} // namespace homeostat::promql
