#include "policies/promql/exact_sum.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace homeostat::promql {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double largest = std::numeric_limits<double>::max();
constexpr double smallest = std::numeric_limits<double>::denorm_min();

// The slow way: a counter for every binary place, carried at the end and rounded digit by digit.
double sum_by_places(const std::vector<double>& values) {
    constexpr std::size_t places = 2200; // from 2^-1074 on
    std::vector<std::int64_t> count(places);
    for (const double value : values) {
        int exponent = 0;
        double rest = std::frexp(std::fabs(value), &exponent);
        for (int place = exponent - 1 + 1074; rest > 0; --place) {
            rest *= 2;
            if (rest < 1) continue;
            rest -= 1;
            count.at(static_cast<std::size_t>(place)) += value < 0 ? -1 : 1;
        }
    }
    const auto carry = [&count] {
        for (std::size_t i = 0; i + 1 < count.size(); ++i) {
            const std::int64_t digit = count[i] & 1;
            count[i + 1] += (count[i] - digit) / 2;
            count[i] = digit;
        }
    };
    carry();
    const bool negative = count.back() < 0;
    if (negative) {
        for (std::int64_t& digit : count) digit = -digit;
        carry();
    }
    std::size_t top = count.size();
    while (top > 0 && count[top - 1] == 0) --top;
    if (top == 0) return 0;
    const std::size_t lowest = top > 53 ? top - 53 : 0; // the lowest place that the result has
    double made = 0;
    for (std::size_t i = top; i > lowest; --i) made = 2 * made + static_cast<double>(count[i - 1]);
    if (lowest > 0) {
        const bool half = count[lowest - 1] != 0;
        const bool more = std::any_of(count.begin(), count.begin() + static_cast<std::ptrdiff_t>(lowest) - 1,
                                      [](std::int64_t digit) { return digit != 0; });
        if (half && (more || std::fmod(made, 2) != 0)) made += 1;
    }
    made = std::ldexp(made, static_cast<int>(lowest) - 1074);
    return negative ? -made : made;
}

ExactSum sum_of(const std::vector<double>& values) {
    ExactSum sum;
    for (const double value : values) sum.add(value);
    return sum;
}

std::uint64_t bits(double value) { return std::bit_cast<std::uint64_t>(value); }

// Values from one of several worlds: near each other, over the whole range, of few digits, whole numbers.
double any_value(std::mt19937_64& random, int world) {
    const auto uniform = std::uniform_real_distribution<double>(-1, 1)(random);
    switch (world) {
    case 0:
        return uniform;
    case 1:
        return std::ldexp(uniform, static_cast<int>(random() % 2098) - 1074);
    case 2:
        return std::ldexp(static_cast<double>(static_cast<int>(random() % 5) - 2),
                          static_cast<int>(random() % 140));
    case 3:
        return static_cast<double>(random() % 1'000'000);
    default:
        return std::ldexp(uniform, static_cast<int>(random() % 60) - 1074);
    }
}

TEST(ExactSum, IsTheExactSumRoundedOnce) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 3'000; ++round) {
        std::vector<double> values(1 + random() % 20);
        for (double& value : values) value = any_value(random, round % 5);
        // Now and then the whole nearly cancels.
        if (round % 3 == 0)
            for (std::size_t i = values.size(); i > 1; --i) values.push_back(-values[i - 1]);
        EXPECT_EQ(bits(sum_of(values).value()), bits(sum_by_places(values))) << round;
    }
}

TEST(ExactSum, DependsOnWhatIsInItNotOnWhatWas) {
    std::mt19937_64 random(2);
    for (int round = 0; round < 200; ++round) {
        ExactSum moving;
        std::vector<double> in_it;
        for (int step = 0; step < 200; ++step) {
            if (in_it.empty() || random() % 5 < 3) {
                in_it.push_back(any_value(random, static_cast<int>(random() % 5)));
                moving.add(in_it.back());
            } else {
                const auto place = in_it.begin() + static_cast<std::ptrdiff_t>(random() % in_it.size());
                moving.remove(*place);
                in_it.erase(place);
            }
            if (step % 10 != 0) continue;
            std::vector<double> shuffled = in_it;
            std::ranges::shuffle(shuffled, random);
            EXPECT_EQ(bits(moving.value()), bits(sum_of(shuffled).value()));
            EXPECT_EQ(bits(moving.value()), bits(sum_by_places(in_it)));
        }
    }
}

TEST(ExactSum, KeepsWhatRoundingWouldLose) {
    EXPECT_EQ(sum_of({1, 1e100, 1, -1e100}).value(), 2);
    EXPECT_EQ(sum_of({largest, largest, -largest}).value(), largest);
    EXPECT_EQ(sum_of({largest, smallest, -largest}).value(), smallest);
    EXPECT_EQ(sum_of({0.1, 0.2, 0.3, -0.3, -0.2, -0.1}).value(), 0);
}

TEST(ExactSum, RoundsTiesToEven) {
    const double two53 = 9007199254740992;
    EXPECT_EQ(sum_of({two53, 1}).value(), two53);
    EXPECT_EQ(sum_of({two53, 2, 1}).value(), two53 + 4);
    EXPECT_EQ(sum_of({two53, 1, smallest}).value(), two53 + 2);
    EXPECT_EQ(sum_of({-two53, -1, -smallest}).value(), -two53 - 2);
}

TEST(ExactSum, OverflowsToInfinityAndComesBack) {
    ExactSum sum = sum_of({largest, largest});
    EXPECT_EQ(sum.value(), infinity);
    sum.remove(largest);
    EXPECT_EQ(sum.value(), largest);
    EXPECT_EQ(sum_of({-largest, -largest}).value(), -infinity);
    EXPECT_EQ(sum_of({largest, std::ldexp(1, 969)}).value(), largest) << "less than half a unit above";
    EXPECT_EQ(sum_of({largest, std::ldexp(1, 970)}).value(), infinity) << "half a unit above";
}

TEST(ExactSum, OfInfinitiesAndNanFollowsIeee754WhileTheyAreInIt) {
    ExactSum sum = sum_of({1, infinity});
    EXPECT_EQ(sum.value(), infinity);
    sum.add(-infinity);
    EXPECT_TRUE(std::isnan(sum.value()));
    sum.remove(infinity);
    EXPECT_EQ(sum.value(), -infinity);
    sum.add(nan);
    EXPECT_TRUE(std::isnan(sum.value()));
    sum.remove(-infinity);
    sum.remove(nan);
    EXPECT_EQ(sum.value(), 1);
}

TEST(ExactSum, OfNothingAndOfZerosIsPlusZero) {
    ExactSum sum;
    EXPECT_EQ(bits(sum.value()), bits(0.0));
    sum.add(-0.0);
    EXPECT_EQ(bits(sum.value()), bits(0.0));
    sum.add(5);
    sum.add(-5);
    EXPECT_EQ(bits(sum.value()), bits(0.0));
}

TEST(ExactSum, HasAFiniteMeanAlsoWhereItsSumIsNot) {
    EXPECT_EQ(sum_of({1, 2, 6}).mean(3), 3);
    for (const std::size_t count : {2, 3, 5, 7, 9, 100, 1025}) {
        const std::vector<double> values(count, largest);
        EXPECT_DOUBLE_EQ(sum_of(values).mean(count), largest) << count;
    }
    EXPECT_DOUBLE_EQ(sum_of({-largest, -largest, 0}).mean(3), -largest / 3 * 2);
    EXPECT_EQ(sum_of({infinity, 1}).mean(2), infinity);
    EXPECT_TRUE(std::isnan(sum_of({nan, 1}).mean(2)));
}

} // namespace
} // namespace homeostat::promql
