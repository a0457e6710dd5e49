// Cases: what is played, what is expected, and what is told where that did not come about.

#include "tests/engine/policy_test/kit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace homeostat::policy_test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using namespace std::chrono_literals;

constexpr std::string_view flood = R"([[test]]
name = "t"
series = [{ series = 'pps{iface="eth0"}', values = "1x4 200x4 1x20" }]
)";

std::vector<std::string> told(const CaseResult& result) {
    std::vector<std::string> lines;
    for (const Finding& finding : result.findings)
        lines.push_back(to_text(finding.time) + ": " + finding.what + ": expected " + finding.expected +
                        ", actual " + finding.actual);
    return lines;
}

std::vector<std::string> findings_of(std::string_view expectations, std::string_view played = flood) {
    const PolicyTest test = test_of(std::string(played) + std::string(expectations));
    return told(check_case(test, test.cases.at(0)));
}

TEST(Case, PassesWhereAllThatIsExpectedComesAbout) {
    EXPECT_THAT(findings_of(R"(
[[test.expect]]
at = "5s"
symptoms = { flood = "pending" }
active = []
interface.eth0.xdp.program = "counter"
[[test.expect]]
at = "7s"
symptoms = { 'flood{iface="eth0"}' = "raised" }
active = ['guard{iface="eth0"}']
interface.eth0 = { xdp = { program = "guard", mode = "drv" }, maps = { limits = { udp = { pps = 10 } } } }
eval = [{ expr = "pps + 1", gives = { '{iface="eth0"}' = 201 } }]
holds = "pps > 100"
empty = "pps > 200"
[[test.expect]]
at = "10s"
symptoms = { flood = "clearing" }
[[test.expect]]
at = "12s"
symptoms = { flood = "inactive" }
active = []
desired.eth0.xdp = { program = "counter", mode = ["drv"] }
interface.eth0.maps.limits = {}
[[test.expect]]
decisions = ["6s apply guard", "12s remove guard{iface=\"eth0\"}"]
[[test.invariant]]
always = "link_up == 1"
never = "pps > 200"
max_changes = 3
)"),
                IsEmpty());
}

TEST(Case, EachExpectationThatIsNotMetIsToldWithItsTime) {
    EXPECT_THAT(findings_of("[[test.expect]]\nat = \"7s\"\nsymptoms = { flood = \"inactive\" }\n"),
                Contains(HasSubstr("7s: symptom flood: expected inactive, actual raised since 6s")));
    EXPECT_THAT(findings_of("[[test.expect]]\nat = \"7s\"\nactive = []\n"),
                Contains("7s: active adaptations: expected none, actual guard{iface=\"eth0\"}"));
    EXPECT_THAT(findings_of("[[test.expect]]\nat = \"4s\"\nactive = [\"guard\"]\n"),
                Contains("4s: active adaptations: expected guard, actual none"));
    EXPECT_THAT(findings_of("[[test.expect]]\nfrom = \"4s\"\ninterface.eth0.xdp.program = \"counter\"\n"),
                testing::ElementsAre("6s: eth0 xdp.program: expected counter, actual guard"));
    EXPECT_THAT(findings_of("[[test.expect]]\nat = \"7s\"\ninterface.eth0.maps.limits = {}\n"),
                Contains("7s: eth0 maps.limits: expected no entries, actual udp = {pps = 10}"));
    EXPECT_THAT(findings_of("[[test.expect]]\nat = \"7s\"\nholds = \"pps > 200\"\n"),
                Contains("7s: holds 'pps > 200': expected a sample, actual no sample"));
    EXPECT_THAT(
        findings_of("[[test.expect]]\nat = \"7s\"\neval = [{ expr = \"pps\", gives = { 'pps' = 1 } }]\n"),
        Contains("7s: 'pps': expected pps = 1, actual pps{iface=\"eth0\"} = 200"));
    EXPECT_THAT(findings_of("[[test.expect]]\ndecisions = [\"6s apply guard\"]\n"),
                Contains(HasSubstr("actual 6s apply guard{iface=\"eth0\"}, 12s remove")));
    EXPECT_THAT(findings_of("[[test.expect]]\nmessages = \"drift\"\n"), Contains(HasSubstr("'drift'")));
}

TEST(Case, AnInvariantIsToldOnceWhereItFirstBreaks) {
    EXPECT_THAT(findings_of("[[test.invariant]]\nnever = \"pps > 100\"\n"),
                testing::ElementsAre(HasSubstr("5s: invariant: never 'pps > 100'")));
    EXPECT_THAT(findings_of("[[test.invariant]]\nmax_changes = 1\n"),
                testing::ElementsAre("6s: invariant: changes of eth0: expected at most 1, actual 2"));
}

TEST(Case, AFailureShowsWhatTheConditionsSawAndTheClosedGate) {
    const PolicyTest test = test_of(R"([[test]]
name = "t"
series = [{ series = 'pps{iface="eth0"}', values = "200x4 1x2 200x12" }]
[[test.expect]]
at = "10s"
active = ["guard"]
[[test.expect]]
at = "6s"
symptoms = { flood = "raised" }
)");
    const CaseResult result = check_case(test, test.cases.at(0));
    EXPECT_EQ(result.verdict, CaseResult::Verdict::failed);
    ASSERT_EQ(result.findings.size(), 2U);
    EXPECT_THAT(result.findings[0].evidence, Contains("raise 'pps > 100' does not hold"));
    EXPECT_THAT(result.findings[0].evidence, Contains(HasSubstr("pps = 1  {iface=\"eth0\"}")));
    EXPECT_THAT(result.findings[1].evidence, Contains(HasSubstr("gate cooldown is closed until 11s")));
    EXPECT_THAT(around(result.timeline, 10s), Not(IsEmpty()));
}

TEST(Case, GatesThatAreWaitedForCanBeExpected) {
    EXPECT_THAT(findings_of("[[test.expect]]\nat = \"10s\"\nwaits = { guard = \"cooldown\" }\n", R"([[test]]
name = "t"
series = [{ series = 'pps{iface="eth0"}', values = "200x4 1x2 200x12" }]
)"),
                IsEmpty());
    EXPECT_THAT(findings_of("[[test.expect]]\nat = \"8s\"\nwaits = { guard = \"cooldown\" }\n"),
                Contains(HasSubstr("expected gate cooldown closed, actual it is active")));
}

TEST(Case, InterfacesGoAndReturnAndTheGuardWithThem) {
    EXPECT_THAT(findings_of(R"(
[[test.expect]]
at = "8s"
interface.eth0.xdp.program = "none"
[[test.expect]]
at = "10s"
interface.eth0.xdp.program = "guard"
messages = "interface eth0 is there"
)",
                            R"([[test]]
name = "t"
series = [{ series = 'pps{iface="eth0"}', values = "200x20" }]
event = [{ at = "8s", gone = "eth0" }, { at = "10s", back = "eth0" }]
)"),
                IsEmpty());
}

TEST(Case, WhatSomebodyElseDetachesIsAttachedAgain) {
    EXPECT_THAT(findings_of(R"(
[[test.expect]]
at = "8s"
messages = "drift on eth0"
interface.eth0.xdp.program = "guard"
)",
                            R"([[test]]
name = "t"
series = [{ series = 'pps{iface="eth0"}', values = "200x20" }]
event = [{ at = "7500ms", detached = "eth0" }]
)"),
                IsEmpty());
}

TEST(Case, TcProgramsCanBeExpectedOfEachSide) {
    const std::string at_both = R"(
[[test.expect]]
at = "8s"
interface.eth0.tc.ingress.program = "none"
interface.eth0.tc.egress.program = "shape"
)";
    const auto findings = findings_of(at_both);
    ASSERT_EQ(findings.size(), 1U) << "ingress is as expected";
    EXPECT_THAT(findings[0], HasSubstr("eth0 tc.egress.program: expected shape, actual none"));
}

TEST(Case, ASensorThatFailsIsDownAndItsSeriesEnd) {
    EXPECT_THAT(findings_of(R"(
[[test.expect]]
from = "3s"
until = "4s"
empty = "pps"
[[test.expect]]
at = "5s"
holds = "pps"
)",
                            R"([[test]]
name = "t"
series = [{ series = 'pps{iface="eth0"}', values = "1x9" }]
event = [{ at = "3s", until = "5s", sensor_fails = "series" }]
)"),
                IsEmpty());
}

TEST(Case, AnUrgentSampleStartsATickBetweenPeriods) {
    const PolicyTest test = test_of(R"([[test]]
name = "t"
lasts = "3s"
event = [{ at = "1500ms", urgent = { 'pps{iface="eth0"}' = 500 } }]
[[test.expect]]
at = "1500ms"
symptoms = { flood = "pending" }
)");
    const CaseResult result = check_case(test, test.cases.at(0));
    EXPECT_THAT(told(result), IsEmpty());
    EXPECT_EQ(result.ticks, 5U) << "0s, 1s, 1.5s, 2s, 3s";
}

TEST(Case, TransactionsFailAndTakeTheirTimeAsItSays) {
    const std::string_view failing = R"([[test]]
name = "t"
series = [{ series = 'pps{iface="eth0"}', values = "200x20" }]
outcome = [{ interface = "eth0", nth = 2, fails = "no memory" }, { nth = 3, latency = "300ms" }]
)";
    // The first attaches the baseline, the second fails at 1s; it is tried again a second after its outcome.
    EXPECT_THAT(findings_of(R"(
[[test.expect]]
at = "2s"
eval = [{ expr = 'transactions_total{outcome="failed"}', gives = { 'transactions_total{iface="eth0",outcome="failed"}' = 1 } }]
interface.eth0.xdp.program = "counter"
[[test.expect]]
at = "3299ms"
interface.eth0.xdp.program = "counter"
[[test.expect]]
at = "3300ms"
interface.eth0.xdp.program = "guard"
)",
                            failing),
                IsEmpty());
}

TEST(Case, AnInterfaceThatRefusesAModeFallsDownTheLadder) {
    constexpr std::string_view policy = R"(version = 1
[[symptom]]
name  = "flood"
raise = 'pps > 100'
[[adaptation]]
name = "guard"
when = "flood"
[adaptation.set.interface."{{iface}}"]
xdp = { program = "guard", mode = ["hw", "skb"] }
)";
    const PolicyTest test = test_of(R"([[test]]
name = "t"
series = [{ series = 'pps{iface="eth0"}', values = "1 200x9" }]
outcome = [{ from = "1s", modes = ["drv", "skb"] }]
[[test.expect]]
at = "3s"
interface.eth0.xdp = { program = "guard", mode = "skb" }
)",
                                    policy);
    EXPECT_THAT(told(check_case(test, test.cases.at(0))), IsEmpty());
}

TEST(Case, RunsUpToATimeForOthersToLookAt) {
    const PolicyTest test = test_of(std::string(flood) + "[[test.expect]]\nactive = []\nat = \"0s\"\n");
    const SimulatedRun run = run_case(test, test.cases.at(0), 6s);
    EXPECT_EQ(run.decisions.size(), 7U);
    EXPECT_EQ(run.decisions.back().now, test.start + 6s);
    EXPECT_TRUE(run.state.knowledge.adaptations.at("guard").instances.begin()->second.active);
}

TEST(Case, IsPlayedTheSameTwice) {
    const PolicyTest test = test_of(std::string(flood) + "[[test.expect]]\nactive = []\nat = \"0s\"\n");
    EXPECT_EQ(run_case(test, test.cases.at(0)).decisions, run_case(test, test.cases.at(0)).decisions);
}

TEST(Case, ThatIsSkippedIsNotRun) {
    const PolicyTest test =
        test_of(std::string(flood) + "skip = \"later\"\n[[test.expect]]\nactive = [\"guard\"]\n");
    const CaseResult result = check_case(test, test.cases.at(0));
    EXPECT_EQ(result.verdict, CaseResult::Verdict::skipped);
    EXPECT_EQ(result.skipped_because, "later");
}

} // namespace
} // namespace homeostat::policy_test
