// Frames, written byte by byte from their outermost header inwards.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace homeostat::bpf_test {

using Frame = std::vector<std::uint8_t>;

namespace ether {
constexpr std::uint16_t ipv4 = 0x0800, arp = 0x0806, vlan = 0x8100, ipv6 = 0x86dd, provider_vlan = 0x88a8,
                        lldp = 0x88cc;
}
namespace ip {
constexpr std::uint8_t hop_by_hop = 0, icmp = 1, tcp = 6, udp = 17, routing = 43, fragment = 44, gre = 47,
                       esp = 50, authentication = 51, icmpv6 = 58, none = 59, destination = 60, ospf = 89,
                       sctp = 132;
}

inline Frame operator+(Frame left, const Frame& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

inline Frame zeros(std::size_t bytes) { return Frame(bytes, 0); }

inline Frame big_endian(std::uint16_t number) {
    return {static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number & 0xff)};
}

inline Frame ethernet(std::uint16_t type) {
    return Frame{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2} + big_endian(type);
}

inline Frame vlan_tag(std::uint16_t inner_type) { return Frame{0, 42} + big_endian(inner_type); }

// 10.77.0.2 to 10.77.0.1. `options` bytes must be a multiple of 4; `fragment` is the field with flags and
// offset.
inline Frame ipv4(std::uint8_t protocol, std::uint8_t options = 0, std::uint16_t fragment = 0) {
    return Frame{static_cast<std::uint8_t>(0x45 + options / 4), 0, 0, 0, 0, 0} + big_endian(fragment) +
           Frame{64, protocol, 0, 0, 10, 77, 0, 2, 10, 77, 0, 1} + zeros(options);
}

// fd77::2 to fd77::1.
inline Frame ipv6(std::uint8_t next) {
    return Frame{0x60, 0, 0, 0, 0, 0, next, 64, 0xfd, 0x77} + zeros(13) + Frame{2, 0xfd, 0x77} + zeros(13) +
           Frame{1};
}

// Of 8 + 8 * more bytes.
inline Frame extension(std::uint8_t next, std::uint8_t more = 0) {
    return Frame{next, more} + zeros(6 + 8u * more);
}

// Of 8 + 4 * more bytes.
inline Frame authentication_header(std::uint8_t next, std::uint8_t more) {
    return Frame{next, more} + zeros(6 + 4u * more);
}

// `offset` counts units of 8 bytes.
inline Frame fragment_header(std::uint8_t next, std::uint16_t offset) {
    return Frame{next, 0} + big_endian(static_cast<std::uint16_t>(offset << 3 | 1)) + zeros(4);
}

inline Frame ports(std::uint16_t source, std::uint16_t destination) {
    return big_endian(source) + big_endian(destination) + zeros(16);
}

namespace tcp_flag {
constexpr std::uint8_t fin = 0x01, syn = 0x02, rst = 0x04, psh = 0x08, ack = 0x10, urg = 0x20, ece = 0x40,
                       cwr = 0x80;
}

inline Frame tcp(std::uint8_t flags, std::uint16_t source = 5000, std::uint16_t destination = 80) {
    return big_endian(source) + big_endian(destination) + zeros(8) + Frame{0x50, flags} + zeros(6);
}

inline Frame udp_frame() { return ethernet(ether::ipv4) + ipv4(ip::udp) + ports(5000, 53); }
inline Frame tcp_frame() { return ethernet(ether::ipv4) + ipv4(ip::tcp) + ports(5000, 80); }
inline Frame syn_frame() { return ethernet(ether::ipv4) + ipv4(ip::tcp) + tcp(tcp_flag::syn); }
inline Frame udp6_frame() { return ethernet(ether::ipv6) + ipv6(ip::udp) + ports(5000, 53); }
inline Frame unparsed_frame() { return ethernet(ether::ipv4) + zeros(20); }

} // namespace homeostat::bpf_test
