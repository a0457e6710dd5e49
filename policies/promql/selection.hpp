// What selectors choose of a store, remembered from evaluation to evaluation. Only a memory: results are the
// same without it.
#pragma once

#include "knowledge/labels.hpp"
#include "knowledge/series_store.hpp"
#include "policies/promql/ast.hpp"
#include "policies/promql/window.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace homeostat::promql {

// The samples of a window without the stale markers; copied into `scratch` only where there are any.
std::span<const Point> without_markers(std::span<const Point> points, std::vector<Point>& scratch);

// The series of each metric by the value of a label, so that many selectors that differ in one label need not
// each look at every series.
class LabelIndexes {
  public:
    // As the store tells it; the last answer is remembered, since many selectors name one metric.
    std::uint64_t version(const SeriesStore& store, const std::string& metric_name);

    // The series of the metric that may have this value, in canonical order. Valid until the next call.
    std::span<const SeriesId> candidates(const SeriesStore& store, const std::string& metric_name,
                                         const std::string& label, const std::string& value);

  private:
    struct Index {
        std::uint64_t version = 0;
        bool made = false; // the first question is answered by all series: there may be no second one
        std::unordered_map<std::string, std::vector<SeriesId>> by_value; // look-up only, never iterated
    };
    std::map<std::pair<std::string, std::string>, Index> indexes_;
    std::optional<std::uint64_t> asked_at_; // the store's index version
    std::string asked_;
    std::uint64_t answer_ = 0;
};

// The series that one selector chooses, and the window of each where it is a range vector selector.
class Selection {
  public:
    // The selector outlives this.
    explicit Selection(const Selector& selector, std::optional<Keeps> keeps = std::nullopt)
        : selector_(&selector), keeps_(keeps) {}

    // Brings this up to date with the store's index.
    Selection& search(const SeriesStore& store, LabelIndexes* indexes = nullptr);

    // In canonical order.
    std::span<const SeriesId> series() const { return series_; }
    // Another one whenever the series are others.
    std::uint64_t version() const { return version_; }
    // Of series()[place].
    WindowSummary& window(std::size_t place) { return windows_[place]; }

  private:
    std::vector<SeriesId> choose(const SeriesStore& store, LabelIndexes* indexes) const;
    void adopt(std::vector<SeriesId> chosen, const SeriesStore& store);

    const Selector* selector_;
    std::optional<Keeps> keeps_;
    std::optional<std::uint64_t> checked_; // the store's index version
    std::optional<std::uint64_t> chosen_;  // the metric's index version
    std::uint64_t version_ = 0;
    std::vector<SeriesId> series_;
    std::vector<Labels> labels_; // of series_: an id may have been given to another series
    std::vector<WindowSummary> windows_;
};

// Knows selectors by their address, so it must not outlive the expressions that were evaluated with it, and
// belongs to one store. Selectors of one text share one selection.
class SelectorCache {
  public:
    // Up to date; it stays where it is as long as the cache does.
    Selection& selection(const Selector& selector, std::optional<Keeps> keeps, const SeriesStore& store);
    // One of this cache's, brought up to date.
    Selection& refreshed(Selection& selection, const SeriesStore& store) {
        return selection.search(store, &indexes_);
    }

  private:
    using Asked = std::pair<const Selector*, std::optional<Keeps>>;
    struct AskedHash {
        std::size_t operator()(const Asked& asked) const {
            const std::size_t keeps = asked.second ? static_cast<std::size_t>(*asked.second) + 1 : 0;
            return std::hash<const Selector*>()(asked.first) ^ keeps;
        }
    };

    std::unordered_map<Asked, Selection*, AskedHash> by_address_; // look-up only, never iterated
    std::map<std::pair<std::string, std::optional<Keeps>>, Selection> by_text_;
    LabelIndexes indexes_;
};

} // namespace homeostat::promql
