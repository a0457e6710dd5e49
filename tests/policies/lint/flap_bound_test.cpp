#include "policies/lint/flap_bound.hpp"

#include "tests/policies/lint/told.hpp"
#include "tests/policies/policy_run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace homeostat::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using namespace std::chrono_literals;

FlapLimits limits(Duration tick = 1s) {
    return {.tick = tick,
            .instances_per_adaptation_max = 1'000,
            .changes_per_minute_max = 60,
            .interfaces = {"eth0", "eth1"}};
}

std::vector<FlapBound> bounds(const std::string& toml, const FlapLimits& within = limits()) {
    const PolicySet policies = parsed(toml);
    return flap_bounds(policies, with_policy_metrics(small_schema(), policies), within);
}

// Of eth0, with an adaptation on "{{iface}}" while link_up is 0.
std::string bound(const std::string& gates, const std::string& raise = "link_up == 0",
                  const std::string& timing = "") {
    return to_text(bounds(symptom(raise, timing) + "[[adaptation]]\nname = 'a'\nwhen = 's'\n" + gates +
                          "\nset.interface.\"{{iface}}\".xdp.program = 'guard'\n")
                       .at(0));
}

TEST(FlapBound, IsWhatTheTightestLimitAllows) {
    EXPECT_EQ(bound("budget = '6/1h'"),
              "eth0 ({{iface}}): at most 12 changes an hour (a: budget 6/1h, each applied and removed)");
    EXPECT_THAT(bound("budget = '2/10m'"), HasSubstr("at most 24 changes an hour (a: budget 2/10m"));
    EXPECT_THAT(bound("budget = '0/1h'"), HasSubstr("at most 0 changes"));
    EXPECT_THAT(bound("min_hold = '5m'\ncooldown = '1m'"),
                HasSubstr("at most 20 changes an hour (a: min_hold 5m, cooldown 1m,"));
    EXPECT_THAT(bound("min_hold = '5m'\ncooldown = '1m'\nbudget = '6/1h'"), HasSubstr("budget 6/1h"));
    EXPECT_THAT(bound("min_hold = '5m'\ncooldown = '1m'\nbudget = '60/1h'"), HasSubstr("min_hold 5m"));
    EXPECT_THAT(bound("", "link_up == 0", "for = '1m'\nkeep = '9m'"),
                HasSubstr("at most 14 changes an hour (a: s with for 1m, keep 9m"));
    EXPECT_THAT(bound(""), HasSubstr("at most 3600 changes an hour (a: two ticks of 1s for each"));
    EXPECT_THAT(bound("damp = {}"), HasSubstr("(a: damp, each"));
}

TEST(FlapBound, CountsTheInstancesOfATarget) {
    EXPECT_THAT(bound("cooldown = '10m'", "over_limit{proto=\"udp\"} > 0"), HasSubstr("at most 12 changes"))
        << "one for each interface";
    EXPECT_THAT(bound("cooldown = '10m'", "verdicts_total{proto=\"udp\"} > 0"),
                HasSubstr("at most 24 changes an hour (a: 2 instances, cooldown 10m"));
    EXPECT_THAT(bound("cooldown = '1h'", "over_limit > 0"),
                HasSubstr("at most 2000 changes an hour (a: up to 1000 instances, cooldown 1h"));
    EXPECT_THAT(bound("cooldown = '1h'\nmax_active = 2\nmin_hold = '1h'", "over_limit > 0"),
                HasSubstr("at most 4 changes an hour (a: max_active 2, min_hold 1h"));
}

TEST(FlapBound, StopsAtTheLimitOfAllAdaptations) {
    EXPECT_THAT(bound("", "over_limit > 0"),
                HasSubstr("at most 7200 changes an hour (a: changes_per_minute_max 60,"));
}

TEST(FlapBound, TrustsNoMinHoldWhereOthersCanTakeTheOverlayAway) {
    const std::string required = symptom("link_up == 0") +
                                 "[[adaptation]]\nname = 'a'\nwhen = 's'\nmin_hold = '1h'\n"
                                 "requires = 'b'\nset.interface.eth0.xdp.program = 'guard'\n"
                                 "[[adaptation]]\nname = 'b'\nwhen = 's'\nmin_hold = '1h'\n"
                                 "set.interface.eth1.xdp.program = 'guard'\n";
    EXPECT_THAT(to_text(bounds(required).at(0)), HasSubstr("a: 2 instances, two ticks of 1s"));
    EXPECT_THAT(to_text(bounds(required).at(1)), HasSubstr("b: 2 instances, min_hold 1h"));
}

TEST(FlapBound, KnowsThatARollbackDoesNotWaitForMinHold) {
    EXPECT_THAT(bound("min_hold = '1h'\nverify = { expect = 'x', within = '5s', backoff = '55s' }"),
                HasSubstr("at most 120 changes an hour (a: verify.within 5s, backoff 55s"));
    EXPECT_THAT(bound("min_hold = '1h'\nverify = { expect = 'x', otherwise = 'report' }"),
                HasSubstr("min_hold 1h"));
}

TEST(FlapBound, AddsUpTheAdaptationsOfATarget) {
    const std::string two = symptom("link_up == 0") +
                            "[[adaptation]]\nname = 'a'\nwhen = 's'\nbudget = '2/1h'\n"
                            "set.interface.\"{{iface}}\".xdp.program = 'guard'\n"
                            "[[adaptation]]\nname = 'b'\nwhen = 's'\nbudget = '3/1h'\n"
                            "set.interface.eth1.xdp.mode = 'skb'\n"
                            "[[adaptation]]\nname = 'c'\nwhen = 's'\nenforcement = 'shadow'\n"
                            "set.interface.eth1.xdp.mode = 'drv'\n";
    const auto all = bounds(two);
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].changes, 4U);
    EXPECT_EQ(all[1].changes, 10U);
    EXPECT_EQ(to_text(all[1]),
              "eth1 (eth1 and {{iface}}): at most 10 changes an hour (a: 4 by budget 2/1h, each applied "
              "and removed; b: 6 by budget 3/1h, each applied and removed)");
    FlapLimits unknown = limits();
    unknown.interfaces.clear();
    EXPECT_THAT(to_text(bounds(two, unknown).at(1)), StartsWith("{{iface}}: at most 4 changes an hour"));
}

std::vector<std::string> warnings(const std::string& gates, const promql::Schema& sensors = small_schema()) {
    const PolicySet policies = parsed(symptom("link_up == 0") + "[[adaptation]]\nname = 'a'\nwhen = 's'\n" +
                                      gates + "\nset.interface.\"{{iface}}\".xdp.program = 'guard'\n");
    const promql::Schema schema = with_policy_metrics(sensors, policies);
    Diagnostics diagnostics;
    warn_of_flapping(policies, schema, limits(), flap_bounds(policies, schema, limits()), diagnostics);
    std::vector<std::string> lines;
    for (const Diagnostic& diagnostic : diagnostics) lines.push_back(to_text(diagnostic));
    return lines;
}

TEST(FlapBound, IsAWarningWhereNothingDamps) {
    EXPECT_THAT(warnings(""),
                ElementsAre("p:7:9: warning: 'a' may change eth0 3600 times an hour; give it a min_hold, a "
                            "cooldown, a budget or damp [undamped]"));
    EXPECT_THAT(warnings("cooldown = '19s'"), ElementsAre(HasSubstr("[undamped]")));
    EXPECT_THAT(warnings("cooldown = '20s'"), IsEmpty());
}

TEST(FlapBound, IsAWarningWithoutAConfigurationOnlyWhereOneInstanceIsEnough) {
    EXPECT_THAT(warnings("", {}), ElementsAre(HasSubstr("[undamped]")));
    EXPECT_THAT(warnings("cooldown = '19s'", {}), ElementsAre(HasSubstr("[undamped]")));
    EXPECT_THAT(warnings("cooldown = '20s'", {}), IsEmpty());
}

TEST(FlapBound, TellsABudgetThatLimitsNothing) {
    // Two interfaces, each at most six times an hour.
    EXPECT_THAT(warnings("cooldown = '10m'\nbudget = '12/1h'"),
                ElementsAre(HasSubstr("[budget-never-binds]")));
    EXPECT_THAT(warnings("cooldown = '10m'\nbudget = '11/1h'"), IsEmpty());
}

// ---- whatever the inputs do

// Picks one of the texts.
std::string any(std::mt19937& random, const std::vector<std::string>& texts) {
    return texts[std::uniform_int_distribution<std::size_t>(0, texts.size() - 1)(random)];
}

std::string random_policy(std::mt19937& random) {
    const auto timing = [&] {
        return any(random, {"", "for = '3s'\n", "keep = '7s'\n", "for = '2s'\nkeep = '4s'\n",
                            "keep = '9s'\nforget = '3s'\n", "quorum = '2/3'\nkeep = '1s'\n"});
    };
    const auto gates = [&] {
        return any(random, {"", "min_hold = '20s'\n"}) + any(random, {"", "cooldown = '11s'\n"}) +
               any(random, {"", "", "budget = '5/7m'\n"}) +
               any(random, {"", "", "damp = { half_life = '5m' }\n"}) +
               any(random, {"", "", "max_active = 1\n"}) +
               any(random, {"", "", "verify = { expect = 'x', within = '4s', backoff = '6s' }\n"});
    };
    std::string text = "[[symptom]]\nname = 's'\nraise = 'link_up == 0'\n" + timing() +
                       "[[symptom]]\nname = 't'\nraise = 'over_limit{proto=\"udp\"} > 5'\nclear = "
                       "'over_limit{proto=\"udp\"} < 3'\n" +
                       timing();
    text += "[[adaptation]]\nname = 'a'\nwhen = '" + any(random, {"s", "t", "s or t", "s and not t"}) +
            "'\n" + gates() + any(random, {"", "", "inhibits = 'b'\n"}) +
            "set.interface.\"{{iface}}\".xdp.program = 'guard'\n";
    text += "[[adaptation]]\nname = 'b'\nwhen = '" + any(random, {"s", "t", "t and s"}) + "'\n" + gates() +
            any(random, {"", "", "requires = 'a'\n"}) + "set.interface.\"{{iface}}\".xdp.mode = 'skb'\n";
    return text;
}

struct Applied {
    std::string adaptation;
    std::string interface;
    Duration at;
};

// Inputs that change as fast as they like, or rest, or are missing.
std::vector<Applied> applications(const std::string& toml, std::mt19937& random, Duration time) {
    PolicyRun run(toml);
    std::vector<Applied> applied;
    std::uniform_real_distribution<double> chance(0, 1);
    const double restless = std::stod(any(random, {"0.02", "0.3", "1"}));
    std::map<std::string, double> values{{"link_up{iface='eth0'}", 1},
                                         {"link_up{iface='eth1'}", 1},
                                         {"over_limit{iface='eth0',proto='udp'}", 0},
                                         {"over_limit{iface='eth1',proto='udp'}", 0}};
    for (Duration at{0}; at < time; at += 1s) {
        std::vector<std::pair<std::string, double>> samples;
        for (auto& [series, value] : values) {
            if (chance(random) < restless) value = series.starts_with("link_up") ? 1 - value : 9 - value;
            samples.emplace_back(series, value);
        }
        for (const Receipt& receipt : run.tick(at, samples).receipts)
            if (receipt.action == Receipt::Action::apply && receipt.enforcement == Enforcement::enforce)
                for (const std::string& target : receipt.targets)
                    applied.push_back({receipt.adaptation, target, at});
    }
    return applied;
}

TEST(FlapBound, HoldsInEachHourWhateverTheInputsDo) {
    constexpr int policies = 24;
    for (unsigned seed = 0; seed < policies; ++seed) {
        std::mt19937 random(seed);
        const std::string toml = random_policy(random);
        const std::vector<Applied> applied = applications(toml, random, 90min);
        for (const FlapBound& bound : bounds(toml)) {
            for (const FlapShare& share : bound.shares) {
                std::vector<Duration> at;
                for (const Applied& one : applied)
                    if (one.adaptation == share.adaptation && one.interface == bound.target)
                        at.push_back(one.at);
                std::size_t first = 0;
                for (std::size_t last = 0; last < at.size(); ++last) {
                    while (at[last] - at[first] >= 1h) ++first;
                    ASSERT_LE(2 * (last - first + 1), share.changes)
                        << "seed " << seed << ", " << to_text(bound) << "\n"
                        << toml;
                }
            }
        }
    }
}

} // namespace
} // namespace homeostat::test
