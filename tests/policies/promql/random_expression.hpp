// Random PromQL over a fixed set of metrics, whose results do not hang on the last bit: where a function
// jumps (floor, >, topk), only what is exact stands below it.
#pragma once

#include <random>
#include <string>

namespace homeostat::promql {

// Metrics: x, y (gauges of labels g, i), c (counter), s (has NaN and infinities, gaps and stale ends),
// h_bucket (classic histogram). Times and ranges keep off the edges of windows where steps are multiples of
// 15 s and the expression is evaluated 3 s after one. `base_s` is the time of the first sample.
class RandomExpression {
  public:
    RandomExpression(std::mt19937_64& random, std::int64_t base_s) : random_(random), base_s_(base_s) {}

    std::string make();

  private:
    std::size_t below(std::size_t count) { return random_() % count; }
    template <std::size_t count> std::string pick(const char* const (&from)[count]) {
        return from[below(count)];
    }

    std::string vector(int depth, bool exact);
    std::string selector(bool counter = false);
    std::string when();
    std::string matrix(int depth, bool counter = false);
    std::string scalar(int depth, bool exact);
    std::string exact_call(int depth);
    std::string smooth_call(int depth);
    std::string aggregation(int depth, bool exact);
    std::string binary(int depth, bool exact);
    std::string labels_call(int depth, bool exact);
    std::string grouping();
    std::string matching(bool grouped);

    std::mt19937_64& random_;
    std::int64_t base_s_;
};

} // namespace homeostat::promql
