// Network interfaces as rtnetlink tells them.
#pragma once

#include "knowledge/error.hpp"

#include <linux/netlink.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace homeostat::rtnetlink {

class Socket;

struct Link {
    std::string name;
    std::uint32_t index = 0; // the kernel's ifindex
    bool up = false;         // switched on, and with a carrier

    bool operator==(const Link&) const = default;
};

// Of an RTM_NEWLINK or RTM_DELLINK; nullopt where it is about something else, such as a port of a bridge.
std::optional<Link> parse_link(const nlmsghdr& message);

// All interfaces of the socket's network namespace, by index.
Result<std::vector<Link>> links(Socket& socket);

// Both of the calling thread's network namespace.
Result<bool> exists(const std::string& name);
// For an error that says what would have been right.
Result<std::vector<std::string>> interface_names();

} // namespace homeostat::rtnetlink
