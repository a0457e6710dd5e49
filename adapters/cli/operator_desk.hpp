// Where a running controller takes the commands that change an interface: attach, replace, switch, detach.
#pragma once

#include "adapters/control/server.hpp"
#include "engine/tick.hpp"
#include "knowledge/error.hpp"

#include <boost/json/object.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::cli {

// "drv,skb"; fails on what is no mode, and on one that is named twice.
Result<std::vector<XdpMode>> parse_ladder(std::string_view text);

// How a change ended, as all of these commands print it with --json.
boost::json::object change_json(const Outcome& outcome);

// What goes over the control socket.
struct ChangeRequest {
    std::string command; // "attach", "replace", "switch", "detach"
    std::string instance;
    std::string interface;
    std::string program; // of the configuration, by name
    std::string modes;   // "drv,skb"
    std::string gap_max; // "1ms"; "" for the configuration's
};
boost::json::object to_json(const ChangeRequest& request);

// Each command becomes another baseline of its interface, and is answered when a transaction has brought that
// about, or it is known why not. One that fails is taken back. Thread: the loop's.
class OperatorDesk {
  public:
    explicit OperatorDesk(std::string instance) : instance_(std::move(instance)) {}

    // To whom commands go; from before the loop runs.
    std::function<void(OperatorCommand)> submit;

    void take(const EngineState& state, const boost::json::object& request,
              std::function<void(control::Reply)> reply);
    void decided(const Decisions& decisions, const EngineState& state);

  private:
    struct Pending {
        std::uint64_t number = 0; // among all commands
        bool is_taken = false;    // a tick has seen it
        std::string command;
        std::string interface;
        DesiredInterface before;
        DesiredInterface wanted;
        std::optional<Outcome> outcome; // the newest
        std::function<void(control::Reply)> reply;
    };
    Result<OperatorCommand> read(const EngineState& state, const ChangeRequest& request) const;
    bool settle(Pending& pending, const EngineState& state);
    void submit_next(OperatorCommand command);

    std::string instance_;
    std::uint64_t submitted_ = 0;
    std::vector<Pending> pending_; // one of an interface at most
};

} // namespace homeostat::cli
