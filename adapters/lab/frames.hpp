// Ethernet frames as bytes, for tests that must know exactly what is on the wire. Pure. Sizes are of the
// whole frame from the destination address on, without the checksum of Ethernet; a size below its headers
// gives just the headers. All other checksums are right. The payload is zeros.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace homeostat::lab {

using Frame = std::vector<std::byte>;
using MacAddress = std::array<std::uint8_t, 6>;

// The ends of a Lab's link, seen from the peer: what it sends to the host.
struct Ethernet {
    MacAddress destination{0x02, 0, 0, 0, 0x77, 0x01};
    MacAddress source{0x02, 0, 0, 0, 0x77, 0x02};
    std::vector<std::uint16_t> vlans{}; // the outermost first; where there are two, it is tagged 802.1ad
};

// Both addresses of one family, in text; anything else gives zeros of IPv4.
struct Path {
    std::string source = "10.77.0.2";
    std::string destination = "10.77.0.1";
    std::uint16_t source_port = 40'000; // of ICMP echo: the identifier
    std::uint16_t destination_port = 9; // of ICMP echo: the sequence number
    Ethernet ethernet{};
};

namespace tcp_flags {
inline constexpr std::uint8_t fin = 0x01, syn = 0x02, rst = 0x04, psh = 0x08, ack = 0x10;
} // namespace tcp_flags

Frame udp_frame(const Path& path, std::size_t size = 64);
Frame tcp_frame(const Path& path, std::uint8_t flags = tcp_flags::syn, std::size_t size = 64);
Frame icmp_echo_frame(const Path& path, std::size_t size = 64); // ICMPv6 where the addresses are IPv6's
Frame ip_frame(const Path& path, std::uint8_t protocol, std::size_t size = 64); // any other protocol
Frame ethernet_frame(const Ethernet& ethernet, std::uint16_t type,
                     std::size_t size = 64); // no IP, such as ARP

} // namespace homeostat::lab
