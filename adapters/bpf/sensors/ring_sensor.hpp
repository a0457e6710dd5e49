// Reads records from BPF ring buffers as they come.
#pragma once

#include "adapters/bpf/maps/interface_map.hpp"
#include "engine/config.hpp"
#include "engine/ports.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace homeostat::bpf {

// So many records of each interface are read per call; the rest waits in the ring, and the descriptor stays
// readable.
inline constexpr std::size_t records_per_collect_max = 65'536;

// Each distinct set of label fields has a gauge for each field (the newest record's value) and a counter of
// records. One sample per series and millisecond: the newest value wins, held back for the next call if need
// be. A record shorter than its struct is not read but counted, as sensor_short_records_total{iface, map};
// label sets beyond series_max are counted as refused, their records are lost. One that had no record for
// RingSensorSpec::forget ends and makes room: a counter that comes again begins at its first record.
//
// Thread: the loop's. A ring has one reader: nothing else may consume the same rings.
class RingSensor final : public Sensor {
  public:
    // Fails where the map is no ring buffer, or the record, a field or an enum is not there.
    static Result<std::unique_ptr<RingSensor>>
    create(SensorId id, const RingSensorSpec& spec, std::size_t series_max, std::vector<InterfaceMap> rings);
    ~RingSensor() override;

    void collect(Instant now, Readings& out) override;
    int descriptor() const override;
    bool urgent() const override;

  private:
    class State;
    explicit RingSensor(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

} // namespace homeostat::bpf
