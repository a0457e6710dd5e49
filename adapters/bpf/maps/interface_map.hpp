// One map of the programs of one interface, as a value that a sensor can own: the descriptor is the sensor's
// own, so that nothing of the datapath's state is shared between the threads.
#pragma once

#include "adapters/bpf/descriptor.hpp"
#include "knowledge/layout.hpp"

#include <memory>
#include <mutex>
#include <string>

namespace homeostat::bpf {

// From the datapath's thread to the one that reads.
class MapHandoff {
  public:
    void give(Descriptor map) {
        const std::lock_guard lock(mutex_);
        map_ = std::move(map);
    }
    // Empty where nothing was given since.
    Descriptor take() {
        const std::lock_guard lock(mutex_);
        return std::move(map_);
    }

  private:
    std::mutex mutex_;
    Descriptor map_;
};

struct InterfaceMap {
    std::string interface;
    std::string name;                           // the map's, in the object
    std::shared_ptr<const ObjectLayout> object; // of the first declared program that has the map
    Descriptor descriptor;                      // empty where there is no map to read at the moment
    std::shared_ptr<MapHandoff> handoff{};      // by which it comes later; nullptr where it does not

    const MapLayout& layout() const { return *object->map(name); }
};

} // namespace homeostat::bpf
