#include "policies/lint/label_check.hpp"
#include "tests/policies/lint/told.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace homeostat::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

struct Expression {
    std::string text;
    std::string told; // "" for nothing
};

void PrintTo(const Expression& expression, std::ostream* out) { *out << expression.text; }

class Labelled : public testing::TestWithParam<Expression> {};

TEST_P(Labelled, IsJudgedByWhatTheMetricsCarry) {
    const auto told = labels_told("[[signal]]\nname = 'x'\nexpr = '" + GetParam().text + "'\n");
    if (GetParam().told.empty())
        EXPECT_THAT(told, IsEmpty());
    else
        EXPECT_THAT(told, ElementsAre(HasSubstr(GetParam().told)));
}

INSTANTIATE_TEST_SUITE_P(
    Matchers, Labelled,
    testing::Values(
        Expression{R"(packets_total{proto="udp",iface="eth0"})", ""},
        Expression{R"(packets_total{protoo="udp"})",
                   "4:23: 'packets_total' has no label 'protoo'; did you mean 'proto'?"},
        Expression{R"(packets_total{verdict="drop"})",
                   "'packets_total' has no label 'verdict'; its labels: iface, proto"},
        Expression{R"(packets_total{proto="udpp"})",
                   "'proto' of 'packets_total' is never \"udpp\"; did you mean 'udp'?"},
        Expression{R"(packets_total{proto="17"})", ""}, // a protocol that the enum has no word for
        Expression{R"(packets_total{iface="eth7"})", "'iface' of 'packets_total' is never \"eth7\""},
        Expression{R"(packets_total{proto!="udpp"})",
                   "warning: 'proto' of 'packets_total' is never \"udpp\"; remove it"},
        Expression{R"(packets_total{cpu!="0"})", "warning: 'packets_total' has no label 'cpu'"},
        Expression{R"(verdicts_total{verdict=~"drop|pass"})", ""},
        Expression{R"(verdicts_total{verdict=~"dropped.*"})",
                   "no value of 'verdict' of 'verdicts_total' is matched by \"dropped.*\"; it is one of: "
                   "drop, pass"},
        Expression{R"(verdicts_total{verdict="drop",verdict!~"d.*"})", "is matched by all of these at once"},
        Expression{R"(unknown_total{whatever="x"})", ""}, Expression{R"({iface="eth0",whatever="x"})", ""}));

TEST(Labelled, ANameThatAnotherPolicyDeclaresIsToldAsThat) {
    PolicySet policies = parsed(used_symptom(R"(adaptation_active{adaptation="guard"} == 1)"));
    policies.elsewhere.adaptations = {{"guard", "it is declared in b.toml"}};
    Diagnostics diagnostics;
    check_labels(policies, with_policy_metrics(small_schema(), policies), diagnostics);
    ASSERT_EQ(diagnostics.size(), 1U);
    EXPECT_EQ(to_text(diagnostics[0]),
              "p:4:28: 'adaptation' of 'adaptation_active' is never \"guard\"; it is "
              "declared in b.toml");
}

INSTANTIATE_TEST_SUITE_P(
    Groupings, Labelled,
    testing::Values(Expression{"sum by (iface) (packets_total)", ""},
                    Expression{"sum by (ifac) (packets_total)",
                               "4:9: sum: the samples have no label 'ifac'; did you mean 'iface'?"},
                    Expression{"sum without (cpu) (packets_total)",
                               "warning: sum: the samples have no label 'cpu'"},
                    Expression{"max by (proto) (sum by (iface) (packets_total))",
                               "max: the samples have no label 'proto'"},
                    Expression{"sum by (whatever) (unknown)", ""}));

INSTANTIATE_TEST_SUITE_P(
    Matchings, Labelled,
    testing::Values(
        Expression{"verdicts_total / on (iface, proto) group_left packets_total", ""},
        Expression{
            "verdicts_total / packets_total",
            "the sides of '/' never match: the left side alone has the label 'verdict'; write / on (iface, "
            "proto)"},
        Expression{"packets_total > on (ifac) link_up", "'>': neither side has the label 'ifac'"},
        Expression{"packets_total > on (proto) link_up", "'>': the right side has not the label 'proto'"},
        Expression{"packets_total and ignoring (proto) link_up", ""},
        Expression{"packets_total and ignoring (proto, cpu) link_up", "warning: 'and': neither side has"},
        Expression{"packets_total and link_up", "the sides of 'and' never match: the left side alone"},
        Expression{"packets_total unless link_up", "the sides of 'unless' never match"},
        Expression{"packets_total or link_up", ""},
        Expression{R"(packets_total{proto="udp"} + packets_total{proto="tcp"})",
                   "'proto' is udp on the left, tcp on the right; write + on (iface)"},
        Expression{"packets_total * on (iface) group_left (speed) link_up",
                   "the label 'speed' cannot be taken over: the other side has it not"},
        Expression{R"(label_replace(link_up, "proto", "udp", "", "") == packets_total)", ""},
        Expression{R"x(label_replace(link_up, "proto", "$1", "iface", "(.*)") + packets_total)x", ""}));

TEST(Labels, OfASignalAreThoseOfItsExpression) {
    const std::string signal = "[[signal]]\nname = 'udp'\nexpr = 'rate(packets_total{proto=\"udp\"}[1s])'\n";
    EXPECT_THAT(labels_told(signal + symptom("udp{proto=\"udp\"} > 1")), IsEmpty());
    EXPECT_THAT(labels_told(signal + symptom("udp{proto=\"tcp\"} > 1")),
                ElementsAre(HasSubstr("'proto' of 'udp' is never \"tcp\"")));
}

TEST(Labels, OfSignalsAreKnownWithoutSensorsAsFarAsTheyFollow) {
    const std::string signal =
        "[[signal]]\nname = 'udp'\nexpr = 'sum by (iface) (rate(packets_total{proto=\"udp\"}[1s]))'\n";
    EXPECT_THAT(labels_told(signal + symptom("packets_total{nothing=\"1\"} > 1"), {}), IsEmpty());
    EXPECT_THAT(labels_told(signal + symptom("udp{iface=\"eth9\"} > 1"), {}), IsEmpty());
    EXPECT_THAT(labels_told(signal + symptom("udp{proto=\"udp\"} > 1"), {}),
                ElementsAre(HasSubstr("'udp' has no label 'proto'; its labels: iface")));
}

TEST(Labels, OfSymptomsAndAdaptationsFollowFromTheirConditions) {
    const std::string flood = used_symptom("packets_total > 1");
    const std::string other = "[[symptom]]\nname = 't'\nraise = '";
    EXPECT_THAT(labels_told(flood + other + "symptom_raised{symptom=\"s\",proto=\"udp\"} == 1'\n"),
                IsEmpty());
    EXPECT_THAT(
        labels_told(flood + other + "symptom_raised{symptom=\"flood\"} == 1'\n"),
        ElementsAre(HasSubstr("'symptom' of 'symptom_raised' is never \"flood\"; it is one of: s, t")));
    EXPECT_THAT(labels_told(flood + other + "adaptation_active{adaptation=\"a\",verdict=\"drop\"} == 1'\n"),
                ElementsAre(HasSubstr("'adaptation_active' has no label 'verdict'")));
}

TEST(Labels, OfClearMustBeThoseOfRaise) {
    EXPECT_THAT(labels_told(symptom("packets_total > 9", "clear = 'over_limit < 1'")), IsEmpty());
    EXPECT_THAT(labels_told(symptom("packets_total > 9", "clear = 'sum by (iface) (packets_total) < 1'")),
                ElementsAre(StartsWith(
                    "5:10: 'clear' clears no instance of 's': it has no label 'proto', which 'raise' "
                    "has; expected the labels of 'raise': iface, proto")));
    EXPECT_THAT(labels_told(symptom("link_up == 0", "clear = 'packets_total > 0'")),
                ElementsAre(HasSubstr("it has the label 'proto', which 'raise' has not")));
    EXPECT_THAT(labels_told(symptom("packets_total{proto=\"udp\"} > 9",
                                    "clear = 'packets_total{proto=\"tcp\"} < 1'")),
                ElementsAre(HasSubstr("'proto' is tcp in it, and udp in 'raise'")));
    EXPECT_THAT(labels_told(symptom("a > 9", "clear = 'sum by (iface) (a) < 1'"), {}), IsEmpty())
        << "without sensors, a may have no other label";
}

TEST(Labels, OfTemplatesMustBeTheInstances) {
    EXPECT_THAT(labels_told(symptom("packets_total > 9", "summary = '{{proto}} on {{iface}}: {{value}}'")),
                IsEmpty());
    EXPECT_THAT(
        labels_told(symptom("packets_total > 9", "summary = '{{prot}} on {{iface}}'")),
        ElementsAre(HasSubstr("5:11: no instance of 's' has the label 'prot'; did you mean 'proto'?")));
    const std::string adaptation = symptom("sum by (iface) (packets_total) > 9") +
                                   "[[adaptation]]\nname = 'a'\nwhen = 's'\nset.interface.\"{{iface}}\".";
    EXPECT_THAT(labels_told(adaptation + "xdp.program = 'guard'\n"), IsEmpty());
    EXPECT_THAT(labels_told(adaptation + "xdp.program = '{{proto}}'\n"),
                ElementsAre(HasSubstr("no instance of 'a' has the label 'proto'; its labels: iface")));
    EXPECT_THAT(labels_told(adaptation + "maps.m.\"{{src}}\" = 1\n"),
                ElementsAre(HasSubstr("no instance of 'a' has the label 'src'")));
    EXPECT_THAT(labels_told(adaptation + "xdp.program = 'guard'\nverify.expect = "
                                         "'packets_total{iface=\"{{ifac}}\"} > 0'\n"),
                ElementsAre(HasSubstr("no instance of 'a' has the label 'ifac'; did you mean 'iface'?")));
}

TEST(Labels, OfTemplatesMayBeMissingInSomeInstances) {
    EXPECT_THAT(labels_told("[[symptom]]\nname = 's'\nraise = 'packets_total > 9'\n[[symptom]]\nname = 't'\n"
                            "raise = 'link_up == 0'\n[[adaptation]]\nname = 'a'\nwhen = 's or t'\n"
                            "set.interface.\"{{iface}}\".xdp.program = '{{proto}}'\n"),
                ElementsAre(HasSubstr(
                    "warning: not every instance of 'a' has the label 'proto'; those without it wait at "
                    "the gate 'target' [label-not-always]")));
}

} // namespace
} // namespace homeostat::test
