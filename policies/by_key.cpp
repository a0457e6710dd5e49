#include "policies/by_key.hpp"

#include <algorithm>
#include <utility>

namespace homeostat {

Result<ByKey> ByKey::from(Result<promql::Value> value) {
    if (!value) return std::unexpected(std::move(value.error()));
    ByKey result;
    result.samples_ = std::get<promql::Vector>(std::move(*value));
    for (promql::Sample& sample : result.samples_) sample.labels = sample.labels.without_metric_name();
    std::ranges::sort(result.samples_, {}, &promql::Sample::labels);
    const auto twice = std::ranges::adjacent_find(result.samples_, {}, &promql::Sample::labels);
    if (twice != result.samples_.end())
        return failure("two series have the labels " + to_text(twice->labels) +
                       " when their names are dropped");
    return result;
}

const promql::Sample* ByKey::find(const Labels& key) const {
    const auto found = std::ranges::lower_bound(samples_, key, {}, &promql::Sample::labels);
    return found != samples_.end() && found->labels == key ? &*found : nullptr;
}

} // namespace homeostat
