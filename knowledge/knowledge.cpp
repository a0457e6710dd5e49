#include "knowledge/knowledge.hpp"

#include <algorithm>
#include <iterator>

namespace homeostat {

namespace {

// The values are of the same series as the last time, in the same order: what most ticks bring.
bool is_of_series(const std::vector<SeriesId>& ids, std::span<const LabelledValue> values,
                  const SeriesStore& series) {
    return !values.empty() && std::ranges::equal(ids, values, [&](SeriesId id, const LabelledValue& value) {
        return series.labels(id) == value.labels;
    });
}

} // namespace

Result<void> record(Knowledge& knowledge, const std::string& family, std::span<const LabelledValue> values,
                    Instant now) {
    RecordedFamily& recorded = knowledge.recorded[family];
    if (is_of_series(recorded.in_order, values, knowledge.series)) {
        for (std::size_t i = 0; i < values.size(); ++i)
            knowledge.series.append(recorded.in_order[i], now, values[i].value);
        return {};
    }
    std::vector<SeriesId> current;
    current.reserve(values.size());
    Result<void> result;
    for (const LabelledValue& value : values) {
        const auto id = knowledge.series.define(value.labels);
        if (!id) {
            if (result) result = std::unexpected(id.error());
            continue;
        }
        knowledge.series.append(*id, now, value.value);
        current.push_back(*id);
    }
    recorded.in_order = result ? current : std::vector<SeriesId>();
    std::ranges::sort(current);
    std::vector<SeriesId> gone;
    std::ranges::set_difference(recorded.current, current, std::back_inserter(gone));
    for (const SeriesId id : gone) knowledge.series.append(id, now, stale_marker);
    recorded.current = std::move(current);
    return result;
}

} // namespace homeostat
