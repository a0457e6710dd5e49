// The time series that are known: a bounded store in memory. A series keeps its newest sample and
// whatever its retention asks for, no more. Not thread-safe: it belongs to the loop.
#pragma once

#include "knowledge/error.hpp"
#include "knowledge/labels.hpp"
#include "knowledge/time.hpp"

#include <bit>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace homeostat {

// Prometheus's stale marker: a NaN of this one bit pattern says "the series ended here".
inline constexpr double stale_marker = std::bit_cast<double>(std::uint64_t{0x7ff0000000000002});
inline bool is_stale(double v) { return std::bit_cast<std::uint64_t>(v) == 0x7ff0000000000002; }

enum class SeriesId : std::uint32_t {};

struct Point {
    Instant time;
    double value;

    bool operator==(const Point&) const = default;
};

// The samples of a series that are in memory, oldest first. They are numbered as they come, and a number is
// never given again, also where the id is given to another series: so whoever reads a window over and over
// needs to look only at what came and what left.
struct History {
    std::span<const Point> points;
    std::uint64_t first = 0; // the number of points[0]
    std::uint64_t kept = 0;  // samples before this number are outside the retention, only not swept away yet
    const Point* newest = nullptr; // the last of them; mostly nearer to the processor than the others

    std::uint64_t end() const { return first + points.size(); }
    const Point& at(std::uint64_t number) const {
        return number + 1 == end() ? *newest : points[number - first];
    }
};

struct StoreLimits {
    std::size_t series_max = 100'000;
    std::size_t samples_per_series_max = 65'536; // 1 MiB of points
};

// What the store refused or forgot; each a counter that the loop exports.
struct StoreLosses {
    std::uint64_t series_refused = 0;    // series_max was reached
    std::uint64_t samples_refused = 0;   // not newer than the newest sample of its series
    std::uint64_t samples_truncated = 0; // samples_per_series_max was reached inside the retention

    bool operator==(const StoreLosses&) const = default;
};

class SeriesStore {
  public:
    explicit SeriesStore(StoreLimits limits = {});

    // Finds the series or makes it. Fails where series_max is reached.
    Result<SeriesId> define(const Labels& labels);

    // One sample per series per millisecond: refused (false) where `time` is not newer than the newest.
    bool append(SeriesId id, Instant time, double value);

    // How long samples are kept before `now`: called once for each series, at its definition and
    // whenever a new rule is set. One sample older than that is kept too, so that an instant selector with
    // an offset finds its value.
    using Retention = std::function<Duration(const Labels&)>;
    void set_retention(Retention retention);

    // Forgets series that no expression can see any more: those that ended, or were not written for longer
    // than the lookback, before their retention began. Tells which, in rising order: their ids may be given
    // out again, so whoever holds one must drop it.
    std::vector<SeriesId> forget_unseen(Instant now, Duration lookback);
    void set_limits(StoreLimits limits) { limits_ = limits; }

    // All series of a metric name, in the canonical order of their labels. Valid until the next
    // define or forget.
    std::span<const SeriesId> named(std::string_view metric_name) const;
    // All series, in the canonical order of their labels.
    std::vector<SeriesId> all() const;
    std::size_t size() const { return index_.size(); }

    const Labels& labels(SeriesId id) const { return named(id).labels; }
    const Labels& labels_without_name(SeriesId id) const { return named(id).labels_without_name; }

    // The newest sample in (at - lookback, at]; none where it is a stale marker.
    std::optional<Point> newest(SeriesId id, Instant at, Duration lookback) const;
    // The samples in (after, until], oldest first, stale markers included. Valid until the next append.
    std::span<const Point> window(SeriesId id, Instant after, Instant until) const;
    // Valid until the next append.
    History history(SeriesId id) const {
        const Series& series = at(id);
        return {series.points, series.first, series.first + series.head,
                &newest_[static_cast<std::size_t>(id)]};
    }
    // Asks the processor to fetch what history() reads.
    void prefetch(SeriesId id) const {
        __builtin_prefetch(&at(id));
        __builtin_prefetch(&newest_[static_cast<std::size_t>(id)]);
    }

    // Changes whenever a series comes or goes: a key for caches of selector results.
    std::uint64_t index_version() const { return index_version_; }
    // What index_version() was when a series of this metric name last came or went; 0 where there is none.
    std::uint64_t index_version(std::string_view metric_name) const;
    const StoreLosses& losses() const { return losses_; }

  private:
    // What each tick touches beside the newest sample, in one line of the processor's cache.
    struct alignas(64) Series {
        std::vector<Point> points; // live from `head` on; the dead front is cut when it is half of it
        std::size_t head = 0;
        std::uint64_t first = 0; // the number of points[0], see History
        Duration retention{};
    };
    struct Name {
        Labels labels;
        Labels labels_without_name;
        bool live = false;
    };
    struct SameName {
        std::vector<SeriesId> series; // in the canonical order of their labels
        std::uint64_t version = 0;
    };

    const Series& at(SeriesId id) const { return series_[static_cast<std::size_t>(id)]; }
    Series& at(SeriesId id) { return series_[static_cast<std::size_t>(id)]; }
    const Name& named(SeriesId id) const { return names_[static_cast<std::size_t>(id)]; }
    Point& newest(SeriesId id) { return newest_[static_cast<std::size_t>(id)]; }
    void trim(Series& series, Instant newest);
    // The newest sample at or before `at_time`, a stale marker where there is none.
    static Point newest_before(const Series& series, Instant at_time);

    StoreLimits limits_;
    Retention retention_;
    std::vector<Series> series_; // by id
    std::vector<Point>
        newest_;              // by id: a copy of each series' last point; a stale marker where there is none
    std::vector<Name> names_; // by id
    std::vector<SeriesId> free_;
    std::unordered_map<Labels, SeriesId, LabelsHash> index_; // look-up only, never iterated
    std::map<std::string, SameName, std::less<>> by_name_;
    std::uint64_t index_version_ = 0;
    StoreLosses losses_;
};

inline std::optional<Point> SeriesStore::newest(SeriesId id, Instant at_time, Duration lookback) const {
    Point point = newest_[static_cast<std::size_t>(id)];
    if (point.time > at_time) point = newest_before(at(id), at_time);
    if (point.time <= at_time - lookback || is_stale(point.value)) return std::nullopt;
    return point;
}

} // namespace homeostat
