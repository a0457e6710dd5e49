#include "policies/promql/parser.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace homeostat::promql {
namespace {

using Errors = std::vector<ParseError>;

Expr parsed(std::string_view text) {
    auto made = parse(text);
    if (made) return *made;
    ADD_FAILURE() << text << ": " << made.error().front().what << " at " << made.error().front().offset;
    return Expr{Type::scalar, {}, NumberLiteral{}};
}

Errors errors_of(std::string_view text, const ParseLimits& limits = {}) {
    auto made = parse(text, limits);
    if (!made) return made.error();
    ADD_FAILURE() << text << " parses";
    return {ParseError{}};
}

// The tree with every operator in parentheses.
std::string tree(const Expr& expr) {
    if (const auto* binary = std::get_if<Binary>(&expr.node))
        return "(" + tree(*binary->left) + " " + std::string(to_text(binary->op)) + " " +
               tree(*binary->right) + ")";
    if (const auto* negation = std::get_if<Negation>(&expr.node)) return "(-" + tree(*negation->inner) + ")";
    return to_text(expr);
}

std::string tree(std::string_view text) { return tree(parsed(text)); }

double number(std::string_view text) {
    const Expr expr = parsed(text);
    const auto* literal = std::get_if<NumberLiteral>(&expr.node);
    if (literal) return literal->value;
    ADD_FAILURE() << text << " is no number";
    return 0;
}

std::string string(std::string_view text) {
    const Expr expr = parsed(text);
    const auto* literal = std::get_if<StringLiteral>(&expr.node);
    if (literal) return literal->value;
    ADD_FAILURE() << text << " is no string";
    return "";
}

const Selector& selector(const Expr& expr) { return std::get<Selector>(expr.node); }

TEST(Parser, PowerBindsTighterThanUnaryMinus) {
    EXPECT_EQ(tree("-a ^ 2"), "(-(a ^ 2))");
    EXPECT_EQ(tree("2 ^ -a * 3"), "((2 ^ (-a)) * 3)");
}

TEST(Parser, PowerIsRightAssociativeAndTheOthersLeft) {
    EXPECT_EQ(tree("a ^ b ^ c"), "(a ^ (b ^ c))");
    EXPECT_EQ(tree("a - b - c"), "((a - b) - c)");
    EXPECT_EQ(tree("a / b * c % d atan2 e"), "((((a / b) * c) % d) atan2 e)");
    EXPECT_EQ(tree("a unless b and c"), "((a unless b) and c)");
}

TEST(Parser, OperatorsBindAsInPrometheus) {
    EXPECT_EQ(tree("a or b and c > d + e * f ^ g"), "(a or (b and (c > (d + (e * (f ^ g))))))");
    EXPECT_EQ(tree("a * b + c == d unless e or f"), "(((((a * b) + c) == d) unless e) or f)");
    EXPECT_EQ(tree("-a * b"), "((-a) * b)");
}

TEST(Parser, ParenthesesLeaveNoNodeButWidenTheSpan) {
    const Expr expr = parsed("( a + b ) * c");
    EXPECT_EQ(tree(expr), "((a + b) * c)");
    EXPECT_EQ(std::get<Binary>(expr.node).left->at, (Span{0, 9}));
}

TEST(Parser, EveryNodeKnowsItsBytes) {
    const Expr expr = parsed("sum by (x) (rate(foo{a=\"b\"}[5m] offset 1m)) > 3");
    EXPECT_EQ(expr.at, (Span{0, 47}));
    const auto& comparison = std::get<Binary>(expr.node);
    EXPECT_EQ(comparison.right->at, (Span{46, 1}));
    const auto& sum = std::get<Aggregation>(comparison.left->node);
    EXPECT_EQ(comparison.left->at, (Span{0, 43}));
    EXPECT_EQ(sum.operand->at, (Span{12, 30}));
    const auto& rate = std::get<Call>(sum.operand->node);
    EXPECT_EQ(rate.arguments[0]->at, (Span{17, 24}));
    EXPECT_EQ(selector(*rate.arguments[0]).matchers[0].at, (Span{21, 5}));
}

TEST(Parser, EveryNodeKnowsItsType) {
    EXPECT_EQ(parsed("1 + 2").type, Type::scalar);
    EXPECT_EQ(parsed("1 + a").type, Type::vector);
    EXPECT_EQ(parsed("a[5m]").type, Type::matrix);
    EXPECT_EQ(parsed("a[5m:]").type, Type::matrix);
    EXPECT_EQ(parsed("'text'").type, Type::string);
    EXPECT_EQ(parsed("scalar(a)").type, Type::scalar);
    EXPECT_EQ(parsed("-rate(a[1m])").type, Type::vector);
}

TEST(Parser, NumbersAreReadAsPrometheusReadsThem) {
    EXPECT_EQ(number("12.5e-3"), 12.5e-3);
    EXPECT_EQ(number("0x1F"), 31);
    EXPECT_EQ(number(".5"), 0.5);
    EXPECT_EQ(number("2."), 2);
    EXPECT_EQ(number("1_000_000"), 1e6);
    EXPECT_EQ(number("0755"), 493);
    EXPECT_EQ(number("089"), 89);
    EXPECT_EQ(number("-InF"), -std::numeric_limits<double>::infinity());
    EXPECT_TRUE(std::isnan(number("nan")));
}

TEST(Parser, DurationsAreNumbersOfSeconds) {
    EXPECT_EQ(number("5m"), 300);
    EXPECT_EQ(number("1h30m"), 5400);
    EXPECT_EQ(number("100ms"), 0.1);
}

TEST(Parser, SuffixesMultiplyNumbersAndLeaveDurationsAlone) {
    EXPECT_EQ(number("200k"), 200e3);
    EXPECT_EQ(number("1.5M"), 1.5e6);
    EXPECT_EQ(number("1M"), 1e6);
    EXPECT_EQ(number("1m"), 60);
    EXPECT_EQ(number("3G"), 3e9);
    EXPECT_EQ(number("2T"), 2e12);
    EXPECT_EQ(number("4Ki"), 4096);
    EXPECT_EQ(number("1Mi"), 1048576);
    EXPECT_EQ(number("2Gi"), 2147483648.0);
    EXPECT_EQ(number("1Ti"), 1099511627776.0);
}

TEST(Parser, BadNumbersAreRefusedWhole) {
    for (const char* text : {"1.5m", "5x", "1__0", "1_", "0xg", "1m1h", "10kk", "1e", "0x"}) {
        const Errors errors = errors_of(text);
        EXPECT_EQ(errors[0].offset, 0U) << text;
        EXPECT_EQ(errors[0].length, std::string_view(text).size()) << text;
        EXPECT_NE(errors[0].expected.find("5m"), std::string::npos) << text;
    }
}

TEST(Parser, StringsHaveGoEscapes) {
    EXPECT_EQ(string(R"("a\n\t\\\"\x41\101\u00e9\U0001F600'")"), "a\n\t\\\"AA\u00e9\U0001F600'");
    EXPECT_EQ(string(R"('it\'s "so"')"), "it's \"so\"");
    EXPECT_EQ(string("`raw \\n\nlines`"), "raw \\n\nlines");
}

TEST(Parser, BadStringsTellWhere) {
    EXPECT_EQ(errors_of("\"open")[0].what, "the string is not closed");
    EXPECT_EQ(errors_of("\"two\nlines\"")[0].what, "the string is not closed on its line");
    const ParseError error = errors_of(R"("ab\qc")")[0];
    EXPECT_EQ(error.offset, 3U);
    EXPECT_EQ(error.length, 2U);
    for (const char* text : {R"("\xg0")", R"("\ud800")", R"("\400")", R"("\'")", R"("\x4")"})
        EXPECT_EQ(errors_of(text)[0].what, "unknown escape sequence in a string") << text;
}

TEST(Parser, CommentsEndWithTheLine) { EXPECT_EQ(tree("a # + b\n + c # d"), "(a + c)"); }

TEST(Parser, SelectorsHaveFourMatchers) {
    const Expr expr = parsed(R"(foo{a="1", b!="2", c=~"3|4", d!~"5.*",})");
    const auto& matchers = selector(expr).matchers;
    ASSERT_EQ(matchers.size(), 4U);
    EXPECT_TRUE(matchers[0].matches("1"));
    EXPECT_TRUE(matchers[1].matches("1"));
    EXPECT_TRUE(matchers[2].matches("4"));
    EXPECT_FALSE(matchers[2].matches("34")); // anchored at both ends
    EXPECT_FALSE(matchers[3].matches("5\n"));
    EXPECT_TRUE(matchers[3].matches(""));
}

TEST(Parser, TheMetricNameMayStandInBraces) {
    EXPECT_EQ(selector(parsed(R"({__name__="foo"})")).metric_name, "foo");
    EXPECT_EQ(selector(parsed(R"({"foo.bar", a="b"})")).metric_name, "foo.bar");
    EXPECT_EQ(selector(parsed(R"({__name__=~"foo|bar"})")).metric_name, "");
    EXPECT_EQ(selector(parsed("job:foo:rate5m")).metric_name, "job:foo:rate5m");
}

TEST(Parser, KeywordsMayBeMetricsAndLabels) {
    EXPECT_EQ(selector(parsed("sum")).metric_name, "sum");
    EXPECT_EQ(tree("by + offset"), "(by + offset)");
    EXPECT_EQ(parsed("sum by (on, by) (bool)").type, Type::vector);
}

TEST(Parser, ASelectorMustRefuseTheEmptyString) {
    for (const char* text : {"{}", R"({a=""})", R"({a=~".*"})", R"({a!="b"})"})
        EXPECT_EQ(errors_of(text)[0].what, "vector selector must contain at least one non-empty matcher")
            << text;
}

TEST(Parser, ABadRegularExpressionTellsWhereItStands) {
    const Errors errors = errors_of(R"(foo{a=~"(", b=~"["})");
    ASSERT_EQ(errors.size(), 2U);
    EXPECT_EQ(errors[0].offset, 7U);
    EXPECT_EQ(errors[0].length, 3U);
    EXPECT_EQ(errors[1].offset, 15U);
}

TEST(Parser, RangesOffsetsAndTimesAreRead) {
    const Expr expr = parsed("foo[5m] offset -1m30s @ 12.5");
    EXPECT_EQ(selector(expr).range, Duration(300'000));
    EXPECT_EQ(selector(expr).offset, Duration(-90'000));
    EXPECT_EQ(selector(expr).at->time, at_ms(12'500));
    EXPECT_EQ(selector(parsed("foo[90]")).range, Duration(90'000));
    EXPECT_EQ(selector(parsed("foo @ end() offset 5m")).at->kind, AtModifier::Kind::end);
    const Expr subquery = parsed("sum(foo)[10m:30s] offset 1m");
    EXPECT_EQ(std::get<Subquery>(subquery.node).step, Duration(30'000));
    EXPECT_EQ(std::get<Subquery>(subquery.node).offset, Duration(60'000));
    EXPECT_FALSE(std::get<Subquery>(parsed("foo[10m:]").node).step);
}

TEST(Parser, RangesAndOffsetsStandOnlyAfterSelectors) {
    for (const char* text :
         {"(foo)[5m]", "sum(foo)[5m]", "1 offset 5m", "(foo) offset 5m", "foo offset 5m [5m]",
          "foo[5m] [5m:]", "foo offset 1m offset 2m", "1[5m:]", "(foo) @ 5", "foo @ 1 @ 2"})
        EXPECT_FALSE(parse(text)) << text;
    for (const char* text : {"foo[0]", "foo[0s]", "foo[5m:0s]", "foo[200y]", "foo[-5m]", "foo[]", "foo[:1m]"})
        EXPECT_FALSE(parse(text)) << text;
}

TEST(Parser, MatchingModifiersAreRead) {
    const Expr expr = parsed("a > bool on (x, y) group_left (z) b");
    const auto& binary = std::get<Binary>(expr.node);
    EXPECT_TRUE(binary.returns_bool);
    EXPECT_TRUE(binary.matching.on);
    EXPECT_EQ(binary.matching.labels, (std::vector<std::string>{"x", "y"}));
    EXPECT_EQ(binary.matching.include, std::vector<std::string>{"z"});
    EXPECT_EQ(binary.matching.cardinality, VectorMatching::Cardinality::many_to_one);
}

TEST(Parser, GroupingStandsBeforeOrAfterTheOperand) {
    EXPECT_EQ(to_text(parsed("SUM(a) BY (x, y)")), "sum by (x, y) (a)");
    EXPECT_EQ(to_text(parsed("sum without (x) (a)")), "sum without (x) (a)");
    EXPECT_EQ(to_text(parsed("topk(3, a) without ()")), "topk without () (3, a)");
}

TEST(Parser, AllTypeErrorsOfAnExpressionAreToldInOrder) {
    const Errors errors = errors_of("rate(foo) + abs('x') + nosuch(1) + (1 > 2)");
    ASSERT_EQ(errors.size(), 4U);
    EXPECT_EQ(errors[0],
              (ParseError{5, 3, "expected type range vector in call to function \"rate\", got instant vector",
                          ""}));
    EXPECT_EQ(errors[1].offset, 16U);
    EXPECT_EQ(errors[2].what, "unknown function with name \"nosuch\"");
    EXPECT_EQ(errors[3].expected, "'> bool'");
}

TEST(Parser, ASyntaxErrorComesAfterTheTypeErrorsBeforeIt) {
    const Errors errors = errors_of("rate(foo) + + )");
    ASSERT_EQ(errors.size(), 2U);
    EXPECT_EQ(errors[0].offset, 5U);
    EXPECT_EQ(errors[1].offset, 14U);
    EXPECT_EQ(errors[1].what, "unexpected ')'");
}

TEST(Parser, OperandsAreChecked) {
    for (const char* text : {"1 and 2", "a or 1", "a[5m] + 1", "'x' + 1", "-'x'", "-a[5m]", "1 + on (x) a",
                             "a + bool b", "a and on (x) group_left b", "a + on (x) group_left (x) b"})
        EXPECT_FALSE(parse(text)) << text;
}

TEST(Parser, ArgumentsAreCounted) {
    const auto told = [](std::string_view text) { return errors_of(text)[0].what; };
    EXPECT_EQ(told("rate()"), "expected 1 argument(s) in call to \"rate\", got 0");
    EXPECT_EQ(told("round(a, 1, 2)"), "expected at most 2 argument(s) in call to \"round\", got 3");
    EXPECT_EQ(told("label_join(a, 'x')"), "expected at least 3 argument(s) in call to \"label_join\", got 2");
    EXPECT_EQ(told("time(1)"), "expected 0 argument(s) in call to \"time\", got 1");
    EXPECT_EQ(told("topk(a)"),
              "wrong number of arguments for aggregate expression provided, expected 2, got 1");
    EXPECT_EQ(parsed("label_join(a, 'x', ',', 'b', 'c', 'd')").type, Type::vector);
    EXPECT_EQ(parsed("label_join(a, 'x', ',')").type, Type::vector);
}

TEST(Parser, AnUnknownFunctionNamesTheNearestOne) {
    EXPECT_EQ(errors_of("rates(foo[5m])")[0].expected, "'rate'");
    EXPECT_EQ(errors_of("qqqqqqqqqqqqqqqq(foo)")[0].expected, "");
}

TEST(Parser, ExperimentalFunctionsAreRefusedAsSuch) {
    EXPECT_NE(errors_of("mad_over_time(foo[5m])")[0].what.find("not supported"), std::string::npos);
    EXPECT_NE(errors_of("histogram_avg(foo)")[0].what.find("native histograms"), std::string::npos);
}

TEST(Parser, ExperimentalSyntaxIsRefusedAsSuch) {
    for (const char* text : {"limitk by (x) (1, a)",
                             "limitk(1, a) by (x)",
                             "limit_ratio(0.5, a)",
                             "a[5m] smoothed",
                             "rate(a[5m] anchored)",
                             "a + fill(0) b",
                             "a + on (x) fill_left(0) b",
                             "a[5m + 1m]",
                             "a[(5m)]",
                             "a[5m:1m * 2]",
                             "a offset (1m)",
                             "a offset step()",
                             "a[range()]",
                             "sort_by_label(a, 'x')",
                             "a[-5m + 10m]",
                             "a[-(5m)]",
                             "a[5m:+step()]",
                             "a[min_of(5m, 1m)]",
                             "a offset -max_of(5m, 1m)",
                             "start()",
                             "vector(end())",
                             "range()",
                             "integral(a[5m])",
                             "a >/ -Inf",
                             "a </ 5",
                             "sum(a >/ 5)"})
        EXPECT_NE(errors_of(text)[0].what.find("not supported"), std::string::npos) << text;
    EXPECT_EQ(tree("a + fill"), "(a + fill)");
    EXPECT_EQ(tree("start + a"), "(start + a)");
    EXPECT_EQ(errors_of("a < / 5")[0].what, "unexpected '/'");
    EXPECT_EQ(tree("a offset 5m + 1"), "(a offset 5m + 1)");
    EXPECT_EQ(tree("start + end"), "(start + end)");
}

TEST(Parser, AnEmptyMatchBesideAScalarMeansNothing) {
    EXPECT_EQ(tree("a + on () group_left (b) 1"), "(a + 1)");
    EXPECT_EQ(tree("1 > ignoring () a"), "(1 > a)");
}

TEST(Parser, ADurationMayHaveASign) {
    EXPECT_EQ(tree("a[+5m]"), tree("a[5m]"));
    EXPECT_EQ(tree("a[5m:+1m]"), tree("a[5m:1m]"));
    EXPECT_EQ(tree("a[0.0019]"), tree("a[1ms]"));
    EXPECT_EQ(tree("a[1.001]"), tree("a[1001ms]"));
    const ParseError negative = errors_of("rate(a[ -5m])")[0];
    EXPECT_EQ(negative.what, "duration must be greater than 0");
    EXPECT_EQ(negative.offset, 8U);
    EXPECT_EQ(negative.length, 3U);
}

TEST(Parser, AMetricNameIsGivenOnce) {
    for (const char* text :
         {R"(foo{__name__="bar"})", R"(foo{__name__=~"bar"})", R"({"foo", __name__="bar"})",
          R"({__name__="bar", "foo"})", R"(foo{"bar"})", R"({"foo", "bar"})"})
        EXPECT_TRUE(errors_of(text)[0].what.starts_with("metric name must not be set twice: ")) << text;
    EXPECT_EQ(selector(parsed(R"({__name__="foo", __name__!="bar"})")).matchers.size(), 1U);
}

TEST(Parser, TrailingCommasStandInLabelsOnly) {
    for (const char* text : {"sum(a,)", "abs(a,)", "topk(1, a,)", "a{,}", "sum by (,) (a)", "time(,)"})
        EXPECT_FALSE(parse(text)) << text;
    for (const char* text : {"sum by (x,) (a)", "a{x='1',}", "a + on (x,) b"})
        EXPECT_TRUE(parse(text)) << text;
}

TEST(Parser, ANumberTooSmallToTellFromZeroIsZero) {
    EXPECT_EQ(number("1e-400"), 0);
    EXPECT_FALSE(parse("1e400"));
}

TEST(Parser, AnExpressionThatEndsTooEarlySaysSo) {
    for (const char* text :
         {"", "a +", "sum(", "foo{", "foo{a", "foo{a=", "foo[5m", "a > on", "# only a comment"}) {
        const ParseError error = errors_of(text).back();
        EXPECT_EQ(error.what, "the expression ends too early") << text;
        EXPECT_FALSE(error.expected.empty()) << text;
    }
}

TEST(Parser, StrayTextIsRefused) {
    for (const char* text : {"a b", "1 2", "a)", "foo{a==\"b\"}", "foo{a=b}", "a $ b", "foo{1=\"a\"}",
                             "a ! b", "sum(a) by x", "5m5", "foo bar{}", "a = b"})
        EXPECT_FALSE(parse(text)) << text;
}

TEST(Parser, LengthAndDepthHaveLimits) {
    EXPECT_EQ(errors_of("a + b", {.length_max = 4, .depth_max = 10})[0].what,
              "the expression is longer than 4 bytes");
    const std::string deep = "nested deeper than 100 levels";
    EXPECT_EQ(errors_of(std::string(1000, '(') + "a")[0].what, deep);
    EXPECT_EQ(errors_of(std::string(60'000, '-') + "a")[0].what, deep);
    std::string chain = "a";
    for (int i = 0; i < 200; ++i) chain += " + a";
    EXPECT_EQ(errors_of(chain)[0].what, deep);
    std::string calls = "a";
    for (int i = 0; i < 200; ++i) calls = "abs(" + calls + ")";
    EXPECT_EQ(errors_of(calls)[0].what, deep);
}

std::string repeated(std::string_view text, int times, std::string_view between = "") {
    std::string made;
    for (int i = 0; i < times; ++i) (made += i == 0 ? "" : between) += text;
    return made;
}

TEST(Parser, ListsHaveALimit) {
    parsed("sum by (" + repeated("x", 64, ",") + ") (a)");
    EXPECT_EQ(errors_of("sum by (" + repeated("x", 65, ",") + ") (a)")[0].what,
              "more than 64 labels in one list");
    EXPECT_EQ(errors_of("a{" + repeated("x=\"1\"", 65, ",") + "}")[0].what,
              "more than 64 matchers in one selector");
}

TEST(Parser, MistakesHaveALimit) {
    const Errors errors = errors_of("label_join(a, " + repeated("none()", 1'000, ",") + ")");
    EXPECT_EQ(errors.size(), 101U);
    EXPECT_EQ(errors.back().what, "more than 100 mistakes; the rest is not read");
}

TEST(Parser, TheRegularExpressionsOfAnExpressionAreLimitedTogether) {
    const std::string large = "too large";
    EXPECT_NE(errors_of("a{x=~`(\\pL{30}){30}`}")[0].what.find(large), std::string::npos);
    const std::string some = "x=~\"(y{30}){30}\"";
    parsed("a{" + some + "}");
    EXPECT_NE(errors_of("a{" + repeated(some, 30, ",") + "}")[0].what.find(large), std::string::npos);
}

TEST(Parser, MetricsOfKeywordsArePrintedSoThatTheyStayMetrics) {
    for (const char* name : {"inf", "NaN", "bool", "on", "ignoring", "group_left", "group_right"}) {
        const std::string text = "{\"" + std::string(name) + "\"}";
        EXPECT_EQ(to_text(parsed(text)), text);
        EXPECT_EQ(to_text(parsed("a > " + text)), "a > " + text);
    }
    EXPECT_EQ(to_text(parsed("a ^ -NaN")), "a ^ NaN");
}

TEST(Parser, CanonicalTextParsesToTheSameTree) {
    for (const char* text : {"-2 ^ 2",
                             "(-2) ^ 2",
                             "(a + b) * c",
                             "a + (b - c)",
                             "a - (b - c)",
                             "(a ^ b) ^ c",
                             "a ^ b ^ c",
                             "-(-a)",
                             "a > bool ignoring (x) group_right (y) b",
                             "a and on () b",
                             "foo{a=~\"b.*\",c!=\"d\\n\"}[5m] offset 1m",
                             "{\"we ird\",\"la bel\"=\"x\"} @ 5",
                             "sum by (\"a b\", c) (foo)",
                             "(a + b)[5m:1m] offset -1m @ start()",
                             "quantile_over_time(0.5, a[1m])",
                             "count_values without (x) (\"v\", a)",
                             "-Inf",
                             "NaN",
                             "1e300",
                             "0.1",
                             "(-a)[5m:]",
                             "(-1)^a",
                             "time()",
                             "foo offset 5m [5m:1m]",
                             "2 * -a",
                             "'\x01'"}) {
        const std::string canonical = to_text(parsed(text));
        EXPECT_EQ(tree(parsed(canonical)), tree(parsed(text))) << canonical;
        EXPECT_EQ(to_text(parsed(canonical)), canonical);
    }
}

} // namespace
} // namespace homeostat::promql
