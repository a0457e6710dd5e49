// Real packets in a Lab's namespaces: floods, receivers, and conversations whose every message is answered or
// not. A generator opens its sockets in the given namespace before the call returns, and works on a thread of
// its own until its bounds are reached or it is stopped.
#pragma once

#include "adapters/lab/frames.hpp"
#include "adapters/lab/network.hpp"
#include "knowledge/error.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>

namespace homeostat::lab {

// What a generator has done. Times are of CLOCK_MONOTONIC in nanoseconds, as of bpf_ktime_get_ns; 0 for none.
struct TrafficCount {
    std::uint64_t sent = 0;     // packets or messages that the kernel took and put on the link
    std::uint64_t refused = 0;  // those that it did not: no room at the other end, or in the socket
    std::uint64_t received = 0; // answers, datagrams or (an echo service's) bytes
    std::uint64_t missed = 0;   // datagrams that reached a receiver's socket while it was full
    std::int64_t first_ns = 0;  // a sender: just before its first packet; a receiver: arrival of the first
    std::int64_t last_ns = 0;   // the same for the last
    std::string error;          // why it ended before its bounds; "" where it did not

    bool operator==(const TrafficCount&) const = default;
};

// A running generator. Movable; destroying it stops it.
class Traffic {
  public:
    struct Work; // its sockets and its counters
    explicit Traffic(std::unique_ptr<Work> work);
    Traffic(Traffic&&) noexcept;
    Traffic& operator=(Traffic&&) noexcept;
    ~Traffic();

    TrafficCount count() const; // so far, from any thread
    TrafficCount stop();        // ends it now; conversations first wait up to 2 s for outstanding answers
    TrafficCount wait();        // until it reached its bounds

  private:
    std::unique_ptr<Work> work_;
};

// Where a generator ends by itself, whatever comes first.
struct Bounds {
    std::uint64_t packets = std::numeric_limits<std::uint64_t>::max();
    std::chrono::milliseconds time{60'000};
};

struct UdpFlood {
    std::string to = "10.77.0.1"; // or an IPv6 address
    std::uint16_t port = 9;
    std::string from{}; // an address of the namespace; "": the kernel's choice
    std::uint32_t packets_per_second = 50'000;
    std::uint16_t payload = 18; // bytes; 18 makes the smallest Ethernet frame over IPv4
    Bounds bounds{};
};

// Sends at the given rate on an absolute schedule, in batches of a millisecond; what it is late it makes up
// for.
Result<Traffic> flood_udp(const NetNamespace& in, const UdpFlood& flood);

// Counts the datagrams that reach a UDP port, in either family: what a filter before it let pass.
Result<Traffic> receive_udp(const NetNamespace& in, std::uint16_t port, Bounds bounds = {});

struct Conversation {
    std::string to = "10.77.0.1"; // IPv4
    std::uint16_t port = 7;       // of TCP
    std::uint32_t messages_per_second = 100;
    Bounds bounds{};
};

// ICMP echo requests: `received` counts the distinct ones that were answered.
Result<Traffic> probe_icmp(const NetNamespace& in, const Conversation& probe);

// A TCP service, of IPv4, that sends back what it is sent, to up to 16 clients at once.
Result<Traffic> serve_tcp_echo(const NetNamespace& in, std::uint16_t port, Bounds bounds = {});

// Messages of 64 bytes over one connection, which is made before this returns. `sent` counts messages that
// the kernel took whole, `received` those that came back whole.
Result<Traffic> talk_tcp(const NetNamespace& in, const Conversation& talk);

// Puts the frames on the link as they are, in order, through AF_PACKET; waits a little where there is no
// room. All, or a failure that says how many were sent.
Result<void> send_frames(const NetNamespace& in, const std::string& link, std::span<const Frame> frames);

} // namespace homeostat::lab
