// Each gate, judged by its facts.
#include "policies/gates.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace homeostat {
namespace {

using namespace std::chrono_literals;

struct Case {
    Gate gate;
    GateFacts facts;
    std::string detail; // empty: open
};

void PrintTo(const Case& c, std::ostream* out) { *out << traits(c.gate).name << ": " << c.detail; }

class GateVerdicts : public testing::TestWithParam<Case> {};

TEST_P(GateVerdicts, FollowFromTheirFacts) {
    const GateVerdict verdict = judge(GetParam().gate, GetParam().facts);
    EXPECT_EQ(verdict.detail, GetParam().detail);
    EXPECT_EQ(verdict.open, GetParam().detail.empty());
    EXPECT_EQ(verdict.gate, traits(GetParam().gate).name);
    EXPECT_EQ(judge(find_gate(verdict.gate)->gate, verdict.facts), verdict);
}

constexpr Instant now = at_ms(100'000);
const std::string later = "until 1970-01-01T00:01:41.000Z";

INSTANTIATE_TEST_SUITE_P(
    Gates, GateVerdicts,
    testing::Values(Case{Gate::enforcement, {.obstacle = "off"}, "off"}, Case{Gate::enforcement, {}, ""},
                    Case{Gate::target, {.obstacle = "label 'iface' is absent"}, "label 'iface' is absent"},
                    Case{Gate::requirements, {.obstacle = "b is not active"}, "b is not active"},
                    Case{Gate::inhibits, {.obstacle = "b{} is active"}, "b{} is active"},
                    Case{Gate::backoff,
                         {.now = now, .since = now - 9s, .span = 10s, .count = 1},
                         "1 verification failed in a row, " + later},
                    Case{Gate::backoff,
                         {.now = now, .since = now - 9s, .span = 10s, .count = 2},
                         "2 verifications failed in a row, " + later},
                    Case{Gate::backoff, {.now = now, .since = now - 10s, .span = 10s, .count = 2}, ""},
                    Case{Gate::cooldown, {.now = now, .since = now - 9s, .span = 10s}, later},
                    Case{Gate::cooldown, {.now = now, .since = now - 10s, .span = 10s}, ""},
                    Case{Gate::cooldown, {.now = now, .span = 10s}, ""}, // never removed
                    Case{Gate::damp, {.now = now, .since = now - 9s, .span = 10s}, later},
                    Case{Gate::max_active, {.count = 3, .limit = 3}, "3 are active"},
                    Case{Gate::max_active, {.count = 2, .limit = 3}, ""},
                    Case{Gate::budget,
                         {.since = now - 9s, .span = 10s, .count = 6, .limit = 6},
                         "6 in the last 10s, " + later},
                    Case{Gate::budget, {.span = 1h, .count = 0, .limit = 0}, "0 in the last 1h"},
                    Case{Gate::budget, {.span = 1h, .count = 5, .limit = 6}, ""},
                    Case{Gate::verification,
                         {.obstacle = "a{} is being verified on eth0"},
                         "a{} is being verified on eth0"},
                    Case{Gate::in_flight, {.obstacle = "transaction 7 on eth0"}, "transaction 7 on eth0"},
                    Case{Gate::changes_per_minute,
                         {.since = now - 59s, .span = 1min, .count = 60, .limit = 60},
                         "60 in the last 1m, " + later},
                    Case{Gate::min_hold, {.now = now, .since = now - 9s, .span = 10s}, later},
                    Case{Gate::min_hold, {.now = now, .since = now - 10s, .span = 10s}, ""},
                    Case{Gate::reload,
                         {.obstacle = "the adaptation is no longer there"},
                         "the adaptation is no longer there"},
                    Case{Gate::verify, {.obstacle = "expect does not hold"}, "expect does not hold"},
                    Case{Gate::verify, {}, ""}));

TEST(GateVerdicts, TheFirstClosedOneIsTheReason) {
    const std::vector<GateVerdict> verdicts{judge(Gate::enforcement, {}),
                                            judge(Gate::requirements, {.obstacle = "b is not active"}),
                                            judge(Gate::in_flight, {.obstacle = "transaction 1 on eth0"})};
    ASSERT_NE(first_closed(verdicts), nullptr);
    EXPECT_EQ(first_closed(verdicts)->gate, "requires");
    EXPECT_EQ(first_closed(std::span(verdicts).first(1)), nullptr);
}

TEST(GateVerdicts, AreTheSameWhereOnlyTimeHasPassed) {
    const std::vector<GateVerdict> one{judge(Gate::cooldown, {.now = now, .since = now, .span = 10s})};
    const std::vector<GateVerdict> two{judge(Gate::cooldown, {.now = now + 1s, .since = now, .span = 10s})};
    const std::vector<GateVerdict> three{
        judge(Gate::cooldown, {.now = now + 10s, .since = now, .span = 10s})};
    EXPECT_TRUE(same_verdicts(one, two));
    EXPECT_FALSE(same_verdicts(one, three));
}

} // namespace
} // namespace homeostat
