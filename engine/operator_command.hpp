// What an operator asks of a running controller: another baseline for one interface, until the next reload.
// Policies' overlays lie on it as on the configured one.
#pragma once

#include "engine/tick.hpp"
#include "knowledge/error.hpp"
#include "policies/overlay.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat {

struct OperatorRequest {
    enum class Kind : std::uint8_t { attach, replace, switch_mode, detach };

    Kind kind = Kind::attach;
    std::string interface;
    std::string program;             // to attach, or to replace by: of the configuration, by name
    std::vector<XdpMode> ladder;     // empty: it stays as it is
    std::optional<Duration> gap_max; // none: it stays as it is
};

// "attach", "replace", "switch", "detach"
std::string_view to_text(OperatorRequest::Kind kind);
std::optional<OperatorRequest::Kind> parse_request_kind(std::string_view text);

// The baseline that is asked for. Fails on an interface and on a program that the running configuration has
// not, where there is nothing to replace or to switch, and in shadow.
Result<OperatorCommand> command_of(const EngineState& state, const OperatorRequest& request);

// The overlay that holds an attribute of the interface: "guard-under-udp-flood{iface="eth0"} (priority 10)";
// "" where the baseline shows.
std::string holder_of(const EngineState& state, const std::string& interface, Attribute::Kind kind);

// Why the interface is not as desired; "" where it is. None while a transaction is in flight.
std::optional<std::string> obstacle_on(const EngineState& state, const std::string& interface);

} // namespace homeostat
