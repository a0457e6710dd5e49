// What sensors hand to the loop: batches of samples with small integer ids, so that neither the hot
// path nor a recording carries label sets. A sensor numbers its own series from 0 and defines each
// number before it uses it; a number whose series ended may be defined anew.
#pragma once

#include "knowledge/labels.hpp"
#include "knowledge/time.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace homeostat {

enum class SensorId : std::uint32_t {}; // the sensor's place in the controller's list

struct SeriesDefinition {
    std::uint32_t local;
    Labels labels; // with the metric name

    bool operator==(const SeriesDefinition&) const = default;
};

struct LocalSample {
    std::uint32_t local;
    double value;

    bool operator==(const LocalSample&) const = default;
};

struct SampleBatch {
    SensorId sensor{};
    Instant time; // when the values were read
    std::vector<SeriesDefinition> defined;
    std::vector<LocalSample> samples;
    std::vector<std::uint32_t> ended; // series that the sensor no longer sees
    std::string error;                // not empty: the reading failed; the sensor's series go stale
    std::uint64_t refused = 0;        // series beyond the sensor's limit, since the last batch

    bool operator==(const SampleBatch&) const = default;
};

} // namespace homeostat
