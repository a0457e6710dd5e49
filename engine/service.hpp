// What shares the loop's thread with the ticks, such as a server: between two ticks it may read the state.
#pragma once

namespace boost::asio {
class io_context; // NOLINT(readability-identifier-naming): the name is Asio's
}

namespace homeostat {

struct EngineState;

class Service {
  public:
    virtual ~Service() = default;

    // Once, before the first tick. Context and state live until after stop(). Its handlers run on the loop's
    // thread, so they must not block.
    virtual void start(boost::asio::io_context& context, const EngineState& state) = 0;

    // Once, when the loop is to end: it must cancel all that it waits for.
    virtual void stop() = 0;
};

} // namespace homeostat
