// The composition root: the one place that names all adapters, and puts together the world that a
// controller works in.
#pragma once

#include "adapters/cli/load.hpp"
#include "engine/ports.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace homeostat::cli {

struct World {
    std::unique_ptr<Datapath> datapath;
    std::vector<std::unique_ptr<Sensor>> sensors; // by SensorId
    std::vector<std::string> notes;               // what was found and done, for people
    // Detaches all that is attached, and removes its traces; the datapath is of no more use then.
    std::function<Result<void>()> detach = [] { return Result<void>{}; };
};

// Loads every program or takes it up, takes back a change that was cut short, and opens a sensor for each of
// the configuration's. Fails with the verifier's words where a program is rejected; nothing new is attached
// yet.
Result<World> open_world(const LoadedConfig& loaded);

// The same for a controller that only looks: nothing is loaded, attached, written or consumed.
Result<World> open_shadow_world(const LoadedConfig& loaded);

} // namespace homeostat::cli
