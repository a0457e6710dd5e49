#include "policies/promql/exact_sum.hpp"

#include <algorithm>
#include <limits>
#include <span>

namespace homeostat::promql {

namespace {

constexpr int lowest_exponent = -1074;
constexpr std::uint32_t no_base = std::uint32_t{1} << 31U; // no value is near it

// The rounded sum as mantissa × 2^exponent.
struct Rounded {
    double mantissa; // a whole number up to 2^63
    int exponent;
};

Rounded rounded(std::span<const std::uint64_t> limbs) {
    const bool negative = limbs.back() >> 63U != 0;
    std::size_t lowest = 0; // the lowest limb that is not zero: above it, negating is inverting
    while (lowest < limbs.size() && limbs[lowest] == 0) ++lowest;
    if (lowest == limbs.size()) return {0, 0};
    const auto magnitude = [&](std::size_t i) {
        if (!negative) return limbs[i];
        return i < lowest ? 0 : i == lowest ? -limbs[i] : ~limbs[i];
    };
    std::size_t top = limbs.size() - 1;
    while (magnitude(top) == 0) --top;
    const auto zeros = static_cast<unsigned>(std::countl_zero(magnitude(top)));
    const std::uint64_t next = top > 0 ? magnitude(top - 1) : 0;
    std::uint64_t bits = magnitude(top) << zeros | next >> 1U >> (63 - zeros); // the 64 highest
    const bool more = next << zeros != 0 || lowest + 1 < top;
    // The processor rounds to nearest, ties to even; a signed number is what it knows to convert.
    bits = bits >> 1U | (bits & 1U) | (more ? 1U : 0U);
    const auto whole = static_cast<std::int64_t>(bits);
    const int exponent = lowest_exponent + static_cast<int>(top * 64) - static_cast<int>(zeros) + 1;
    return {static_cast<double>(negative ? -whole : whole), exponent};
}

} // namespace

void ExactSum::clear() { *this = ExactSum(); }

void ExactSum::change_special(double value, bool negate) {
    std::uint32_t& count = std::isnan(value) ? nans_ : value > 0 ? plus_infinities_ : minus_infinities_;
    negate ? --count : ++count;
}

double ExactSum::special_value() const {
    const bool is_nan = nans_ > 0 || (plus_infinities_ > 0 && minus_infinities_ > 0);
    if (is_nan) return std::numeric_limits<double>::quiet_NaN();
    return plus_infinities_ > 0 ? std::numeric_limits<double>::infinity()
                                : -std::numeric_limits<double>::infinity();
}

// Where it is empty, it may begin anywhere, in the middle of what is near; a full one stays full.
void ExactSum::begin_at(std::uint32_t place) {
    constexpr std::uint32_t room_below = 96;
    if (full_) return;
    high_ = low_ = 0;
    base_ = place < room_below ? 0 : (place - room_below) / 64 * 64;
}

// What roundings moved from one double to the other over time takes room.
bool ExactSum::change_renewed(double value) {
    const TwoSum renewed(high_, low_);
    if (!std::isfinite(renewed.sum)) return false;
    high_ = renewed.sum;
    low_ = renewed.lost;
    return change_near(value);
}

void ExactSum::change_far(double value, bool negate) {
    if (!full_) {
        full_ = widened();
        base_ = no_base;
    }
    std::uint32_t& values = full_->values[place_of(value) / 64];
    negate ? --values : ++values;
    accumulate(*full_, value, negate);
}

std::unique_ptr<ExactSum::Full> ExactSum::widened() const {
    auto full = std::make_unique<Full>();
    std::ranges::copy(near_values_, full->values.begin() + static_cast<std::ptrdiff_t>(base_ / 64));
    accumulate(*full, high_, false);
    accumulate(*full, low_, false);
    return full;
}

// Adds a finite value, or takes it away; a carry out of the highest limb is the sign's.
void ExactSum::accumulate(Full& full, double value, bool negate) {
    constexpr std::uint64_t hidden_bit = std::uint64_t{1} << 52U;
    const auto bits = std::bit_cast<std::uint64_t>(value);
    const bool is_normal = (bits >> 52U & 0x7ffU) != 0;
    const std::uint64_t mantissa = (bits & (hidden_bit - 1)) | (is_normal ? hidden_bit : 0);
    const bool subtract = (bits >> 63U != 0) != negate;
    std::size_t limb = place_of(value) / 64;
    const unsigned shift = place_of(value) % 64;
    const std::array<std::uint64_t, 2> shifted{mantissa << shift, mantissa >> 1U >> (63 - shift)};
    bool carry = false;
    for (std::size_t i = 0; limb < full.limbs.size() && (i < 2 || carry); ++i, ++limb) {
        const std::uint64_t part = i < 2 ? shifted[i] : 0;
        std::uint64_t next = 0;
        bool carries = false;
        if (subtract) {
            carries = __builtin_sub_overflow(full.limbs[limb], part, &next);
            carries |= __builtin_sub_overflow(next, std::uint64_t{carry}, &next);
        } else {
            carries = __builtin_add_overflow(full.limbs[limb], part, &next);
            carries |= __builtin_add_overflow(next, std::uint64_t{carry}, &next);
        }
        full.limbs[limb] = next;
        carry = carries;
    }
}

bool ExactSum::is_full_torn() const {
    const auto is_there = [](std::uint32_t values) { return values > 0; };
    const auto lowest = std::ranges::find_if(full_->values, is_there);
    const auto highest = std::find_if(full_->values.rbegin(), full_->values.rend(), is_there);
    return lowest != full_->values.end() && highest.base() - 1 - lowest > static_cast<int>(near_limbs);
}

double ExactSum::uncommon_value() const {
    if (is_special()) return special_value();
    const Rounded sum = rounded(full_->limbs);
    return sum.mantissa == 0 ? 0 : std::ldexp(sum.mantissa, sum.exponent);
}

double ExactSum::uncommon_mean(std::size_t count) const {
    const auto number = static_cast<double>(count);
    if (is_special()) return special_value() / number;
    const Rounded large = rounded(full_ ? full_->limbs : widened()->limbs);
    return std::ldexp(large.mantissa / number, large.exponent);
}

} // namespace homeostat::promql
