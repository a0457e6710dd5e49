#include "policies/promql/selection.hpp"

#include <algorithm>
#include <iterator>

namespace homeostat::promql {

std::span<const Point> without_markers(std::span<const Point> points, std::vector<Point>& scratch) {
    if (std::ranges::none_of(points, is_stale, &Point::value)) return points;
    scratch.clear();
    std::ranges::remove_copy_if(points, std::back_inserter(scratch), is_stale, &Point::value);
    return scratch;
}

std::uint64_t LabelIndexes::version(const SeriesStore& store, const std::string& metric_name) {
    if (asked_at_ != store.index_version() || asked_ != metric_name) {
        asked_at_ = store.index_version();
        asked_ = metric_name;
        answer_ = store.index_version(metric_name);
    }
    return answer_;
}

std::span<const SeriesId> LabelIndexes::candidates(const SeriesStore& store, const std::string& metric_name,
                                                   const std::string& label, const std::string& value) {
    const std::span<const SeriesId> all = store.named(metric_name);
    Index& index = indexes_[{metric_name, label}];
    const std::uint64_t version = store.index_version(metric_name);
    if (index.version != version) {
        index.version = version;
        index.made = false;
        index.by_value.clear();
        return all;
    }
    if (!index.made)
        for (const SeriesId id : all) index.by_value[std::string(store.labels(id).get(label))].push_back(id);
    index.made = true;
    const auto found = index.by_value.find(value);
    return found == index.by_value.end() ? std::span<const SeriesId>()
                                         : std::span<const SeriesId>(found->second);
}

std::vector<SeriesId> Selection::choose(const SeriesStore& store, LabelIndexes* indexes) const {
    std::vector<SeriesId> every;
    std::span<const SeriesId> candidates;
    if (selector_->metric_name.empty()) {
        candidates = every = store.all();
    } else {
        candidates = store.named(selector_->metric_name);
        for (const Matcher& m : selector_->matchers) {
            if (indexes == nullptr || m.op != MatchOp::equal) continue;
            const auto narrower = indexes->candidates(store, selector_->metric_name, m.label, m.value);
            if (narrower.size() < candidates.size()) candidates = narrower;
        }
    }
    std::vector<SeriesId> chosen;
    std::ranges::copy_if(candidates, std::back_inserter(chosen), [&](SeriesId id) {
        const Labels& labels = store.labels(id);
        return std::ranges::all_of(selector_->matchers,
                                   [&](const Matcher& m) { return m.matches(labels.get(m.label)); });
    });
    return chosen;
}

// Windows go on where their series stays; one whose id was given to another series finds that out itself.
void Selection::adopt(std::vector<SeriesId> chosen, const SeriesStore& store) {
    const auto labels_of = [&store](SeriesId id) -> const Labels& { return store.labels(id); };
    if (version_ > 0 && chosen == series_ && std::ranges::equal(chosen, labels_, {}, labels_of)) return;
    std::vector<WindowSummary> windows;
    if (keeps_) {
        std::vector<std::pair<SeriesId, std::size_t>> places;
        for (std::size_t i = 0; i < series_.size(); ++i) places.emplace_back(series_[i], i);
        std::ranges::sort(places);
        windows.reserve(chosen.size());
        for (const SeriesId id : chosen) {
            const auto before =
                std::ranges::lower_bound(places, id, {}, &std::pair<SeriesId, std::size_t>::first);
            if (before != places.end() && before->first == id)
                windows.push_back(std::move(windows_[before->second]));
            else
                windows.emplace_back(*keeps_);
        }
    }
    windows_ = std::move(windows);
    series_ = std::move(chosen);
    labels_.clear();
    std::ranges::transform(series_, std::back_inserter(labels_), labels_of);
    ++version_;
}

Selection& Selection::search(const SeriesStore& store, LabelIndexes* indexes) {
    if (checked_ == store.index_version()) return *this;
    checked_ = store.index_version();
    const std::string& name = selector_->metric_name;
    const std::uint64_t present = name.empty()         ? *checked_
                                  : indexes != nullptr ? indexes->version(store, name)
                                                       : store.index_version(name);
    if (chosen_ == present) return *this;
    chosen_ = present;
    adopt(choose(store, indexes), store);
    return *this;
}

Selection& SelectorCache::selection(const Selector& selector, std::optional<Keeps> keeps,
                                    const SeriesStore& store) {
    const auto [place, is_new] = by_address_.try_emplace({&selector, keeps});
    if (is_new) {
        const std::string text = to_text(Expr{selector.range ? Type::matrix : Type::vector, {}, selector});
        place->second = &by_text_.try_emplace({text, keeps}, selector, keeps).first->second;
    }
    return place->second->search(store, &indexes_);
}

} // namespace homeostat::promql
