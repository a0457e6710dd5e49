#include "knowledge/series_store.hpp"

#include <algorithm>

namespace homeostat {

SeriesStore::SeriesStore(StoreLimits limits)
    : limits_(limits), retention_([](const Labels&) { return Duration{0}; }) {}

Result<SeriesId> SeriesStore::define(const Labels& labels) {
    if (const auto found = index_.find(labels); found != index_.end()) return found->second;
    if (index_.size() >= limits_.series_max) {
        ++losses_.series_refused;
        return failure("the store holds " + std::to_string(limits_.series_max) +
                       " series, its limit: refused " + to_text(labels));
    }
    SeriesId id{};
    if (free_.empty()) {
        id = static_cast<SeriesId>(series_.size());
        series_.emplace_back();
        names_.emplace_back();
    } else {
        id = free_.back();
        free_.pop_back();
    }
    at(id).retention = retention_(labels);
    names_[static_cast<std::size_t>(id)] = {labels, labels.without_metric_name(), true};
    index_.emplace(labels, id);
    SameName& same_name = by_name_[std::string(labels.metric_name())];
    const auto place = std::ranges::lower_bound(same_name.series, labels, {},
                                                [this](SeriesId other) { return this->labels(other); });
    same_name.series.insert(place, id);
    same_name.version = ++index_version_;
    return id;
}

bool SeriesStore::append(SeriesId id, Instant time, double value) {
    Series& series = at(id);
    if (series.points.size() > series.head && time <= series.newest.time) {
        ++losses_.samples_refused;
        return false;
    }
    series.newest = {time, value};
    series.points.push_back(series.newest);
    trim(series, time);
    return true;
}

void SeriesStore::trim(Series& series, Instant newest) {
    // A sample may go when its successor is already at or before the edge of the retention.
    const Instant edge = newest - series.retention;
    const std::size_t size = series.points.size();
    while (series.head + 1 < size && series.points[series.head + 1].time <= edge) ++series.head;
    if (size - series.head > limits_.samples_per_series_max) {
        ++series.head;
        ++losses_.samples_truncated;
    }
    if (series.head >= 16 && series.head * 2 >= size) {
        series.points.erase(series.points.begin(),
                            series.points.begin() + static_cast<std::ptrdiff_t>(series.head));
        series.first += series.head;
        series.head = 0;
    }
}

void SeriesStore::set_retention(Retention retention) {
    retention_ = std::move(retention);
    for (std::size_t i = 0; i < series_.size(); ++i) {
        if (!names_[i].live) continue;
        Series& series = series_[i];
        series.retention = retention_(names_[i].labels);
        if (series.points.size() > series.head) trim(series, series.newest.time);
    }
}

std::vector<SeriesId> SeriesStore::forget_unseen(Instant now, Duration lookback) {
    std::vector<SeriesId> forgotten;
    for (std::size_t i = 0; i < series_.size(); ++i) {
        Series& series = series_[i];
        Name& name = names_[i];
        if (!name.live || series.points.empty()) continue;
        const Point& newest = series.newest;
        const Duration seen_for = series.retention + (is_stale(newest.value) ? Duration{0} : lookback);
        if (newest.time >= now - seen_for) continue;
        const auto id = static_cast<SeriesId>(i);
        index_.erase(name.labels);
        const auto same_name = by_name_.find(name.labels.metric_name());
        std::erase(same_name->second.series, id);
        same_name->second.version = ++index_version_;
        if (same_name->second.series.empty()) by_name_.erase(same_name);
        const std::uint64_t next = series.first + series.points.size();
        series = Series{};
        series.first = next;
        name = Name{};
        free_.push_back(id);
        forgotten.push_back(id);
    }
    return forgotten;
}

std::span<const SeriesId> SeriesStore::named(std::string_view metric_name) const {
    const auto found = by_name_.find(metric_name);
    return found == by_name_.end() ? std::span<const SeriesId>()
                                   : std::span<const SeriesId>(found->second.series);
}

std::uint64_t SeriesStore::index_version(std::string_view metric_name) const {
    const auto found = by_name_.find(metric_name);
    return found == by_name_.end() ? 0 : found->second.version;
}

std::vector<SeriesId> SeriesStore::all() const {
    std::vector<SeriesId> ids;
    ids.reserve(index_.size());
    for (const auto& [name, same_name] : by_name_)
        ids.insert(ids.end(), same_name.series.begin(), same_name.series.end());
    std::ranges::sort(ids, {}, [this](SeriesId id) { return labels(id); });
    return ids;
}

Point SeriesStore::newest_before(const Series& series, Instant at_time) {
    for (std::size_t i = series.points.size(); i > series.head; --i)
        if (series.points[i - 1].time <= at_time) return series.points[i - 1];
    return {at_time, stale_marker};
}

std::span<const Point> SeriesStore::window(SeriesId id, Instant after, Instant until) const {
    const Series& series = at(id);
    const auto begin = series.points.begin() + static_cast<std::ptrdiff_t>(series.head);
    const auto first = std::upper_bound(begin, series.points.end(), after,
                                        [](Instant t, const Point& p) { return t < p.time; });
    auto last = series.points.end();
    while (last != first && std::prev(last)->time > until) --last;
    return {first, last};
}

} // namespace homeostat
