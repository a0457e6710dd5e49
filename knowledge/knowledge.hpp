// The K of MAPE-K: all that the controller knows at one instant. A tick takes it and leaves the next.
#pragma once

#include "knowledge/datapath.hpp"
#include "knowledge/memory.hpp"
#include "knowledge/series_store.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace homeostat {

// A family of series that the controller itself writes: those of a signal, or of a fact.
struct RecordedFamily {
    std::vector<SeriesId> current;  // sorted
    std::vector<SeriesId> in_order; // the same as they were recorded last; empty where one was refused
    std::string error;              // why the last result was not recorded; empty where it was
};

struct Knowledge {
    explicit Knowledge(StoreLimits limits = {}) : series(limits) {}

    SeriesStore series;
    ActualState actual;
    DesiredState desired;
    std::map<std::string, std::vector<std::string>>
        desired_because;                                 // by interface: the overlays that shape it
    std::map<std::string, SymptomMemory> symptoms;       // by name
    std::map<std::string, AdaptationMemory> adaptations; // by name
    std::map<std::string, TargetMemory> targets;         // by interface
    std::map<std::string, RecordedFamily> recorded;      // by signal or fact
    std::deque<Instant> changes;                         // overlays applied within the last minute
    std::uint64_t next_receipt = 1;
    std::uint64_t next_transaction = 1;
};

struct LabelledValue {
    Labels labels; // with the metric name
    double value = 0;
};

// Appends the values at `now` and ends the series of the family that are not among them. Fails where the
// store is full; what fitted is recorded.
Result<void> record(Knowledge& knowledge, const std::string& family, std::span<const LabelledValue> values,
                    Instant now);

} // namespace homeostat
