// The ports: all that the loop knows of the world. Adapters implement them; datapath_in_memory.hpp has one
// for simulation.
#pragma once

#include "knowledge/datapath.hpp"
#include "knowledge/samples.hpp"
#include "knowledge/time.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace homeostat {

struct LinkEvent {
    std::string interface;
    bool present = false;
    bool up = false;
    std::uint32_t index = 0; // the kernel's ifindex, 0 where absent

    bool operator==(const LinkEvent&) const = default;
};

struct Readings {
    std::vector<SampleBatch> batches;
    std::vector<LinkEvent> links;

    bool operator==(const Readings&) const = default;
};

// Monitor's source. Called on the loop thread only, so it must not block: reading a map may take
// microseconds to milliseconds, waiting is forbidden.
class Sensor {
  public:
    virtual ~Sensor() = default;

    // Appends what is new. Called once each period, and when the descriptor is readable. A failure is a
    // batch with an error, once per call; it does not throw.
    virtual void collect(Instant now, Readings& out) = 0;

    // A descriptor that polls readable while there is something to collect; -1 for a sensor that is only
    // polled. It stays owned by the sensor.
    virtual int descriptor() const { return -1; }

    // Whether samples that become readable are worth a tick of their own; a change of a link always is.
    virtual bool urgent() const { return false; }
};

// Execute's target. Called on a worker thread, one call at a time (but for a first read_back before the loop
// turns); calls may block.
class Datapath {
  public:
    virtual ~Datapath() = default;

    // The state of every managed interface, as the kernel tells it.
    virtual ActualState read_back() = 0;

    // All steps, or the state that was there before; either way the outcome carries what was read back.
    virtual Outcome apply(const Transaction& transaction) = 0;
};

} // namespace homeostat
