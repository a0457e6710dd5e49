// The sum of a multiset of doubles, exact until it is asked for. Values come and go in any order; the result
// depends only on those that are in it, not on what was in it before. While the values are near each other,
// two doubles hold it without an error (Knuth's two-sum tells what an addition loses); from the first value
// on that does not fit, a fixed-point number that is wide enough for every carry (a superaccumulator, after
// Kulisch).
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace homeostat::promql {

class ExactSum {
  public:
    // At most 2^32 values at a time. Only what was added may be removed.
    void add(double value) { change(value, false); }
    void remove(double value) { change(value, true); }
    void clear();

    // Rounded once, to nearest, ties to even; ±Inf where that is too large. As IEEE 754 says of infinities
    // and NaN, but there is one NaN only. The sum of nothing, and an exact zero, is +0.
    double value() const;
    // The sum by the number of values, finite also where the sum would not be.
    double mean(std::size_t count) const;
    // Whether values are so far apart, more than 256 bits, that a sum in floating point, also a compensated
    // one, may have nothing to do with the exact one where they cancel.
    bool is_torn() const;

  private:
    static constexpr std::size_t limb_count = 34; // 2^-1074 up to 2^1102
    static constexpr std::size_t near_limbs = 4;
    static constexpr std::uint32_t near_places = near_limbs * 64;

    // Two's complement, lowest limb first; bit 0 counts 2^-1074.
    struct Full {
        std::array<std::uint64_t, limb_count> limbs{};
        std::array<std::uint32_t, limb_count> values{}; // whose lowest bit lies in each limb
    };

    // Of a finite value's lowest bit: 0 where it counts 2^-1074.
    static std::uint32_t place_of(double value) {
        const auto exponent = static_cast<std::uint32_t>(std::bit_cast<std::uint64_t>(value) >> 52U & 0x7ffU);
        return exponent == 0 ? 0 : exponent - 1;
    }
    static void accumulate(Full& full, double value, bool negate);
    void change(double value, bool negate);
    bool change_near(double value);
    bool change_renewed(double value);
    void change_far(double value, bool negate);
    void change_special(double value, bool negate);
    bool is_special() const { return (nans_ | plus_infinities_ | minus_infinities_) != 0; }
    double special_value() const;
    void begin_at(std::uint32_t place);
    std::unique_ptr<Full> widened() const;
    bool is_full_torn() const;
    double uncommon_value() const;
    double uncommon_mean(std::size_t count) const;

    double high_ = 0; // the sum is high_ + low_
    double low_ = 0;
    std::array<std::uint32_t, near_limbs> near_values_{}; // as Full::values, from that of base_ on
    std::unique_ptr<Full> full_; // where set, it holds the sum, and no value is near base_
    std::uint32_t base_ = 0;     // a place, of the lowest bit of a limb
    std::uint32_t finite_ = 0;   // values other than zero
    std::uint32_t nans_ = 0;
    std::uint32_t plus_infinities_ = 0;
    std::uint32_t minus_infinities_ = 0;
};

// In line is what a moving window does at each step: with a value that is near the others.
inline void ExactSum::change(double value, bool negate) {
    if (value == 0) return;
    if (!std::isfinite(value)) return change_special(value, negate);
    const std::uint32_t place = place_of(value);
    if (finite_ == 0) begin_at(place);
    const std::uint32_t by = negate ? ~std::uint32_t{0} : 1;
    finite_ += by;
    const std::uint32_t above = place - base_; // huge where it lies below
    const double part = negate ? -value : value;
    if (above >= near_places || !(change_near(part) || change_renewed(part)))
        return change_far(value, negate);
    near_values_[above / 64] += by;
}

struct TwoSum {
    double sum;
    double lost; // by rounding: exact, unless something overflows, and then not finite

    TwoSum(double a, double b) : sum(a + b) {
        const double b_in_sum = sum - a;
        lost = (a - (sum - b_in_sum)) + (b - b_in_sum);
    }
};

// False where it does not fit; then nothing is changed.
inline bool ExactSum::change_near(double value) {
    const TwoSum high(high_, value);
    const TwoSum low(low_, high.lost);
    if (low.lost != 0) return false; // also where it is NaN
    high_ = high.sum;
    low_ = low.sum;
    return true;
}

inline bool ExactSum::is_torn() const { return full_ && is_full_torn(); }

inline double ExactSum::value() const {
    if (full_ || is_special()) return uncommon_value();
    const double sum = high_ + low_;
    return sum == 0 ? 0 : sum;
}

inline double ExactSum::mean(std::size_t count) const {
    const double sum = value();
    return std::isfinite(sum) ? sum / static_cast<double>(count) : uncommon_mean(count);
}

} // namespace homeostat::promql
