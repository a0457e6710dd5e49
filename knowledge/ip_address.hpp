// IP addresses as text and as bytes, without a system call. IPv4 addresses are kept as IPv6 addresses that
// are mapped (RFC 4291, ::ffff:a.b.c.d), so that one type holds both.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace homeostat {

using IpAddress = std::array<std::byte, 16>; // network order

// "10.0.0.7", or IPv6 in any form of RFC 4291, also with an IPv4 tail. None where it is neither.
std::optional<IpAddress> parse_ip_address(std::string_view text);

// IPv4 with dots where it is mapped, else the form of RFC 5952: the one text that every address has.
std::string ip_address_text(std::span<const std::byte, 16> address);

} // namespace homeostat
