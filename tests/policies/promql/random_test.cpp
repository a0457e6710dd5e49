// Expressions of random tokens: whatever is thrown at the parser and the evaluator, they answer.
#include "policies/promql/evaluate.hpp"
#include "policies/promql/introspect.hpp"
#include "policies/promql/parser.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace homeostat::promql {
namespace {

constexpr std::array<std::string_view, 64> tokens{"a",
                                                  "b",
                                                  "{x=\"1\"}",
                                                  "{x=~\"1|2\"}",
                                                  "(",
                                                  ")",
                                                  "[5s]",
                                                  "[4s:1s]",
                                                  "+",
                                                  "-",
                                                  "*",
                                                  "/",
                                                  "%",
                                                  "^",
                                                  "==",
                                                  "!=",
                                                  "<",
                                                  ">",
                                                  "bool",
                                                  "and",
                                                  "or",
                                                  "unless",
                                                  "on",
                                                  "(x)",
                                                  "()",
                                                  "by",
                                                  "without",
                                                  "group_left",
                                                  "sum",
                                                  "topk(1,",
                                                  "rate(",
                                                  "absent(",
                                                  "offset",
                                                  "1s",
                                                  "@",
                                                  "5",
                                                  "1.5",
                                                  "200k",
                                                  "Inf",
                                                  "NaN",
                                                  "\"s\"",
                                                  "'x'",
                                                  ",",
                                                  "time()",
                                                  "vector(1)",
                                                  "abs(",
                                                  "sort(",
                                                  "max_over_time(",
                                                  "{",
                                                  "}",
                                                  "[",
                                                  "]",
                                                  ":",
                                                  "label_replace(",
                                                  "#",
                                                  "`",
                                                  "\n",
                                                  "atan2",
                                                  "ignoring",
                                                  "group_right",
                                                  "count_values(\"v\",",
                                                  "0x",
                                                  "end()",
                                                  "$"};

// Text that is an expression more often than not.
std::string operand(std::mt19937& random, int depth) {
    constexpr std::array<std::string_view, 8> leaves{"a",           "b",      "a{x=\"1\"}", "1",
                                                     "b offset 1s", "time()", "-a",         "c"};
    constexpr std::array<std::string_view, 10> calls{
        "rate(%[3s])", "sum by (x) (%)",          "abs(%)", "topk(1, %)", "absent(%)",
        "sort(%)",     "sum_over_time(%[3s:1s])", "(%)",    "-(%)",       "quantile(0.5, %)"};
    constexpr std::array<std::string_view, 9> operators{" + ",      " > ", " and ",      " or ", " unless ",
                                                        " > bool ", " / ", " * on (x) ", " ^ "};
    const auto pick = [&random](const auto& from) { return std::string(from[random() % from.size()]); };
    if (depth == 0) return pick(leaves);
    if (random() % 2 == 0) {
        std::string call = pick(calls);
        return call.replace(call.find('%'), 1, operand(random, depth - 1));
    }
    return operand(random, depth - 1) + pick(operators) + operand(random, depth - 1);
}

SeriesStore small_store() {
    SeriesStore store;
    store.set_retention([](const Labels&) { return Duration(60'000); });
    for (const char* name : {"a", "b"})
        for (const char* x : {"1", "2"})
            for (int t = 1; t < 8; ++t)
                store.append(*store.define(Labels{{"__name__", name}, {"x", x}}),
                             at_ms(std::int64_t{1000} * t), t == 4 ? stale_marker : t);
    return store;
}

// Returns whether the text was an expression.
bool try_all(const std::string& text, const SeriesStore& store) {
    const auto expr = parse(text);
    if (!expr) {
        EXPECT_FALSE(expr.error().empty());
        for (const ParseError& error : expr.error())
            EXPECT_LE(error.offset + error.length, text.size()) << text << ": " << error.what;
        return false;
    }
    EXPECT_EQ(expr->at.offset + expr->at.length, expr->at.end());
    EXPECT_LE(expr->at.end(), text.size());
    const std::string canonical = to_text(*expr);
    const auto again = parse(canonical);
    if (!again) {
        ADD_FAILURE() << text << " became " << canonical << ": " << again.error()[0].what;
        return true;
    }
    EXPECT_EQ(to_text(*again), canonical) << text;
    const auto result = evaluate(*expr, store, at_ms(7000), {.samples_max = 100'000});
    const auto present = evaluate(presence(*expr), store, at_ms(7000), {.samples_max = 100'000});
    EXPECT_TRUE(result || !result.error().what.empty());
    EXPECT_TRUE(present || !present.error().what.empty());
    return true;
}

TEST(Random, TokensInAnyOrderAreAnswered) {
    std::mt19937 random(1);
    const SeriesStore store = small_store();
    for (int i = 0; i < 20'000; ++i) {
        std::string text;
        for (std::size_t n = 1 + random() % 12; n > 0; --n) {
            text += tokens[random() % tokens.size()];
            text += ' ';
        }
        try_all(text, store);
    }
}

TEST(Random, GrammaticalExpressionsPrintAndEvaluate) {
    std::mt19937 random(2);
    const SeriesStore store = small_store();
    int expressions = 0;
    for (int i = 0; i < 5'000; ++i) expressions += try_all(operand(random, 3), store) ? 1 : 0;
    EXPECT_GT(expressions, 500);
}

} // namespace
} // namespace homeostat::promql
