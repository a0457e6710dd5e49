#include "policies/promql/literals.hpp"

#include "policies/promql/parser.hpp"

#include <gtest/gtest.h>

namespace homeostat::promql {
namespace {

Expr parsed(std::string_view text) { return parse(text).value(); }

// Every literal as "new".
Result<Expr> renewed(std::string_view text) {
    return with_literals(parsed(text), [](const std::string&, bool) { return Result<std::string>("new"); });
}

TEST(Literals, AreTheValuesOfMatchersAndStringArgumentsInSourceOrder) {
    const Expr expr =
        parsed("label_replace(rate(a{x='1',y=~'2.*'}[5m]), 'to', '$1', 'from', '(.*)') + on (x) b{z!='3'}");
    std::vector<std::string> found;
    for_each_literal(expr, [&](const std::string& literal, Span) { found.push_back(literal); });
    EXPECT_EQ(found, (std::vector<std::string>{"1", "2.*", "to", "$1", "from", "(.*)", "3"}));
}

TEST(Literals, AreReplacedEverywhereAndNothingElseIs) {
    EXPECT_EQ(to_text(*renewed(R"(sum by (x) (rate(a{x="old"}[5m] offset 1m))  > bool 5)")),
              to_text(parsed(R"(sum by (x) (rate(a{x="new"}[5m] offset 1m)) > bool 5)")));
    EXPECT_EQ(to_text(*renewed(R"(topk(2, -max_over_time(a{x!~"old"}[1h:1m])))")),
              to_text(parsed(R"(topk(2, -max_over_time(a{x!~"new"}[1h:1m])))")));
}

TEST(Literals, NeverBecomeSyntax) {
    const auto hostile = with_literals(
        parsed(R"(a{x="1"})"), [](const std::string&, bool) { return Result<std::string>("\"} or b{y=\""); });
    ASSERT_TRUE(hostile);
    const auto& selector = std::get<Selector>(hostile->node);
    ASSERT_EQ(selector.matchers.size(), 1U);
    EXPECT_EQ(selector.matchers[0].value, "\"} or b{y=\"");
}

TEST(Literals, ThatBecomeABadRegularExpressionAreRefused) {
    const auto bad = with_literals(parsed(R"(a{x=~"1"})"), [](const std::string&, bool is_regex) {
        EXPECT_TRUE(is_regex);
        return Result<std::string>("(");
    });
    ASSERT_FALSE(bad);
    EXPECT_NE(bad.error().what.find("regular expression"), std::string::npos);
}

TEST(Literals, AnErrorOfTheChangeIsTheResult) {
    const auto failed =
        with_literals(parsed(R"(a{x="1"})"), [](const std::string&, bool) -> Result<std::string> {
            return failure("no such label");
        });
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().what, "no such label");
}

} // namespace
} // namespace homeostat::promql
