// The datapath in shadow: seen, never touched. Nothing is loaded, attached, written or consumed here.
#pragma once

#include "adapters/bpf/datapath/programs.hpp"
#include "adapters/bpf/sensors/map_sensor.hpp"
#include "engine/config.hpp"
#include "engine/ports.hpp"

#include <memory>
#include <string>
#include <vector>

namespace homeostat::bpf {

// Tells what is attached. A program is known by the first 15 characters of its function's name; all others
// are read back under foreign_prefix. Thread: as XdpDatapath.
class ObservedDatapath final : public Datapath {
  public:
    ObservedDatapath(std::vector<ProgramSource> programs, std::vector<std::string> interfaces);

    ActualState read_back() override;
    Outcome apply(const Transaction& transaction) override; // always fails and changes nothing

  private:
    std::vector<ProgramSource> programs_;
    std::vector<std::string> interfaces_;
};

// Reads the maps of whatever XDP program is attached to the interfaces at the time, found by the first 15
// characters of the map's name, if they have the declared layout's kind and sizes. Where no interface has
// such a map, the batch has an error. Needs CAP_SYS_ADMIN, as Linux asks for objects by id. Thread: the
// loop's.
class ObservedMapSensor final : public Sensor {
  public:
    static Result<std::unique_ptr<ObservedMapSensor>> create(SensorId id, const MapSensorSpec& spec,
                                                             std::size_t series_max,
                                                             const std::vector<ProgramSource>& programs,
                                                             const std::vector<std::string>& interfaces);

    void collect(Instant now, Readings& out) override;

  private:
    struct Source {
        std::string interface;
        std::uint32_t program_id = 0; // whose map is read now; 0 for none
        std::string error;            // why there is none
    };

    ObservedMapSensor() = default;
    void follow(Source& source);

    MapLayout layout_;
    std::unique_ptr<MapSensor> sensor_;
    std::vector<Source> sources_;
};

// Stands for a ring-buffer sensor: to read a ring is to take its records from their reader, so each batch is
// an error that says so.
class ObservedRingSensor final : public Sensor {
  public:
    explicit ObservedRingSensor(SensorId id) : id_(id) {}
    void collect(Instant now, Readings& out) override;

  private:
    SensorId id_;
};

} // namespace homeostat::bpf
