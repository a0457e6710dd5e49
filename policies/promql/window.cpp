#include "policies/promql/window.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace homeostat::promql {

namespace {

bool is_change(double before, double after) {
    return before != after && !(std::isnan(before) && std::isnan(after));
}

} // namespace

void WindowSummary::clear() { *this = WindowSummary(keeps_); }

bool WindowSummary::can_go_on(const History& history, Instant after, Instant until) const {
    if (after < after_ || until < until_ || end_ > history.end()) return false;
    return begin_ == end_ || begin_ >= history.first;
}

void WindowSummary::move_to(const History& history, Instant after, Instant until) {
    if (!can_go_on(history, after, until)) {
        clear();
        const auto first = std::ranges::upper_bound(history.points, after, {}, &Point::time);
        begin_ = end_ = history.first + static_cast<std::uint64_t>(first - history.points.begin());
    }
    if (begin_ == end_) begin_ = end_ = std::max(end_, history.kept);
    after_ = after;
    until_ = until;
    for (; end_ < history.end() && history.at(end_).time <= until; ++end_)
        if (const Point& point = history.at(end_); !is_stale(point.value)) enter(point, end_);
    while (begin_ < end_ && (begin_ < history.kept || history.at(begin_).time <= after)) leave(history);
}

void WindowSummary::enter(const Point& point, std::uint64_t number) {
    ++count_;
    if (keeps_ == Keeps::sum) return sum_.add(point.value);
    if (count_ == 1)
        first_ = point;
    else
        pair_changed(last_.value, point.value, true);
    last_but_one_ = last_;
    last_ = point;
    if (keeps_ == Keeps::minimum || keeps_ == Keeps::maximum) enter_candidate(number, point.value);
}

void WindowSummary::leave(const History& history) {
    const Point& point = history.at(begin_++);
    if (is_stale(point.value)) return;
    --count_;
    if (keeps_ == Keeps::sum) return sum_.remove(point.value);
    if (candidates_head_ < candidates_.size() && candidates_[candidates_head_].number < begin_)
        ++candidates_head_;
    if (count_ == 0) return;
    std::uint64_t next = begin_;
    while (is_stale(history.at(next).value)) ++next;
    first_ = history.at(next);
    pair_changed(point.value, first_.value, false);
}

void WindowSummary::pair_changed(double before, double after, bool enters) {
    if (keeps_ == Keeps::rise && after < before)
        enters ? sum_.add(before) : sum_.remove(before);
    else if ((keeps_ == Keeps::falls && after < before) ||
             (keeps_ == Keeps::changes && is_change(before, after)))
        enters ? ++times_ : --times_;
}

void WindowSummary::enter_candidate(std::uint64_t number, double value) {
    if (std::isnan(value)) return;
    const auto outdone = [&](double other) {
        return keeps_ == Keeps::maximum ? other < value : other > value;
    };
    while (candidates_.size() > candidates_head_ && outdone(candidates_.back().value)) candidates_.pop_back();
    if (candidates_.size() > candidates_head_) {
        // Of the same bits it does not matter which is taken; the later one stays longer.
        Candidate& back = candidates_.back();
        if (std::bit_cast<std::uint64_t>(back.value) == std::bit_cast<std::uint64_t>(value)) {
            back.number = number;
            return;
        }
    }
    if (candidates_head_ > 0 && candidates_head_ * 2 >= candidates_.size()) {
        candidates_.erase(candidates_.begin(),
                          candidates_.begin() + static_cast<std::ptrdiff_t>(candidates_head_));
        candidates_head_ = 0;
    }
    candidates_.push_back({number, value});
}

double WindowSummary::extreme() const {
    return candidates_head_ < candidates_.size() ? candidates_[candidates_head_].value : last_.value;
}

} // namespace homeostat::promql
