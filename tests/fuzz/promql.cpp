#include "policies/promql/introspect.hpp"
#include "policies/promql/parser.hpp"
#include "tests/fuzz/target.hpp"

#include <algorithm>

namespace homeostat::fuzz {

namespace {

std::string wrong_errors(std::string_view text, const std::vector<promql::ParseError>& errors) {
    if (errors.empty()) return "neither an expression nor an error";
    for (const promql::ParseError& error : errors) {
        if (error.what.empty()) return "an error without words";
        if (error.offset > text.size() || error.length > text.size() - error.offset)
            return "a place outside the text: " + error.what;
    }
    return "";
}

// What is printed must mean the same.
std::string wrong_print(const promql::Expr& expr) {
    const std::string printed = promql::to_text(expr);
    const auto again = promql::parse(printed, {.length_max = printed.size()});
    if (!again) return "'" + printed + "' does not read back: " + again.error().front().what;
    if (promql::to_text(*again) != printed)
        return "'" + printed + "' reads back as '" + promql::to_text(*again) + "'";
    return again->type == expr.type ? "" : "'" + printed + "' reads back as another type";
}

std::string wrong_selectors(const promql::Expr& expr, std::string_view text) {
    Duration longest{0};
    for (const promql::SelectorNeed& need : promql::selectors(expr)) {
        if (need.at.end() > text.size()) return "a selector outside the text";
        if (need.history < Duration{0}) return "a negative history";
        longest = std::max(longest, need.history);
    }
    return longest == promql::longest_window(expr) ? "" : "the longest window is not the longest history";
}

} // namespace

std::string promql(std::string_view bytes) {
    const auto expr = promql::parse(bytes);
    if (!expr) return wrong_errors(bytes, expr.error());
    if (expr->at.end() > bytes.size()) return "an expression outside the text";
    if (std::string wrong = wrong_print(*expr); !wrong.empty()) return wrong;
    if (promql::to_text(promql::presence(*expr)).empty()) return "P(e) has no text";
    return wrong_selectors(*expr, bytes);
}

} // namespace homeostat::fuzz
