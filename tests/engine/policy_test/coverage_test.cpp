#include "engine/policy_test/coverage.hpp"
#include "tests/engine/policy_test/kit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace homeostat::policy_test {
namespace {

using testing::Contains;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> missed(std::string_view cases, std::string_view policy = flood_policy) {
    const PolicyTest test = test_of(cases, policy);
    Coverage coverage(test);
    for (const TestCase& test_case : test.cases)
        check_case(test, test_case, [&](const Simulation& simulation, const Decisions& decisions) {
            coverage.observe(simulation, decisions);
        });
    std::vector<std::string> lines;
    for (const CoveragePoint& point : coverage.points())
        if (!point.reached)
            lines.push_back(std::to_string(point.at.line) + ": " + point.what + ": never " + point.wanted);
    return lines;
}

constexpr std::string_view quiet = R"([[test]]
name = "quiet"
series = [{ series = 'pps{iface="eth0"}', values = "1x4" }]
[[test.expect]]
active = []
)";

TEST(CoverageOfTests, TellsWhatAQuietTestLeavesOut) {
    const auto lines = missed(quiet);
    EXPECT_THAT(lines, Contains("4: symptom flood, raise: never true"));
    EXPECT_THAT(lines, Contains("4: symptom flood, raise: never missing"));
    EXPECT_THAT(lines, Not(Contains("4: symptom flood, raise: never false")));
    EXPECT_THAT(lines, Contains("6: symptom flood: pending -> inactive: never taken (for cut short)"));
    EXPECT_THAT(lines, Contains("9: adaptation guard: applied: never seen"));
    EXPECT_THAT(lines, Contains("11: adaptation guard, gate min_hold: closed: never seen"));
    EXPECT_THAT(lines, Contains("14: adaptation guard: xdp.program: never winning"));
}

TEST(CoverageOfTests, IsCompleteWhereTestsReachAll) {
    // No data, a pending that comes to nothing, a flood, a clearing that comes to nothing, an end, a flood in
    // the cooldown, and one that ends before min_hold.
    EXPECT_THAT(missed(R"([[test]]
name = "all"
series = [{ series = 'pps{iface="eth0"}', values = "_ 1 200 1 200x2 1 200x1 1x2 200x3 1x5 stale" }]
[[test.expect]]
holds = 'link_up == 1'
)"),
                IsEmpty());
}

TEST(CoverageOfTests, LooksAtEachOperand) {
    constexpr std::string_view policy = R"(version = 1
[[symptom]]
name  = "flood"
raise = 'pps > 100 or pps == 7'
)";
    const auto lines = missed(R"([[test]]
name = "t"
series = [{ series = 'pps{iface="eth0"}', values = "1 200 1" }]
[[test.expect]]
holds = 'link_up == 1'
)",
                              policy);
    EXPECT_THAT(lines, Contains("4: symptom flood, raise: 'pps == 7': never true"));
    EXPECT_THAT(lines, Not(Contains("4: symptom flood, raise: 'pps > 100': never true")));
}

constexpr std::string_view two_symptoms = R"(version = 1
[[symptom]]
name  = "flood"
raise = 'pps > 100'
[[symptom]]
name  = "quiet"
raise = 'hush > 0'
[[adaptation]]
name     = "guard"
when     = "flood and not quiet"
priority = 1
set.interface."{{iface}}".xdp.program = "guard"
[[adaptation]]
name     = "hold"
when     = "quiet or flood"
inhibits = ["guard"]
priority = 2
set.interface."{{iface}}".maps.limits.udp = { pps = 10 }
verify.expect = 'pps < 1'
)";

TEST(CoverageOfTests, LooksAtEachOperandOfWhen) {
    const auto lines = missed(R"([[test]]
name = "t"
series = [{ series = 'pps{iface="eth0"}', values = "1 200" }]
[[test.expect]]
holds = 'link_up == 1'
)",
                              two_symptoms);
    EXPECT_THAT(lines, Contains("10: adaptation guard, when: 'not quiet': never false"));
    EXPECT_THAT(lines, Not(Contains("10: adaptation guard, when: 'not quiet': never true")));
    EXPECT_THAT(lines, Not(Contains(testing::HasSubstr("when: 'flood'"))));
    EXPECT_THAT(lines, Contains("15: adaptation hold, when: 'quiet': never true"));
}

TEST(CoverageOfTests, LooksAtTheGatesThatOthersClose) {
    const auto lines = missed(quiet, two_symptoms);
    EXPECT_THAT(lines, Contains("9: adaptation guard, gate inhibits: closed: never seen"));
    EXPECT_THAT(lines, Contains("11: adaptation guard, gate verification: closed: never seen"));
    EXPECT_THAT(lines, Not(Contains(testing::HasSubstr("adaptation hold, gate inhibits"))));
    EXPECT_THAT(lines, Not(Contains(testing::HasSubstr("gate in_flight"))));
}

} // namespace
} // namespace homeostat::policy_test
