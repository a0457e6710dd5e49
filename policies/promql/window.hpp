// What a function over a range vector needs to know of one series' window, kept up to date as samples enter
// at its end and leave at its beginning: constant time for each, amortised. A summary that has moved over a
// long history equals, bit for bit, one that was made of the window's samples alone.
#pragma once

#include "knowledge/series_store.hpp"
#include "policies/promql/exact_sum.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace homeostat::promql {

// What a function needs beside the number of the samples, the outermost ones and the last but one.
enum class Keeps {
    ends,    // nothing
    sum,     // the exact sum of the values
    rise,    // the exact sum of the values before each fall: what a counter's resets swallowed
    minimum, // the first of the smallest values
    maximum, // the first of the largest values
    changes, // how often neighbours differ; NaN equals NaN
    falls,   // how often a value is below the one before
    samples, // all of them
};

class WindowSummary;

// Whether a function of the window looks at its samples one by one: where it keeps them, and where its sum is
// torn, see ExactSum. Then only Prometheus's own order of additions gives what Prometheus gives.
bool reads_samples(Keeps keeps, const WindowSummary& summary);

// Of a non-empty window. Stale markers are no samples.
class alignas(64) WindowSummary {
  public:
    explicit WindowSummary(Keeps keeps) : keeps_(keeps) {}

    // Makes this the summary of the samples in (after, until] that the history keeps. Where the window went
    // back in time, or what left it is no longer in memory, it is made anew.
    void move_to(const History& history, Instant after, Instant until);
    void clear();

    // Ask the processor to fetch what move_to() will touch of this, and of the history.
    void prefetch() const {
        __builtin_prefetch(this);
        __builtin_prefetch(&sum_);
    }
    void prefetch_first(const History& history) const {
        if (begin_ < history.first || begin_ >= history.end()) return;
        const Point* const first = &history.at(begin_);
        __builtin_prefetch(first);
        __builtin_prefetch(first + 1); // it is asked whether this one leaves, too
    }

    bool empty() const { return count_ == 0; }
    std::size_t count() const { return count_; }
    // Samples and stale markers.
    std::size_t points() const { return static_cast<std::size_t>(end_ - begin_); }
    // The window's part of the history that it was last moved to, stale markers included.
    std::span<const Point> span(const History& history) const {
        return history.points.subspan(static_cast<std::size_t>(begin_ - history.first), points());
    }

    // Not of Keeps::sum.
    const Point& first() const { return first_; }
    const Point& last() const { return last_; }
    const Point& last_but_one() const { return last_but_one_; } // of at least two samples

    const ExactSum& sum() const { return sum_; }      // Keeps::sum
    double swallowed() const { return sum_.value(); } // Keeps::rise
    double extreme() const;                           // Keeps::minimum, Keeps::maximum; NaN where all are
    std::size_t times() const { return times_; }      // Keeps::changes, Keeps::falls

  private:
    struct Candidate {
        std::uint64_t number;
        double value;
    };

    bool can_go_on(const History& history, Instant after, Instant until) const;
    void enter(const Point& point, std::uint64_t number);
    void leave(const History& history);
    void pair_changed(double before, double after, bool enters);
    void enter_candidate(std::uint64_t number, double value);

    // What each tick touches comes first.
    Keeps keeps_;
    Instant after_{};
    Instant until_ = Instant::max(); // nothing is known yet
    std::uint64_t begin_ = 0;        // numbers of points, see History
    std::uint64_t end_ = 0;
    std::size_t count_ = 0;
    ExactSum sum_;
    Point first_{};
    Point last_{};
    Point last_but_one_{};
    std::size_t times_ = 0;
    // Values that are or will be the extreme, the present one first (a monotonic queue); live from
    // candidates_head_ on.
    std::vector<Candidate> candidates_;
    std::size_t candidates_head_ = 0;
};

} // namespace homeostat::promql
