// Random series that grow, pause, end, fall back and are forgotten, and random expressions over them: what
// the tests of remembered evaluation compare with evaluation from scratch.
#pragma once

#include "knowledge/series_store.hpp"
#include "policies/promql/evaluate.hpp"

#include <cstdint>
#include <random>
#include <string>

namespace homeostat::promql {

class RandomHistory {
  public:
    explicit RandomHistory(std::uint32_t seed);

    // One tick: samples for some of the series, sometimes a series that ends, sometimes a sweep of the store.
    void tick();

    const SeriesStore& store() const { return store_; }
    Instant now() const { return now_; }
    static constexpr Duration lookback{4'000};

  private:
    double any_value(double before);

    std::mt19937 random_;
    SeriesStore store_;
    Instant now_ = at_ms(1'700'000'000'000);
    double pace_ = 1; // how many of the series are written in a tick
};

// An element-wise expression: one that Lanes compiles.
std::string element_wise_expression(std::mt19937& random, int depth);
// Any expression, of type instant vector.
std::string any_expression(std::mt19937& random, int depth);

// Bit for bit, NaN included.
bool same_bits(double a, double b);
bool same_result(const Result<Value>& a, const Result<Value>& b);
std::string result_text(const Result<Value>& value);

} // namespace homeostat::promql
