#include "policies/promql/exact_sum.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <span>

namespace homeostat::promql {

namespace {

constexpr int mantissa_bits = 53;
constexpr std::uint64_t fraction_mask = (std::uint64_t{1} << 52U) - 1;

// value = ± mantissa × 2^exponent.
struct Parts {
    std::uint64_t mantissa;
    int exponent;
    bool negative;
};

Parts parts_of(double value) {
    const auto bits = std::bit_cast<std::uint64_t>(value);
    const auto exponent = static_cast<int>(bits >> 52U & 0x7ffU);
    const std::uint64_t fraction = bits & fraction_mask;
    const bool negative = bits >> 63U != 0;
    if (exponent == 0) return {fraction, -1074, negative};
    return {fraction | (fraction_mask + 1), exponent - 1075, negative};
}

// Adds mantissa × 2^offset, or takes it away; a carry out of the highest limb is the sign's.
void accumulate(std::span<std::uint64_t> limbs, std::uint64_t mantissa, unsigned offset, bool subtract) {
    std::size_t place = offset / 64;
    const unsigned shift = offset % 64;
    const std::array<std::uint64_t, 2> shifted{mantissa << shift, shift == 0 ? 0 : mantissa >> (64 - shift)};
    bool carry = false;
    for (std::size_t i = 0; place < limbs.size() && (i < 2 || carry); ++i, ++place) {
        const std::uint64_t part = i < 2 ? shifted[i] : 0;
        std::uint64_t next = 0;
        bool carries = false;
        if (subtract) {
            carries = __builtin_sub_overflow(limbs[place], part, &next);
            carries |= __builtin_sub_overflow(next, std::uint64_t{carry}, &next);
        } else {
            carries = __builtin_add_overflow(limbs[place], part, &next);
            carries |= __builtin_add_overflow(next, std::uint64_t{carry}, &next);
        }
        limbs[place] = next;
        carry = carries;
    }
}

// mantissa × 2^exponent; exact where the mantissa is a whole number below 2^53 and the result is no fraction
// of the smallest double.
double scaled(double mantissa, int exponent) {
    if (exponent < -1022 || exponent > 970) return std::ldexp(mantissa, exponent);
    return mantissa * std::bit_cast<double>(static_cast<std::uint64_t>(exponent + 1023) << 52U);
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

void ExactSum::change(double value, bool negate) {
    if (value == 0) return;
    if (!std::isfinite(value)) return change_special(value, negate);
    const Parts parts = parts_of(value);
    const bool subtract = parts.negative != negate;
    constexpr int room_below = 64;
    constexpr int offset_max = static_cast<int>(near_limbs) * 64 - mantissa_bits - headroom_bits;
    // Where it is empty, it may begin anywhere; a full one stays full.
    if (finite_ == 0) base_ = full_ ? lowest_exponent : parts.exponent - room_below;
    negate ? --finite_ : ++finite_;
    const int offset = parts.exponent - base_;
    const int limb = limb_of(parts.exponent);
    const auto count = [negate](std::uint32_t& values) { negate ? --values : ++values; };
    if (!full_ && offset >= 0 && offset <= offset_max) {
        count(near_values_[static_cast<std::size_t>(limb - limb_of(base_))]);
        return accumulate(near_, parts.mantissa, static_cast<unsigned>(offset), subtract);
    }
    if (!full_) grow();
    count(full_->values[static_cast<std::size_t>(limb)]);
    accumulate(full_->limbs, parts.mantissa, static_cast<unsigned>(parts.exponent - base_), subtract);
}

int ExactSum::limb_of(int exponent) {
    const int place = exponent - lowest_exponent;
    return place >= 0 ? place / 64 : -((63 - place) / 64);
}

bool ExactSum::is_torn() const {
    if (!full_) return false;
    const auto is_there = [](std::uint32_t values) { return values > 0; };
    const auto lowest = std::ranges::find_if(full_->values, is_there);
    const auto highest = std::find_if(full_->values.rbegin(), full_->values.rend(), is_there);
    return lowest != full_->values.end() && highest.base() - 1 - lowest > static_cast<int>(near_limbs);
}

void ExactSum::grow() {
    full_ = std::make_unique<Full>();
    const bool negative = near_.back() >> 63U != 0;
    // base_ may lie below every double's lowest bit; then the bits there are zero.
    for (std::size_t i = 0; i < near_limbs; ++i) {
        const std::uint64_t limb = near_[i];
        const int offset = base_ + static_cast<int>(i) * 64 - lowest_exponent;
        if (offset >= 0)
            accumulate(full_->limbs, limb, static_cast<unsigned>(offset), false);
        else if (offset > -64)
            accumulate(full_->limbs, limb >> static_cast<unsigned>(-offset), 0, false);
    }
    const int end = base_ + static_cast<int>(near_limbs) * 64 - lowest_exponent;
    if (negative) accumulate(full_->limbs, 1, static_cast<unsigned>(end), true);
    const std::ptrdiff_t lowest_limb = limb_of(base_);
    for (std::size_t i = 0; i < near_limbs; ++i)
        if (near_values_[i] > 0)
            full_->values[static_cast<std::size_t>(lowest_limb + static_cast<std::ptrdiff_t>(i))] =
                near_values_[i];
    near_values_ = {};
    near_ = {};
    base_ = lowest_exponent;
}

ExactSum::Rounded ExactSum::rounded() const {
    const std::span<const std::uint64_t> limbs =
        full_ ? std::span<const std::uint64_t>(full_->limbs) : std::span<const std::uint64_t>(near_);
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
    std::uint64_t bits = magnitude(top) << zeros; // the 64 highest
    std::uint64_t rest = 0;
    if (top > 0 && zeros > 0) {
        bits |= magnitude(top - 1) >> (64 - zeros);
        rest = magnitude(top - 1) << zeros;
    } else if (top > 0) {
        rest = magnitude(top - 1);
    }
    const bool more = rest != 0 || lowest + 1 < top;
    constexpr unsigned dropped = 64 - mantissa_bits;
    constexpr std::uint64_t half = std::uint64_t{1} << (dropped - 1);
    const std::uint64_t below = bits & (2 * half - 1);
    std::uint64_t mantissa = bits >> dropped;
    if (below > half || (below == half && (more || (mantissa & 1U) != 0))) ++mantissa;
    const int exponent =
        base_ + static_cast<int>(top) * 64 - static_cast<int>(zeros) + static_cast<int>(dropped);
    const auto rounded = static_cast<double>(mantissa);
    return {negative ? -rounded : rounded, exponent};
}

double ExactSum::value() const {
    if (is_special()) return special_value();
    if (finite_ == 0) return 0;
    const Rounded sum = rounded();
    return sum.mantissa == 0 ? 0 : scaled(sum.mantissa, sum.exponent);
}

double ExactSum::mean(std::size_t count) const {
    const double sum = value();
    const auto number = static_cast<double>(count);
    if (std::isfinite(sum) || is_special()) return sum / number;
    const Rounded large = rounded();
    return std::ldexp(large.mantissa / number, large.exponent);
}

} // namespace homeostat::promql
