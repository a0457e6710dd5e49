#include "policies/template.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>

namespace homeostat {
namespace {

const Labels labels{{"iface", "eth0"}, {"src", "{{iface}}"}};

std::string bound(std::string_view text) {
    const auto parsed = parse_template(text);
    if (!parsed) return "no template: " + parsed.error().what;
    const auto result = bind(*parsed, labels);
    return result ? *result : "unbound: " + result.error().what;
}

TEST(Templates, AreFilledFromLabels) {
    EXPECT_EQ(bound(""), "");
    EXPECT_EQ(bound("plain"), "plain");
    EXPECT_EQ(bound("{{iface}}"), "eth0");
    EXPECT_EQ(bound("on {{ iface }}, {{iface}}!"), "on eth0, eth0!");
    EXPECT_EQ(bound("a { b } }} c"), "a { b } }} c");
}

TEST(Templates, AreBoundOnceAndNotAgainInWhatALabelBrings) { EXPECT_EQ(bound("{{src}}"), "{{iface}}"); }

TEST(Templates, AnAbsentLabelIsAFailureAndNoEmptyString) {
    EXPECT_EQ(bound("x{{dst}}y"), "unbound: label 'dst' is absent");
}

TEST(Templates, NameTheirLabelsInOrder) {
    EXPECT_EQ(parse_template("{{b}} {{a}} {{b}}")->labels(), (std::vector<std::string>{"b", "a", "b"}));
}

TEST(Templates, AreRefusedWithTheOffsetOfTheMistake) {
    const auto open = parse_template("ab {{c");
    ASSERT_FALSE(open);
    EXPECT_EQ(open.error().number, 3);
    for (const char* text : {"x {{}}", "x {{1a}}", "x {{a b}}", "x {{a.b}}", "x {{ }}"}) {
        const auto parsed = parse_template(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().number, 2) << text;
    }
}

TEST(NumberText, IsTheShortestThatGivesTheSameNumber) {
    EXPECT_EQ(number_text(0), "0");
    EXPECT_EQ(number_text(200'000), "200000");
    EXPECT_EQ(number_text(0.1), "0.1");
    EXPECT_EQ(number_text(-2.5), "-2.5");
    EXPECT_EQ(number_text(1.0 / 3), "0.3333333333333333");
    EXPECT_EQ(number_text(1e20), "1e+20");
    EXPECT_EQ(number_text(1e-7), "1e-07");
    EXPECT_EQ(number_text(std::numeric_limits<double>::quiet_NaN()), "NaN");
    EXPECT_EQ(number_text(std::numeric_limits<double>::infinity()), "+Inf");
    EXPECT_EQ(number_text(-std::numeric_limits<double>::infinity()), "-Inf");
    EXPECT_EQ(std::strtod(number_text(std::numeric_limits<double>::denorm_min()).c_str(), nullptr),
              std::numeric_limits<double>::denorm_min());
    EXPECT_EQ(number_text(-std::numeric_limits<double>::max()), "-1.7976931348623157e+308");
}

} // namespace
} // namespace homeostat
