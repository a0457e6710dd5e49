#include "policies/document.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace homeostat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> mistakes(std::string_view text) {
    Diagnostics diagnostics;
    (void)read_policy(text, "p", diagnostics);
    std::ranges::stable_sort(diagnostics, {}, &Diagnostic::at);
    std::vector<std::string> lines;
    for (const Diagnostic& diagnostic : diagnostics) lines.push_back(to_text(diagnostic));
    return lines;
}

// In a document that is otherwise right; the first line of `text` is line 2.
std::vector<std::string> mistakes_below_version(const std::string& text) {
    return mistakes("version = 1\n" + text);
}

constexpr std::string_view flood = R"(version = 1
[[signal]]
name = "udp_pps"
expr = 'rate(xdp_packets_total{proto="udp"}[1s])'

[[symptom]]
name     = "udp-flood"
raise    = 'udp_pps > 200k'
clear    = 'max_over_time(udp_pps[10s]) < 50k'
for      = "1s"
keep     = "5s"
on_missing = "clear"
forget   = "1m"
severity = "critical"
summary  = "UDP flood on {{iface}}: {{value}} pps"

[[adaptation]]
name        = "guard-under-flood"
when        = "udp-flood and not quiet"
priority    = 90
enforcement = "shadow"
min_hold    = "5m"
cooldown    = "10s"
budget      = "6/1h"
[adaptation.set.interface."{{iface}}"]
xdp.program = "guard"
xdp.mode    = ["drv", "skb"]
xdp.max_gap = "5ms"
maps.guard_limits.udp = { pps = 10_000, burst = 1_000 }
maps.guard_blocked."{{src}}" = true
)";

TEST(PolicyDocument, ReadsEverythingThatItsAuthorWrote) {
    Diagnostics diagnostics;
    const PolicyDocument document = read_policy(flood, "p", diagnostics);
    ASSERT_THAT(diagnostics, IsEmpty());
    ASSERT_EQ(document.signals.size(), 1U);
    EXPECT_EQ(document.signals.front().name.text, "udp_pps");
    ASSERT_EQ(document.symptoms.size(), 1U);
    const SymptomRule& symptom = document.symptoms.front();
    EXPECT_EQ(symptom.name.text, "udp-flood");
    EXPECT_EQ(symptom.raise.source.text, "udp_pps > 200k");
    ASSERT_TRUE(symptom.clear);
    EXPECT_EQ(symptom.timing.for_, std::chrono::seconds{1});
    EXPECT_EQ(symptom.timing.keep, std::chrono::seconds{5});
    EXPECT_EQ(symptom.timing.on_missing, OnMissing::clear);
    EXPECT_EQ(symptom.timing.forget, std::chrono::minutes{1});
    EXPECT_EQ(symptom.severity, "critical");
    EXPECT_EQ(bind(symptom.summary, Labels{{"iface", "eth0"}, {"value", "7"}}), "UDP flood on eth0: 7 pps");

    ASSERT_EQ(document.adaptations.size(), 1U);
    const AdaptationRule& adaptation = document.adaptations.front();
    EXPECT_EQ(adaptation.priority, 90);
    EXPECT_EQ(adaptation.enforcement, Enforcement::shadow);
    EXPECT_EQ(adaptation.min_hold, std::chrono::minutes{5});
    EXPECT_EQ(adaptation.cooldown, std::chrono::seconds{10});
    ASSERT_TRUE(adaptation.budget);
    EXPECT_EQ(adaptation.budget->count, 6U);
    EXPECT_EQ(adaptation.budget->window, std::chrono::hours{1});
    ASSERT_EQ(adaptation.settings.size(), 5U);
    EXPECT_EQ(adaptation.settings[1].ladder, (std::vector{XdpMode::drv, XdpMode::skb}));
    EXPECT_EQ(adaptation.settings[2].kind, OverlaySetting::Kind::gap_max);
    EXPECT_EQ(adaptation.settings[2].gap_max, Duration{5});
    EXPECT_EQ(adaptation.settings[3].map, "guard_limits");
    EXPECT_EQ(adaptation.settings[3].value, (MapValue{{"burst", 1000}, {"pps", 10000}}));
    EXPECT_EQ(adaptation.settings[4].value, (MapValue{{"", 1}}));
    EXPECT_EQ(bind(adaptation.settings[4].key, Labels{{"src", "10.0.0.1"}}), "10.0.0.1");
}

TEST(PolicyDocument, HasDefaultsForWhatIsLeftOut) {
    Diagnostics diagnostics;
    const PolicyDocument document = read_policy(
        "version = 1\n[[symptom]]\nname = 's'\nraise = 'up == 0'\n[[adaptation]]\nname = 'a'\nwhen = 's'\n"
        "set.interface.eth0.xdp.program = 'none'\n",
        "p", diagnostics);
    ASSERT_THAT(diagnostics, IsEmpty());
    const SymptomRule& symptom = document.symptoms.at(0);
    EXPECT_FALSE(symptom.clear);
    EXPECT_EQ(symptom.timing.for_, Duration{0});
    EXPECT_EQ(symptom.timing.on_missing, OnMissing::hold);
    EXPECT_EQ(symptom.timing.forget, std::chrono::minutes{10});
    EXPECT_EQ(symptom.severity, "warning");
    const AdaptationRule& adaptation = document.adaptations.at(0);
    EXPECT_EQ(adaptation.enforcement, Enforcement::enforce);
    EXPECT_FALSE(adaptation.budget);
    EXPECT_EQ(adaptation.priority, 0);
}

TEST(PolicyDocument, ReadsTcProgramsWithTheirPlacesAndTemplates) {
    const std::string head =
        "[[symptom]]\nname = 's'\nraise = 'up == 0'\n[[adaptation]]\nname = 'a'\nwhen = 's'\n";
    Diagnostics diagnostics;
    const PolicyDocument document =
        read_policy("version = 1\n" + head +
                        "[adaptation.set.interface.eth0]\ntc.ingress.program = '{{shape}}'\n"
                        "tc.egress = { program = 'none' }\n",
                    "p", diagnostics);
    ASSERT_THAT(diagnostics, IsEmpty());
    const auto& settings = document.adaptations.at(0).settings;
    ASSERT_EQ(settings.size(), 2U);
    EXPECT_EQ(settings[0].kind, OverlaySetting::Kind::tc_ingress);
    EXPECT_EQ(bind(settings[0].program, Labels{{"shape", "slow"}}), "slow");
    EXPECT_EQ(settings[0].at, (Position{9, 23}));
    EXPECT_EQ(settings[1].kind, OverlaySetting::Kind::tc_egress);
    EXPECT_EQ(bind(settings[1].program, {}), "none");
    EXPECT_THAT(mistakes_below_version(head + "[adaptation.set.interface.eth0]\ntc.inward.program = 'x'\n"
                                              "tc.egress.mode = 'drv'\n"),
                ElementsAre(HasSubstr("p:9:4: "), HasSubstr("p:10:11: ")));
}

TEST(PolicyDocument, TellsAllMistakesAtOnceWithTheirPlaces) {
    const auto lines = mistakes(R"(version = 2
[[symptom]]
name = "9lives"
raise = "rate(pps) > 1"
severity = "fatal"
[[adaptation]]
name = "a"
when = "flood and"
budget = "many"
priorty = 5
[adaptation.set.interface.eth0]
xdp.mode = ["native"]
)");
    EXPECT_THAT(lines,
                ElementsAre(HasSubstr("p:1:11: 'version' is 2"),
                            HasSubstr("p:3:9: '9lives' cannot name a symptom"), HasSubstr("p:4:15: "),
                            HasSubstr("p:5:13: 'symptom.severity' is \"fatal\""),
                            HasSubstr("p:8:18: found the end, expected a symptom's name"),
                            HasSubstr("p:9:11: 'many' is no budget"),
                            HasSubstr("p:10:1: unknown key 'adaptation.priorty'; did you mean 'priority'?"),
                            HasSubstr("p:12:14: 'native' is no XDP mode")));
}

TEST(PolicyDocument, PointsIntoAMultilineExpression) {
    EXPECT_THAT(
        mistakes("version = 1\n[[signal]]\nname = 's'\nexpr = '''\n  sum(pps)\n  + nosuch(pps)\n'''\n"),
        ElementsAre(HasSubstr("p:6:5: ")));
}

TEST(PolicyDocument, PointsIntoAnEscapedExpression) {
    EXPECT_THAT(mistakes("version = 1\n[[signal]]\nname = 's'\nexpr = \"pps{a=\\\"b\\\"} + nosuch(pps)\"\n"),
                ElementsAre(HasSubstr("p:4:24: ")));
}

TEST(PolicyDocument, TellsEveryMistakeOfOneExpression) {
    EXPECT_EQ(mistakes("version = 1\n[[signal]]\nname = 's'\nexpr = 'rate(a) + rate(b)'\n").size(), 2U);
}

struct Wrong {
    std::string text; // below the line of the version
    std::string told;
};

void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.told; }

class WrongDocuments : public testing::TestWithParam<Wrong> {};

TEST_P(WrongDocuments, AreToldWhatIsWrong) {
    EXPECT_THAT(mistakes_below_version(GetParam().text), ElementsAre(HasSubstr(GetParam().told)));
}

INSTANTIATE_TEST_SUITE_P(
    Signals, WrongDocuments,
    testing::Values(
        Wrong{"[[signal]]\nexpr = 'up'", "'signal.name' is missing"},
        Wrong{"[[signal]]\nname = 's'", "'signal.expr' is missing"},
        Wrong{"[[signal]]\nname = 'a-b'\nexpr = 'up'", "p:3:9: 'a-b' cannot name a signal"},
        Wrong{"[[signal]]\nname = ''\nexpr = 'up'", "'' cannot name a signal"},
        Wrong{"[[signal]]\nname = 's'\nexpr = '1'", "p:4:9: the expression is a scalar"},
        Wrong{"[[signal]]\nname = 's'\nexpr = 'up[5m]'", "p:4:9: the expression is a range vector"},
        Wrong{"[[signal]]\nname = 's'\nexpr = '\"x\"'", "the expression is a string"},
        Wrong{"[[signal]]\nname = 's'\nexpr = ''", "p:4:9: "},
        Wrong{"[[signal]]\nname = 's'\nexpr = '1 + up @ 100'", "p:4:13: '@' with a fixed time"},
        Wrong{"[[signal]]\nname = 's'\nexpr = 'up offset -5m'", "a negative offset looks into the future"},
        Wrong{"[[signal]]\nname = 's'\nexpr = 'up'\nkeep = '5s'", "unknown key 'signal.keep'"}));

INSTANTIATE_TEST_SUITE_P(
    Symptoms, WrongDocuments,
    testing::Values(
        Wrong{"[[symptom]]\nname = 's'", "'symptom.raise' is missing"},
        Wrong{"[[symptom]]\nname = 's'\nraise = 'up'\nclear = 5", "p:5:9: 'symptom.clear' is an integer"},
        Wrong{"[[symptom]]\nname = 's'\nraise = 'up'\nclear = 'up >'", "p:5:"},
        Wrong{"[[symptom]]\nname = 's'\nraise = 'up'\nfor = '5'", "p:5:7: 'symptom.for' is \"5\""},
        Wrong{"[[symptom]]\nname = 's'\nraise = 'up'\non_missing = 'ignore'",
              "expected one of \"hold\", \"raise\", \"clear\""},
        Wrong{"[[symptom]]\nname = 's'\nraise = 'up'\nsummary = 'on {{iface'",
              "p:5:15: '{{' is never closed"},
        Wrong{"[[symptom]]\nname = 's'\nraise = 'up'\nsummary = 'on {{if-ace}}'",
              "p:5:15: 'if-ace' between '{{' and '}}' is no label name"},
        Wrong{"[[symptom]]\nname = 's'\nraise = 'up'\nrais = 'up'",
              "unknown key 'symptom.rais'; did you mean 'raise'?"}));

// An adaptation that is right but for what is added to it, in line 5.
Wrong adaptation_with(const std::string& line, std::string told) {
    return {"[[adaptation]]\nname = 'a'\nwhen = 's'\n" + line + "\n", std::move(told)};
}

const std::string sets_program = "set.interface.eth0.xdp.program = 'guard'\n";

INSTANTIATE_TEST_SUITE_P(
    Adaptations, WrongDocuments,
    testing::Values(
        Wrong{"[[adaptation]]\nname = 'a'\n" + sets_program, "'adaptation.when' is missing"},
        Wrong{"[[adaptation]]\nname = 'a'\nwhen = 's or not t'\n" + sets_program,
              "p:4:9: nothing drives this condition"},
        adaptation_with("", "the adaptation sets nothing"),
        adaptation_with("priority = 2_000_000\n" + sets_program, "p:5:12: 'adaptation.priority' is 2000000"),
        adaptation_with("enforcement = 'on'\n" + sets_program,
                        "expected one of \"off\", \"shadow\", \"enforce\""),
        adaptation_with("budget = '6'\n" + sets_program, "'6' is no budget"),
        adaptation_with("budget = '6/0s'\n" + sets_program, "'6/0s' is no budget"),
        adaptation_with("budget = '-6/1h'\n" + sets_program, "'-6/1h' is no budget"),
        adaptation_with("budget = '6x/1h'\n" + sets_program, "'6x/1h' is no budget"),
        adaptation_with("set.interface.eth0.xdp.mode = ['drv', 'skb', 'drv']",
                        "p:5:47: mode 'drv' stands in the ladder twice"),
        adaptation_with("set.interface.eth0.xdp.prog = 'guard'",
                        "unknown key 'adaptation.set.interface.eth0.xdp.prog'"),
        adaptation_with("set.interface.'{{iface'.xdp.program = 'guard'", "p:5:15: '{{' is never closed"),
        adaptation_with("set.interface.eth0.maps.limits.udp = {}", "'limits.udp' has no fields"),
        adaptation_with("set.interface.eth0.maps.limits.udp = { pps = 1.5 }", "p:5:46: "),
        adaptation_with("set.interface.eth0.maps.limits.udp = 'many'", "expected an integer"),
        adaptation_with("set.iface.eth0.xdp.program = 'x'\n" + sets_program,
                        "unknown key 'adaptation.set.iface'")));

Wrong symptom_with(const std::string& line, std::string told) {
    return {"[[symptom]]\nname = 's'\nraise = 'up'\n" + line + "\n", std::move(told)};
}

INSTANTIATE_TEST_SUITE_P(Quorums, WrongDocuments,
                         testing::Values(symptom_with("quorum = '3'", "p:5:11: '3' is no quorum"),
                                         symptom_with("quorum = '0/5'", "'0/5' is no quorum"),
                                         symptom_with("quorum = '6/5'", "'6/5' is no quorum"),
                                         symptom_with("quorum = '3/65'", "at most 64"),
                                         symptom_with("quorum = '3/5x'", "'3/5x' is no quorum"),
                                         symptom_with("quorum = 3", "'symptom.quorum' is an integer")));

INSTANTIATE_TEST_SUITE_P(
    Gates, WrongDocuments,
    testing::Values(
        adaptation_with("max_active = 0\n" + sets_program, "p:5:14: 'adaptation.max_active' is 0"),
        adaptation_with("damp = { half_life = '0s' }\n" + sets_program, "'damp.half_life' is zero"),
        adaptation_with("damp = { reuse = 3000 }\n" + sets_program,
                        "'damp.reuse' (3000) is not below 'damp.suppress' (2000)"),
        adaptation_with("damp = { halflife = '1m' }\n" + sets_program, "did you mean 'half_life'?"),
        adaptation_with("requires = 5\n" + sets_program, "'adaptation.requires' is an integer")));

INSTANTIATE_TEST_SUITE_P(
    Verification, WrongDocuments,
    testing::Values(adaptation_with("verify.settle = '1s'\n" + sets_program,
                                    "'adaptation.verify.expect' is missing"),
                    adaptation_with("verify = { expect = 'up >' }\n" + sets_program, "p:5:"),
                    adaptation_with("verify = { expect = 'up', settle = '5s' }\n" + sets_program,
                                    "'verify.within' (5s) is not longer than 'verify.settle' (5s)"),
                    adaptation_with("verify = { expect = 'up', otherwise = 'undo' }\n" + sets_program,
                                    "expected one of \"rollback\", \"report\""),
                    adaptation_with("verify = { expect = 'up{a=\"{{iface\"}' }\n" + sets_program,
                                    "'{{' is never closed")));

INSTANTIATE_TEST_SUITE_P(
    Files, WrongDocuments,
    testing::Values(Wrong{"[[symptoms]]\nname = 's'", "unknown key 'symptoms'; did you mean 'symptom'?"},
                    Wrong{"symptom = 5", "expected an array of tables, written [[symptom]]"}));

TEST(PolicyDocument, ReadsEveryGateAndTheVerification) {
    Diagnostics diagnostics;
    const PolicyDocument document = read_policy(R"(version = 1
[[symptom]]
name = "s"
raise = "up"
quorum = "3/5"
[[adaptation]]
name = "a"
when = "s"
requires = ["b", "c"]
inhibits = "d"
max_active = 7
damp = { half_life = "1m", suppress = 3000, reuse = 500 }
set.interface.eth0.xdp.program = "guard"
[adaptation.verify]
expect = 'up{iface="{{iface}}"} > 0'
settle = "2s"
within = "9s"
backoff = "1m"
otherwise = "report"
)",
                                                "p", diagnostics);
    ASSERT_THAT(diagnostics, IsEmpty());
    EXPECT_EQ(document.symptoms.at(0).timing.quorum, (Quorum{3, 5}));
    const AdaptationRule& rule = document.adaptations.at(0);
    ASSERT_EQ(rule.requirements.size(), 2U);
    EXPECT_EQ(rule.requirements[1].text, "c");
    ASSERT_EQ(rule.inhibits.size(), 1U);
    EXPECT_EQ(rule.max_active, 7U);
    ASSERT_TRUE(rule.damp && rule.verify);
    EXPECT_EQ(rule.damp->half_life, std::chrono::minutes{1});
    EXPECT_EQ(rule.damp->suppress, 3000);
    EXPECT_EQ(rule.damp->reuse, 500);
    EXPECT_EQ(rule.verify->settle, std::chrono::seconds{2});
    EXPECT_EQ(rule.verify->within, std::chrono::seconds{9});
    EXPECT_EQ(rule.verify->backoff, std::chrono::minutes{1});
    EXPECT_FALSE(rule.verify->rollback);
}

TEST(PolicyDocument, WithoutAVersionSaysSoOnItsFirstLine) {
    EXPECT_THAT(mistakes(""), ElementsAre(HasSubstr("p:1:1: 'version' is missing; expected version = 1")));
}

TEST(PolicyDocument, ASyntaxErrorStandsAlone) {
    EXPECT_THAT(mistakes("version = 3\n[[symptom\nname = 5\n"), ElementsAre(HasSubstr("TOML syntax")));
}

TEST(PolicyDocument, LeavesOutARuleThatHasAMistakeAndKeepsTheOthers) {
    Diagnostics diagnostics;
    const PolicyDocument document = read_policy(
        "version = 1\n[[symptom]]\nname = 'bad'\nraise = ')'\n[[symptom]]\nname = 'good'\nraise = 'up'\n",
        "p", diagnostics);
    ASSERT_EQ(document.symptoms.size(), 1U);
    EXPECT_EQ(document.symptoms.front().name.text, "good");
}

TEST(PolicyDocument, ReadsNestedFieldsOfAMapValueWithDots) {
    Diagnostics diagnostics;
    const PolicyDocument document =
        read_policy("version = 1\n[[adaptation]]\nname = 'a'\nwhen = 's'\n"
                    "set.interface.eth0.maps.m.k = { a = { b = 1, c = -2 }, d = false }\n",
                    "p", diagnostics);
    ASSERT_THAT(diagnostics, IsEmpty());
    EXPECT_EQ(document.adaptations.at(0).settings.at(0).value, (MapValue{{"a.b", 1}, {"a.c", -2}, {"d", 0}}));
}

} // namespace
} // namespace homeostat
