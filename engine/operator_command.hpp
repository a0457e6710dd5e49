// What an operator asks of a running controller: another baseline for one interface, until the next reload.
// Policies' overlays lie on it as on the configured one.
#pragma once

#include "engine/tick.hpp"
#include "policies/overlay.hpp"

#include <optional>
#include <string>

namespace homeostat {

// The overlay that holds an attribute of the interface: "guard-under-udp-flood{iface="eth0"} (priority 10)";
// "" where the baseline shows.
std::string holder_of(const EngineState& state, const std::string& interface, Attribute::Kind kind);

// Why the interface is not as desired; "" where it is. None while a transaction is in flight.
std::optional<std::string> obstacle_on(const EngineState& state, const std::string& interface);

} // namespace homeostat
