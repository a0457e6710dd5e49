#include "adapters/cli/world.hpp"

#include "adapters/bpf/datapath/datapath.hpp"
#include "adapters/bpf/datapath/observed.hpp"
#include "adapters/bpf/sensors/map_sensor.hpp"
#include "adapters/bpf/sensors/ring_sensor.hpp"
#include "adapters/cli/place.hpp"
#include "adapters/procfs/proc_sensor.hpp"
#include "adapters/rtnetlink/link_sensor.hpp"
#include "knowledge/overloaded.hpp"

#include <algorithm>
#include <functional>

namespace homeostat::cli {

namespace {

using Opened = Result<std::unique_ptr<Sensor>>;

template <class Made> Opened opened(Result<std::unique_ptr<Made>> made) {
    if (!made) return std::unexpected(made.error());
    return std::unique_ptr<Sensor>(std::move(*made));
}

std::vector<std::string> interface_names(const ControllerConfig& config) {
    std::vector<std::string> names;
    for (const InterfaceSpec& interface : config.interfaces) names.push_back(interface.name);
    return names;
}

// How the two kinds of world differ.
struct SensorOpeners {
    std::function<Opened(SensorId, const SensorSpec&, const MapSensorSpec&)> map;
    std::function<Opened(SensorId, const SensorSpec&, const RingSensorSpec&)> ring;
};

Result<void> open_sensors(World& world, const LoadedConfig& loaded, const SensorOpeners& openers) {
    const std::vector<std::string> interfaces = interface_names(loaded.config);
    bool links_watched = false;
    for (const SensorSpec& spec : loaded.config.sensors) {
        const auto id = static_cast<SensorId>(world.sensors.size());
        Opened sensor =
            std::visit(Overloaded{[&](const MapSensorSpec& map) { return openers.map(id, spec, map); },
                                  [&](const RingSensorSpec& ring) { return openers.ring(id, spec, ring); },
                                  [&](const LinkSensorSpec&) {
                                      links_watched = true;
                                      return opened(rtnetlink::LinkSensor::create(id, interfaces, true));
                                  },
                                  [&](const SoftnetSensorSpec&) {
                                      return Opened(procfs::softnet_sensor(id, spec.series_max));
                                  },
                                  [&](const PressureSensorSpec&) {
                                      return Opened(procfs::pressure_sensor(id, spec.series_max));
                                  }},
                       spec.source);
        if (!sensor)
            return failure("sensor " + spec.name + ": " + sensor.error().what, sensor.error().number);
        world.sensors.push_back(std::move(*sensor));
    }
    if (links_watched) return {};
    // Somebody must tell whether the interfaces are there, also where nobody asks for their counters.
    auto links =
        opened(rtnetlink::LinkSensor::create(static_cast<SensorId>(world.sensors.size()), interfaces, false));
    if (!links) return std::unexpected(links.error());
    world.sensors.push_back(std::move(*links));
    return {};
}

} // namespace

Result<World> open_world(const LoadedConfig& loaded) {
    auto opened_datapath = bpf::XdpDatapath::open({.place = place_of(loaded.config),
                                                   .anchored = true,
                                                   .guard_kind = {},
                                                   .kernel = bpf::KernelPort(),
                                                   .map_merger = loaded.map_merger},
                                                  loaded.programs, interface_names(loaded.config));
    if (!opened_datapath) return std::unexpected(opened_datapath.error());
    bpf::XdpDatapath& datapath = **opened_datapath;
    for (const auto& [program, error] : datapath.rejected())
        return failure("program '" + program + "' is rejected: " + error.what, error.number);
    const SensorOpeners openers{
        .map = [&](SensorId id, const SensorSpec& spec, const MapSensorSpec& map) -> Opened {
            auto maps = datapath.maps_named(map.map);
            if (!maps) return std::unexpected(maps.error());
            return opened(bpf::MapSensor::create(id, map, spec.series_max, std::move(*maps)));
        },
        .ring = [&](SensorId id, const SensorSpec& spec, const RingSensorSpec& ring) -> Opened {
            auto rings = datapath.maps_named(ring.map);
            if (!rings) return std::unexpected(rings.error());
            return opened(bpf::RingSensor::create(id, ring, spec.series_max, std::move(*rings)));
        }};
    World world;
    if (auto sensors = open_sensors(world, loaded, openers); !sensors)
        return std::unexpected(sensors.error());
    world.notes = datapath.notes();
    world.detach = [&datapath] { return datapath.detach_all(); };
    world.datapath = std::move(*opened_datapath);
    return world;
}

Result<World> open_shadow_world(const LoadedConfig& loaded) {
    const std::vector<std::string> interfaces = interface_names(loaded.config);
    const SensorOpeners openers{
        .map = [&](SensorId id, const SensorSpec& spec, const MapSensorSpec& map) -> Opened {
            return opened(
                bpf::ObservedMapSensor::create(id, map, spec.series_max, loaded.programs, interfaces));
        },
        .ring = [](SensorId id, const SensorSpec&, const RingSensorSpec&) -> Opened {
            return std::make_unique<bpf::ObservedRingSensor>(id);
        }};
    World world;
    if (auto sensors = open_sensors(world, loaded, openers); !sensors)
        return std::unexpected(sensors.error());
    world.datapath = std::make_unique<bpf::ObservedDatapath>(loaded.programs, interfaces);
    return world;
}

} // namespace homeostat::cli
