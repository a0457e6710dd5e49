// Conditions as thresholds: for which values of which terms a condition holds, as far as that can be read off
// it.
#pragma once

#include "policies/promql/result_labels.hpp"

#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace homeostat {

struct Interval {
    double low = -std::numeric_limits<double>::infinity();
    double high = std::numeric_limits<double>::infinity();
    bool low_open = false; // low itself is not in it
    bool high_open = false;

    bool operator==(const Interval&) const = default;
    bool is_empty() const { return low > high || (low == high && (low_open || high_open)); }
    bool contains(const Interval& other) const;
};

Interval intersection(const Interval& a, const Interval& b);
// One that a person would choose; the interval must not be empty.
double value_in(const Interval& interval);
// "> 50", ">= 5 and < 9", "== 1"
std::string to_text(const Interval& interval);

struct Threshold {
    promql::Expr term; // what is compared
    Interval interval;
};

// Holds where all thresholds do, and whatever else there is that cannot be read.
struct Conjunction {
    std::map<std::string, Threshold> thresholds; // by the term's text
    bool is_all = true;                          // there is nothing else
};

// Equal: each window as it stands. Steady: while values rest, so that a maximum over time, or a rate over any
// window, is what it is over any other.
enum class Terms { equal, steady };

// The condition holds where one of them does.
std::vector<Conjunction> conjunctions_of(const promql::Expr& condition, Terms terms);

// Of a scalar expression that is the same at all times.
std::optional<double> constant(const promql::Expr& expr);

// Where all values of the expression lie.
Interval range_of(const promql::Expr& expr, const promql::Schema& schema);

} // namespace homeostat
