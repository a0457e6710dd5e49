#include "policies/promql/window.hpp"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

namespace homeostat::promql {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr std::array all_kinds{Keeps::ends,    Keeps::sum,     Keeps::rise,  Keeps::minimum,
                               Keeps::maximum, Keeps::changes, Keeps::falls, Keeps::samples};

std::uint64_t bits(double value) { return std::bit_cast<std::uint64_t>(value); }

void expect_same(Keeps keeps, const WindowSummary& moved, const WindowSummary& made) {
    ASSERT_EQ(moved.count(), made.count());
    ASSERT_EQ(moved.points(), made.points());
    if (made.empty()) return;
    const auto same = [](const Point& a, const Point& b) {
        return a.time == b.time && bits(a.value) == bits(b.value);
    };
    const bool has_ends = keeps != Keeps::sum;
    EXPECT_TRUE(!has_ends || same(moved.first(), made.first()));
    EXPECT_TRUE(!has_ends || same(moved.last(), made.last()));
    EXPECT_TRUE(!has_ends || made.count() < 2 || same(moved.last_but_one(), made.last_but_one()));
    EXPECT_EQ(bits(moved.sum().value()), bits(made.sum().value()));
    EXPECT_EQ(bits(moved.sum().mean(made.count())), bits(made.sum().mean(made.count())));
    EXPECT_EQ(bits(moved.extreme()), bits(made.extreme()));
    EXPECT_EQ(moved.times(), made.times());
}

double any_value(std::mt19937& random) {
    constexpr std::array<double, 12> special{
        0.0, -0.0, nan, stale_marker, 1e300, -1e300, std::numeric_limits<double>::infinity(),
        5,   5,    5,   0.1,          1e-300};
    if (random() % 2 == 0) return special[random() % special.size()];
    return std::uniform_real_distribution<double>(-10, 100)(random);
}

// A window that moves in steps of random size over a series that grows, is trimmed, ends and comes again
// under the same id; sometimes it jumps back.
void play(Keeps keeps, std::uint32_t seed) {
    std::mt19937 random(seed);
    SeriesStore store({.series_max = 2, .samples_per_series_max = 40});
    const Duration range{200 + static_cast<int>(random() % 3'000)};
    store.set_retention([&](const Labels&) { return range; });
    Labels labels{{"__name__", "a"}};
    SeriesId id = *store.define(labels);
    WindowSummary moved(keeps);
    std::int64_t now = 1'000;
    for (int step = 0; step < 600; ++step) {
        now += 1 + static_cast<std::int64_t>(random() % 200);
        for (std::uint32_t n = random() % 4; n > 0; --n) {
            store.append(id, at_ms(now), any_value(random));
            now += static_cast<std::int64_t>(random() % 40);
        }
        if (random() % 50 == 0) { // forgotten; the id goes to another series
            now += 20'000;
            ASSERT_LE(store.forget_unseen(at_ms(now), Duration{1}).size(), 1U);
            labels = labels.with("n", std::to_string(step));
            id = *store.define(labels);
            now -= static_cast<std::int64_t>(random() % 20'000);
        }
        if (random() % 100 == 0) now += 10'000;
        const std::int64_t end =
            random() % 40 == 0 ? now - 500 : now - static_cast<std::int64_t>(random() % 3);
        moved.move_to(store.history(id), at_ms(end) - range, at_ms(end));
        WindowSummary made(keeps);
        made.move_to(store.history(id), at_ms(end) - range, at_ms(end));
        ASSERT_EQ(made.points(), store.window(id, at_ms(end) - range, at_ms(end)).size());
        expect_same(keeps, moved, made);
        if (testing::Test::HasFailure()) return;
    }
}

TEST(Window, ThatMovedEqualsOneMadeAnewWhateverItsHistory) {
    for (const Keeps keeps : all_kinds)
        for (std::uint32_t seed = 0; seed < 30 && !testing::Test::HasFailure(); ++seed) play(keeps, seed);
}

WindowSummary over(Keeps keeps, const std::vector<double>& values) {
    std::vector<Point> points;
    for (const double value : values)
        points.push_back({at_ms(static_cast<std::int64_t>(points.size()) + 1), value});
    WindowSummary made(keeps);
    made.move_to({points, 0, 0, &points.back()}, at_ms(0), at_ms(1'000));
    return made;
}

TEST(Window, TakesTheFirstOfEqualExtremes) {
    EXPECT_EQ(bits(over(Keeps::maximum, {-1, -0.0, 0.0, -0.0}).extreme()), bits(-0.0));
    EXPECT_EQ(bits(over(Keeps::minimum, {1, 0.0, -0.0}).extreme()), bits(0.0));
}

TEST(Window, HasNanAsItsExtremeOnlyWhereThereIsNothingElse) {
    EXPECT_EQ(over(Keeps::maximum, {nan, 3, nan}).extreme(), 3);
    EXPECT_TRUE(std::isnan(over(Keeps::minimum, {nan, nan}).extreme()));
}

TEST(Window, CountsFallsAndChangesBetweenNeighbours) {
    EXPECT_EQ(over(Keeps::falls, {3, 2, 2, stale_marker, 1, 5}).times(), 2U);
    EXPECT_EQ(over(Keeps::changes, {3, 3, nan, nan, 3, stale_marker, 3}).times(), 2U);
    EXPECT_EQ(over(Keeps::rise, {3, 2, 7, 1}).swallowed(), 10);
}

TEST(Window, CostsTheSameHoweverLongItIs) {
    // Every sample enters once and leaves once: the work is seen by moving a long window sample by sample
    // over a history that would take minutes if each step looked at all of it.
    SeriesStore store({.series_max = 1, .samples_per_series_max = 1'000'000});
    const Duration range{500'000};
    store.set_retention([&](const Labels&) { return range; });
    const SeriesId id = *store.define(Labels{{"__name__", "a"}});
    WindowSummary sum(Keeps::sum);
    WindowSummary most(Keeps::maximum);
    for (std::int64_t t = 1; t <= 1'000'000; ++t) {
        store.append(id, at_ms(t), static_cast<double>((t * 7919) % 1000));
        sum.move_to(store.history(id), at_ms(t) - range, at_ms(t));
        most.move_to(store.history(id), at_ms(t) - range, at_ms(t));
    }
    EXPECT_EQ(sum.count(), 500'000U);
    EXPECT_EQ(sum.sum().value(), 500'000.0 / 1000 * (999.0 * 1000 / 2));
    EXPECT_EQ(most.extreme(), 999);
}

} // namespace
} // namespace homeostat::promql
