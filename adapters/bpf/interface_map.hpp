// One map of the programs of one interface, as a value that a sensor can own: the descriptor is the sensor's
// own, so that nothing of the datapath's state is shared between the threads.
#pragma once

#include "adapters/bpf/descriptor.hpp"
#include "knowledge/layout.hpp"

#include <memory>
#include <string>

namespace homeostat::bpf {

struct InterfaceMap {
    std::string interface;
    std::string name;                           // the map's, in the object
    std::shared_ptr<const ObjectLayout> object; // of the first declared program that has the map
    Descriptor descriptor;                      // empty where there is no map to read at the moment

    const MapLayout& layout() const { return *object->map(name); }
};

} // namespace homeostat::bpf
