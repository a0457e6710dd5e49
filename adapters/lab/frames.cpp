#include "adapters/lab/frames.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>

namespace homeostat::lab {
namespace {

constexpr std::uint16_t type_ipv4 = 0x0800, type_ipv6 = 0x86dd, type_vlan = 0x8100,
                        type_provider_vlan = 0x88a8;
constexpr std::uint8_t icmp_echo = 8, icmpv6_echo = 128, hop_limit = 64;

void put8(Frame& frame, std::initializer_list<std::uint8_t> values) {
    for (const auto value : values) frame.push_back(std::byte{value});
}

void put16(Frame& frame, std::size_t value) {
    put8(frame, {static_cast<std::uint8_t>(value >> 8 & 0xff), static_cast<std::uint8_t>(value & 0xff)});
}

void set16(Frame& frame, std::size_t at, std::uint16_t value) {
    frame[at] = static_cast<std::byte>(value >> 8);
    frame[at + 1] = static_cast<std::byte>(value & 0xff);
}

template <class Bytes> void append(Frame& frame, const Bytes& bytes) {
    for (const auto byte : bytes) frame.push_back(static_cast<std::byte>(byte));
}

// RFC 1071: the complement of the sum in one's complement.
std::uint16_t checksum(std::span<const std::byte> bytes, std::uint32_t sum = 0) {
    for (std::size_t i = 0; i < bytes.size(); ++i)
        sum += std::to_integer<std::uint32_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

// Network order; 16 bytes for IPv6, else 4.
std::vector<std::uint8_t> address_bytes(const std::string& text) {
    std::vector<std::uint8_t> bytes(sizeof(in6_addr));
    if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return bytes;
    bytes.assign(sizeof(in_addr), 0);
    ::inet_pton(AF_INET, text.c_str(), bytes.data());
    return bytes;
}

Frame ethernet_header(const Ethernet& ethernet, std::uint16_t type) {
    Frame frame;
    append(frame, ethernet.destination);
    append(frame, ethernet.source);
    for (std::size_t left = ethernet.vlans.size(); left > 0; --left) {
        put16(frame, left > 1 ? type_provider_vlan : type_vlan);
        put16(frame, ethernet.vlans[ethernet.vlans.size() - left]);
    }
    put16(frame, type);
    return frame;
}

struct IpPacket {
    Frame frame;                  // up to the end of the IP header, with its checksum
    std::uint32_t pseudo_sum = 0; // of the pseudo header that the transport's checksum covers
    std::size_t payload = 0;      // bytes that follow
    bool v6 = false;
};

// The payload is what remains of `size`, at least `transport_header` bytes.
IpPacket ip_header(const Path& path, std::uint8_t protocol, std::size_t size, std::size_t transport_header) {
    const auto source = address_bytes(path.source);
    const auto destination = address_bytes(path.destination);
    IpPacket packet;
    packet.v6 = source.size() == sizeof(in6_addr);
    packet.frame = ethernet_header(path.ethernet, packet.v6 ? type_ipv6 : type_ipv4);
    Frame& frame = packet.frame;

    const auto start = frame.size();
    const std::size_t header = packet.v6 ? 40 : 20;
    packet.payload = std::max(size, start + header + transport_header) - start - header;
    if (packet.v6) {
        put8(frame, {0x60, 0, 0, 0});
        put16(frame, packet.payload);
        put8(frame, {protocol, hop_limit});
    } else {
        put8(frame, {0x45, 0});
        put16(frame, header + packet.payload);
        put8(frame, {0, 0, 0x40, 0, hop_limit, protocol, 0, 0}); // "don't fragment"
    }
    append(frame, source);
    append(frame, destination);
    if (!packet.v6) set16(frame, start + 10, checksum(std::span(frame).subspan(start)));

    Frame pseudo;
    append(pseudo, source);
    append(pseudo, destination);
    put16(pseudo, protocol);
    put16(pseudo, packet.payload);
    packet.pseudo_sum = static_cast<std::uint16_t>(~checksum(pseudo));
    return packet;
}

// Appends the transport header, pads to the payload's end and sets the checksum at `checksum_at` of the
// header.
Frame finish(IpPacket packet, const Frame& header, std::size_t checksum_at, bool with_pseudo_header) {
    Frame& frame = packet.frame;
    const auto start = frame.size();
    frame.insert(frame.end(), header.begin(), header.end());
    frame.resize(start + packet.payload);
    auto sum = checksum(std::span(frame).subspan(start), with_pseudo_header ? packet.pseudo_sum : 0);
    if (sum == 0 && with_pseudo_header)
        sum = 0xffff; // 0 would mean "none" in UDP, and is the same number elsewhere
    set16(frame, start + checksum_at, sum);
    return std::move(frame);
}

} // namespace

Frame udp_frame(const Path& path, std::size_t size) {
    constexpr std::size_t header_size = 8;
    auto packet = ip_header(path, IPPROTO_UDP, size, header_size);
    Frame header;
    put16(header, path.source_port);
    put16(header, path.destination_port);
    put16(header, packet.payload);
    put16(header, 0);
    return finish(std::move(packet), header, 6, true);
}

Frame tcp_frame(const Path& path, std::uint8_t flags, std::size_t size) {
    constexpr std::size_t header_size = 20;
    auto packet = ip_header(path, IPPROTO_TCP, size, header_size);
    Frame header;
    put16(header, path.source_port);
    put16(header, path.destination_port);
    put8(header, {0, 0, 0, 1, 0, 0, 0, 0}); // sequence and acknowledgement
    put8(header, {0x50, flags, 0xff, 0xff, 0, 0, 0, 0});
    return finish(std::move(packet), header, 16, true);
}

Frame icmp_echo_frame(const Path& path, std::size_t size) {
    const bool v6 = address_bytes(path.source).size() == sizeof(in6_addr);
    constexpr std::size_t header_size = 8;
    const std::uint8_t protocol = v6 ? std::uint8_t{IPPROTO_ICMPV6} : std::uint8_t{IPPROTO_ICMP};
    auto packet = ip_header(path, protocol, size, header_size);
    Frame header;
    put8(header, {v6 ? icmpv6_echo : icmp_echo, 0, 0, 0});
    put16(header, path.source_port);
    put16(header, path.destination_port);
    return finish(std::move(packet), header, 2, v6);
}

Frame ip_frame(const Path& path, std::uint8_t protocol, std::size_t size) {
    auto packet = ip_header(path, protocol, size, 0);
    packet.frame.resize(packet.frame.size() + packet.payload);
    return std::move(packet.frame);
}

Frame ethernet_frame(const Ethernet& ethernet, std::uint16_t type, std::size_t size) {
    Frame frame = ethernet_header(ethernet, type);
    frame.resize(std::max(size, frame.size()));
    return frame;
}

} // namespace homeostat::lab
