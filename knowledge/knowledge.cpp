#include "knowledge/knowledge.hpp"

#include <algorithm>
#include <iterator>

namespace homeostat {

Result<void> record(Knowledge& knowledge, const std::string& family, std::span<const LabelledValue> values,
                    Instant now) {
    std::vector<SeriesId>& last = knowledge.recorded[family].current;
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
    std::ranges::sort(current);
    std::vector<SeriesId> gone;
    std::ranges::set_difference(last, current, std::back_inserter(gone));
    for (const SeriesId id : gone) knowledge.series.append(id, now, stale_marker);
    last = std::move(current);
    return result;
}

} // namespace homeostat
