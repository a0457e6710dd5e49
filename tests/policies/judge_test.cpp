// Each gate, judged by its facts.
#include "policies/gates.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace homeostat {
namespace {

using namespace std::chrono_literals;

struct Case {
    std::string gate;
    GateFacts facts;
    std::string detail; // empty: open
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.gate << ": " << c.detail; }

class GateVerdicts : public testing::TestWithParam<Case> {};

TEST_P(GateVerdicts, FollowFromTheirFacts) {
    const GateVerdict verdict = judge(GetParam().gate, GetParam().facts);
    EXPECT_EQ(verdict.detail, GetParam().detail);
    EXPECT_EQ(verdict.open, GetParam().detail.empty());
    EXPECT_EQ(judge(verdict.gate, verdict.facts), verdict);
}

constexpr Instant now = at_ms(100'000);
const std::string later = "until 1970-01-01T00:01:41.000Z";

INSTANTIATE_TEST_SUITE_P(
    Gates, GateVerdicts,
    testing::Values(
        Case{"enforcement", {.obstacle = "off"}, "off"}, Case{"enforcement", {}, ""},
        Case{"target", {.obstacle = "label 'iface' is absent"}, "label 'iface' is absent"},
        Case{"requires", {.obstacle = "b is not active"}, "b is not active"},
        Case{"inhibits", {.obstacle = "b{} is active"}, "b{} is active"},
        Case{"backoff",
             {.now = now, .since = now - 9s, .span = 10s, .count = 1},
             "1 verification failed in a row, " + later},
        Case{"backoff",
             {.now = now, .since = now - 9s, .span = 10s, .count = 2},
             "2 verifications failed in a row, " + later},
        Case{"backoff", {.now = now, .since = now - 10s, .span = 10s, .count = 2}, ""},
        Case{"cooldown", {.now = now, .since = now - 9s, .span = 10s}, later},
        Case{"cooldown", {.now = now, .since = now - 10s, .span = 10s}, ""},
        Case{"cooldown", {.now = now, .span = 10s}, ""}, // never removed
        Case{"damp", {.now = now, .since = now - 9s, .span = 10s}, later},
        Case{"max_active", {.count = 3, .limit = 3}, "3 are active"},
        Case{"max_active", {.count = 2, .limit = 3}, ""},
        Case{"budget",
             {.since = now - 9s, .span = 10s, .count = 6, .limit = 6},
             "6 in the last 10s, " + later},
        Case{"budget", {.span = 1h, .count = 0, .limit = 0}, "0 in the last 1h"},
        Case{"budget", {.span = 1h, .count = 5, .limit = 6}, ""},
        Case{"verification", {.obstacle = "a{} is being verified on eth0"}, "a{} is being verified on eth0"},
        Case{"in_flight", {.obstacle = "transaction 7 on eth0"}, "transaction 7 on eth0"},
        Case{"changes_per_minute",
             {.since = now - 59s, .span = 1min, .count = 60, .limit = 60},
             "60 in the last 1m, " + later},
        Case{"min_hold", {.now = now, .since = now - 9s, .span = 10s}, later},
        Case{"min_hold", {.now = now, .since = now - 10s, .span = 10s}, ""},
        Case{
            "reload", {.obstacle = "the adaptation is no longer there"}, "the adaptation is no longer there"},
        Case{"verify", {.obstacle = "expect does not hold"}, "expect does not hold"},
        Case{"verify", {}, ""}));

TEST(GateVerdicts, TheFirstClosedOneIsTheReason) {
    const std::vector<GateVerdict> verdicts{judge("enforcement", {}),
                                            judge("requires", {.obstacle = "b is not active"}),
                                            judge("in_flight", {.obstacle = "transaction 1 on eth0"})};
    ASSERT_NE(first_closed(verdicts), nullptr);
    EXPECT_EQ(first_closed(verdicts)->gate, "requires");
    EXPECT_EQ(first_closed(std::span(verdicts).first(1)), nullptr);
}

TEST(GateVerdicts, AreTheSameWhereOnlyTimeHasPassed) {
    const std::vector<GateVerdict> one{judge("cooldown", {.now = now, .since = now, .span = 10s})};
    const std::vector<GateVerdict> two{judge("cooldown", {.now = now + 1s, .since = now, .span = 10s})};
    const std::vector<GateVerdict> three{judge("cooldown", {.now = now + 10s, .since = now, .span = 10s})};
    EXPECT_TRUE(same_verdicts(one, two));
    EXPECT_FALSE(same_verdicts(one, three));
}

} // namespace
} // namespace homeostat
