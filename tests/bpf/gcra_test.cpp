#include "bpf/gcra.bpf.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace {

constexpr __u64 second = GCRA_NS_PER_SECOND;

int conforming(__u64& arrival, rate_limit limit, int packets, __u64 now) {
    int count = 0;
    for (int i = 0; i < packets; ++i)
        if (gcra_charge(&arrival, limit, 1, now) == GCRA_CONFORMS) ++count;
    return count;
}

TEST(Gcra, AtOneInstantExactlyTheBurstConforms) {
    for (const __u64 pps : {1u, 3u, 1'000u, 7'000'000u})
        for (const __u64 burst : {1u, 2u, 1'000u}) {
            __u64 arrival = 0;
            EXPECT_EQ(conforming(arrival, {pps, burst}, 5'000, second), static_cast<int>(burst))
                << pps << " pps";
        }
}

TEST(Gcra, ABurstOfZeroCountsAsOne) {
    __u64 arrival = 0;
    EXPECT_EQ(conforming(arrival, {10, 0}, 100, second), 1);
}

TEST(Gcra, AfterTheBurstPacketsConformAtTheRate) {
    __u64 arrival = 0;
    const rate_limit limit{.pps = 1'000, .burst = 10};
    conforming(arrival, limit, 100, second);
    int count = 0;
    for (__u64 now = second + 100'000; now <= 2 * second; now += 100'000)
        count += conforming(arrival, limit, 1, now);
    EXPECT_EQ(count, 1'000);
}

TEST(Gcra, SilenceFillsTheBucketNoFurtherThanTheBurst) {
    __u64 arrival = 0;
    const rate_limit limit{.pps = 1'000, .burst = 10};
    conforming(arrival, limit, 100, second);
    EXPECT_EQ(conforming(arrival, limit, 100, 1'000 * second), 10);
}

TEST(Gcra, APacketThatExceedsIsNotCharged) {
    __u64 arrival = 0;
    const rate_limit limit{.pps = 1'000, .burst = 1};
    conforming(arrival, limit, 1'000'000, second);
    EXPECT_EQ(conforming(arrival, limit, 1, second + 1'000'000), 1);
}

TEST(Gcra, ALimitThatRestsTakesOverWhereAnotherOneIs) {
    const rate_limit limit{.pps = 1'000, .burst = 100};
    __u64 other = 0, arrival = 0;
    conforming(other, limit, 90, second);
    gcra_take_over(&arrival, &other, second);
    EXPECT_EQ(conforming(arrival, limit, 100, second), 10);
}

TEST(Gcra, ALimitAtWorkTakesNothingOver) {
    const rate_limit limit{.pps = 1'000, .burst = 100};
    __u64 other = 0, arrival = 0;
    conforming(other, limit, 100, second);
    conforming(arrival, limit, 1, second);
    gcra_take_over(&arrival, &other, second);
    EXPECT_EQ(conforming(arrival, limit, 200, second), 99);
}

TEST(Gcra, WhatLiesInThePastIsNotTakenOver) {
    const rate_limit limit{.pps = 1'000, .burst = 100};
    __u64 other = 0, arrival = 0;
    conforming(other, limit, 100, second);
    gcra_take_over(&arrival, &other, 2 * second);
    EXPECT_EQ(arrival, 0u);
}

TEST(Gcra, ABatchConformsWholeOrNotAtAll) {
    __u64 arrival = 0;
    const rate_limit limit{.pps = 1'000, .burst = 10};
    EXPECT_EQ(gcra_charge(&arrival, limit, 8, second), GCRA_CONFORMS);
    EXPECT_EQ(gcra_charge(&arrival, limit, 4, second), GCRA_EXCEEDS);
    EXPECT_EQ(conforming(arrival, limit, 10, second), 2);
}

TEST(Gcra, AClockThatStepsBackGivesNothingAway) {
    __u64 arrival = 0;
    const rate_limit limit{.pps = 1'000, .burst = 10};
    EXPECT_EQ(conforming(arrival, limit, 100, 2 * second), 10);
    EXPECT_EQ(conforming(arrival, limit, 100, 2 * second - 5'000'000), 0);
}

TEST(Gcra, AFasterLimitHoldsAtOnceAfterASlowOne) {
    __u64 arrival = 0;
    EXPECT_EQ(conforming(arrival, {1, 1'000}, 2'000, second), 1'000);
    const rate_limit faster{.pps = 1'000, .burst = 10};
    conforming(arrival, faster, 1, second);
    EXPECT_EQ(conforming(arrival, faster, 100, 2 * second), 10);
}

TEST(Gcra, ExtremeLimitsDoNotOverflow) {
    __u64 arrival = 0;
    EXPECT_EQ(conforming(arrival, {1, ~0ULL}, 1'000, second), 1'000);
    arrival = 0;
    EXPECT_EQ(conforming(arrival, {~0ULL, 1}, 1'000, second), 1'000);
}

TEST(Gcra, ManyCpusTogetherGetTheBurstAndNoMore) {
    __u64 arrival = 0;
    const rate_limit limit{.pps = 1, .burst = 20'000};
    std::atomic<int> count = 0;
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] { count += conforming(arrival, limit, 20'000, second); });
    threads.clear();
    EXPECT_EQ(count, 20'000);
}

} // namespace
