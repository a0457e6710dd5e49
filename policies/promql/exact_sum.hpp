// The sum of a multiset of doubles, exact until it is asked for. Values come and go in any order; the result
// depends only on those that are in it, not on what was in it before. A fixed-point number that is wide
// enough for every carry (a superaccumulator, after Kulisch): 256 bits where the values are near each other,
// the whole range of a double from the first value on that does not fit.
#pragma once

#include <array>
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
    static constexpr std::size_t near_limbs = 4;
    static constexpr std::size_t full_limbs = 34; // 2^-1074 up to 2^1102
    static constexpr int lowest_exponent = -1074;
    static constexpr int headroom_bits = 34; // the carries of 2^32 values, and a sign

    // The rounded sum as mantissa × 2^exponent.
    struct Rounded {
        double mantissa;
        int exponent;
    };

    static int limb_of(int exponent); // of Full; below the lowest, negative
    void change(double value, bool negate);
    void change_special(double value, bool negate);
    bool is_special() const { return (nans_ | plus_infinities_ | minus_infinities_) != 0; }
    double special_value() const;
    void grow();
    Rounded rounded() const;

    // Two's complement, lowest limb first; bit 0 counts 2^base_. Zero where nothing is in it.
    struct Full {
        std::array<std::uint64_t, full_limbs> limbs{};
        std::array<std::uint32_t, full_limbs> values{}; // whose lowest bit lies in each limb
    };

    std::array<std::uint64_t, near_limbs> near_{};
    std::array<std::uint32_t, near_limbs> near_values_{}; // as Full::values, from the limb of base_ on
    std::unique_ptr<Full> full_;                          // where set, it holds the sum
    int base_ = 0;
    std::uint32_t finite_ = 0; // values other than zero
    std::uint32_t nans_ = 0;
    std::uint32_t plus_infinities_ = 0;
    std::uint32_t minus_infinities_ = 0;
};

} // namespace homeostat::promql
