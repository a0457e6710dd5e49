// Reads a BPF map whole, each period, by batched look-ups, and makes a series of each number in it.
#pragma once

#include "adapters/bpf/maps/interface_map.hpp"
#include "engine/config.hpp"
#include "engine/ports.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace homeostat::bpf {

// Array, hash and LRU maps, plain and per CPU. Numbers of per-CPU maps are added up exactly as 64-bit
// integers (or kept apart by a label cpu) and only then become float64. Keys that vanished end their series;
// keys beyond series_max are counted as refused. A failed look-up gives a batch with an error and nothing
// else; the next good one tells what was defined and ended meanwhile.
//
// Thread: the loop's.
class MapSensor final : public Sensor {
  public:
    // `maps` is one map on one or more interfaces; none of them need have a descriptor yet: it may come by
    // its handoff, or by read_from(). Fails where
    // the map's kind cannot be read, or a field or an enum is not there or is no number.
    static Result<std::unique_ptr<MapSensor>> create(SensorId id, const MapSensorSpec& spec,
                                                     std::size_t series_max, std::vector<InterfaceMap> maps);
    ~MapSensor() override;

    void collect(Instant now, Readings& out) override;

    // From now on, reads this map on the interface; an empty descriptor ends its series.
    void read_from(const std::string& interface, Descriptor map);

  private:
    class Table;
    struct Shape;
    MapSensor();

    SensorId id_{};
    std::unique_ptr<Shape> shape_; // before the tables, which refer to it
    std::vector<std::unique_ptr<Table>> tables_;
    std::vector<std::pair<std::string, std::shared_ptr<MapHandoff>>> handoffs_; // by interface
    SampleBatch untold_; // definitions and ends of readings that failed
    std::size_t last_samples_ = 0;
};

} // namespace homeostat::bpf
