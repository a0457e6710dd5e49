// Evidence alone judges as the store did, and what Analyze remembers changes no decision.
#include "policies/analyze.hpp"
#include "policies/evidence.hpp"
#include "tests/policies/policy_run.hpp"
#include "tests/policies/promql/history.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace homeostat::test {
namespace {

using namespace std::chrono_literals;

std::string hex(double value) {
    std::array<char, 40> text{};
    std::snprintf(text.data(), text.size(), "%a", value);
    return std::isnan(value) ? "nan" : text.data();
}

std::string dump(const SymptomEvidence& evidence) {
    std::string text = to_text(evidence.key) + " " + hex(evidence.value) + " raise ";
    text += std::string(to_text(evidence.raise_is)) + " clear " + std::string(to_text(evidence.clear_is));
    text += evidence.clear_covered ? " covered" : "";
    text += evidence.truncated ? " truncated\n" : "\n";
    for (const SeenValue& seen : evidence.seen)
        text += "  " + seen.expression + " " + to_text(seen.labels) + " " + hex(seen.value) + "\n";
    return text;
}

std::string dump(const Decisions& decisions) {
    std::string text;
    for (const SymptomChange& change : decisions.symptoms)
        text += change.symptom + " " + std::string(to_text(change.from)) + " -> " +
                std::string(to_text(change.to)) + " " + dump(change.evidence);
    for (const std::string& message : decisions.messages) text += message + "\n";
    return text;
}

// Symptoms over random conditions; every third one is not element-wise.
std::string random_policy(std::mt19937& random) {
    std::string toml;
    for (int i = 0; i < 24; ++i) {
        const auto condition = [&](const char* compared) {
            return "(" +
                   (i % 3 == 0 ? promql::any_expression(random, 1)
                               : promql::element_wise_expression(random, i % 4)) +
                   ")" + compared;
        };
        const std::string n = std::to_string(i);
        toml += "[[symptom]]\nname = 's" + n + "'\nraise = '''" + condition(" > 3") + "'''\n";
        if (i % 2 == 0) toml += "clear = '''" + condition(" < 9") + "'''\n";
        if (i % 5 == 0) toml += "for = '2s'\n";
        if (i % 4 == 1) toml += "on_missing = 'clear'\n";
    }
    toml += "[[signal]]\nname = 'sig'\nexpr = 'rate(a[5s]) or b'\n[[symptom]]\nname = 'of_signal'\n"
            "raise = 'sig > 2'\nclear = 'max_over_time(sig[3s]) < 2'\n";
    return toml;
}

// One side of a comparison: the same samples, judged with or without a memory.
struct Side {
    Knowledge knowledge;
    AnalyzeLimits limits;

    Decisions tick(const PolicySet& policies, const promql::RandomHistory& history) {
        const SeriesStore& from = history.store();
        for (const SeriesId id : from.all())
            for (const Point& point : from.window(id, seen_until, history.now()))
                (void)knowledge.series.append(*knowledge.series.define(from.labels(id)), point.time,
                                              point.value);
        seen_until = history.now();
        Decisions decisions;
        record_signals(policies, knowledge, history.now(), limits, decisions);
        advance_symptoms(policies, knowledge, history.now(), true, limits, decisions);
        return decisions;
    }

    Instant seen_until = at_ms(0);
};

void adopt(Side& side, const PolicySet& policies) {
    side.limits.evaluation.lookback = promql::RandomHistory::lookback;
    side.knowledge.series.set_retention([&](const Labels& labels) { return policies.history_for(labels); });
}

void sweep(Knowledge& knowledge, Instant now) {
    const auto forgotten = knowledge.series.forget_unseen(now, promql::RandomHistory::lookback);
    for (auto& [family, recorded] : knowledge.recorded)
        std::erase_if(recorded.current,
                      [&](SeriesId id) { return std::ranges::binary_search(forgotten, id); });
}

TEST(Analyze, DecidesTheSameWithAndWithoutAMemory) {
    std::size_t changes = 0;
    for (std::uint32_t seed = 0; seed < 10; ++seed) {
        std::mt19937 random(seed);
        const PolicySet policies = policies_of(random_policy(random));
        promql::RandomHistory history(seed);
        Side anew;
        Side remembering;
        AnalyzeMemory memory;
        remembering.limits.memory = &memory;
        remembering.limits.evaluation.selectors = &memory.selectors;
        adopt(anew, policies);
        adopt(remembering, policies);
        for (int tick = 0; tick < 120; ++tick) {
            history.tick();
            const Decisions right = anew.tick(policies, history);
            ASSERT_EQ(dump(remembering.tick(policies, history)), dump(right)) << seed << " " << tick;
            changes += right.symptoms.size();
            if (tick % 30 == 29)
                for (Side* side : {&anew, &remembering}) sweep(side->knowledge, history.now());
        }
    }
    EXPECT_GT(changes, 5'000U);
}

TEST(Evidence, AloneJudgesItsKeyAsItWasJudged) {
    std::size_t judged = 0;
    std::size_t values = 0;
    for (std::uint32_t seed = 100; seed < 110; ++seed) {
        std::mt19937 random(seed);
        const PolicySet policies = policies_of(random_policy(random));
        promql::RandomHistory history(seed);
        Side side;
        adopt(side, policies);
        for (int tick = 0; tick < 120; ++tick) {
            history.tick();
            for (const SymptomChange& change : side.tick(policies, history).symptoms) {
                const SymptomEvidence& evidence = change.evidence;
                EXPECT_FALSE(evidence.truncated);
                const auto again = judge_again(evidence);
                ASSERT_TRUE(again) << again.error().what;
                const Judged before{evidence.raise_is, evidence.clear_is,
                                    evidence.raise_is == Truth::yes ? std::optional(evidence.value)
                                                                    : std::nullopt};
                ASSERT_EQ(*again, before)
                    << change.symptom << " " << evidence.raise << " / " << evidence.clear << "\n"
                    << dump(evidence);
                ++judged;
                values += evidence.seen.size();
            }
        }
    }
    EXPECT_GT(judged, 5'000U);
    EXPECT_LT(values, judged * 20) << "most keys need only their own values";
}

std::vector<std::string> seen_of(const SymptomChange& change) {
    std::vector<std::string> all;
    for (const SeenValue& seen : change.evidence.seen)
        all.push_back(seen.expression + " " + to_text(seen.labels));
    return all;
}

TEST(Evidence, HoldsOnlyTheValuesOfItsKeyWhereTheySuffice) {
    PolicyRun run("[[symptom]]\nname = 's'\nraise = 'a > 5 and b < 2 or a > 50'\n");
    const Decisions decisions =
        run.tick(0s, {{"a{x='1'}", 9}, {"b{x='1'}", 1}, {"a{x='2'}", 1}, {"b{x='2'}", 1}});
    ASSERT_EQ(decisions.symptoms.size(), 1U);
    EXPECT_THAT(seen_of(decisions.symptoms[0]), testing::ElementsAre("a a{x=\"1\"}", "b b{x=\"1\"}"));
}

TEST(Evidence, HoldsWhatAgreesWithItsKeyWhereOthersCount) {
    PolicyRun run("[[symptom]]\nname = 's'\nraise = 'sum by (x) (a) > 5'\n");
    const Decisions decisions =
        run.tick(0s, {{"a{x='1',y='1'}", 3}, {"a{x='1',y='2'}", 4}, {"a{x='2',y='1'}", 1}});
    ASSERT_EQ(decisions.symptoms.size(), 1U);
    EXPECT_THAT(seen_of(decisions.symptoms[0]),
                testing::ElementsAre("a a{x=\"1\",y=\"1\"}", "a a{x=\"1\",y=\"2\"}"));
}

TEST(Evidence, HoldsEverythingWhereAllOfItDecides) {
    PolicyRun run("[[symptom]]\nname = 's'\nraise = 'topk(1, a)'\n");
    run.tick(0s, {{"a{x='1'}", 9}, {"a{x='2'}", 1}});
    const Decisions decisions = run.tick(1s, {{"a{x='1'}", 1}, {"a{x='2'}", 5}});
    ASSERT_EQ(decisions.symptoms.size(), 2U);
    EXPECT_THAT(seen_of(decisions.symptoms[0]), testing::ElementsAre("a a{x=\"1\"}", "a a{x=\"2\"}"))
        << "outside the top because of another one";
}

TEST(Evidence, SaysWhereItIsTruncated) {
    PolicyRun run("[[symptom]]\nname = 's'\nraise = 'sum(a) > 5'\n");
    std::vector<std::pair<std::string, double>> samples;
    for (std::size_t i = 0; i < evidence_values_max + 1; ++i)
        samples.emplace_back("a{x='" + std::to_string(i) + "'}", 1);
    const Decisions decisions = run.tick(0s, samples);
    ASSERT_EQ(decisions.symptoms.size(), 1U);
    EXPECT_TRUE(decisions.symptoms[0].evidence.truncated);
    EXPECT_EQ(decisions.symptoms[0].evidence.seen.size(), evidence_values_max);
    EXPECT_NE(*judge_again(decisions.symptoms[0].evidence), (Judged{Truth::yes, Truth::missing, 10'001}));
}

} // namespace
} // namespace homeostat::test
