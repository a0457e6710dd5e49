// The live loop on Boost.Asio: one strand paces the ticks and owns all state; one worker thread does what
// blocks in the kernel and comes back as an outcome. Callbacks only enqueue; the tick drains the queue.
#pragma once

#include "engine/ports.hpp"
#include "engine/service.hpp"
#include "engine/tick.hpp"

#include <functional>
#include <memory>
#include <vector>

namespace homeostat {

// The world that a runner works in. All of it outlives the runner.
struct RunnerPorts {
    std::function<Instant()> clock; // the real time; called on the loop thread
    std::vector<Sensor*> sensors;   // by SensorId; more than the config declares are allowed
    Datapath* datapath = nullptr;   // see Datapath: called on the worker
    // On the loop thread, after every tick. Mostly the decisions are empty.
    std::function<void(const Decisions&, const EngineState&)> decided;
    // On the loop thread, when a reload is asked for (SIGHUP): the next generation, or null to go on with the
    // last good one. It has told its user why.
    std::function<GenerationPtr()> reload;
    std::vector<Service*> services{}; // on the loop thread, between the ticks
};

struct RunnerOptions {
    Duration period{100};
    bool handle_signals = true; // from construction on: SIGINT and SIGTERM stop, SIGHUP reloads
};

class Runner {
  public:
    Runner(GenerationPtr first, RunnerPorts ports, RunnerOptions options);
    Runner(const Runner&) = delete;
    Runner& operator=(const Runner&) = delete;
    ~Runner();

    // Runs until it is stopped, on the calling thread. A transaction in flight is waited for; what is
    // attached then is the datapath's to keep or to detach.
    void run();

    // May be called from any thread, and from callbacks.
    void stop();
    void reload();
    void command(OperatorCommand command); // an input of the next tick, which comes at once

  private:
    struct Loop;
    std::unique_ptr<Loop> loop_;
};

} // namespace homeostat
