// What the generators of traffic.hpp share: the thread with its counters, sockets, and the schedule of sends.
#pragma once

#include "adapters/lab/descriptor.hpp"
#include "adapters/lab/traffic.hpp"

#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <thread>

namespace homeostat::lab {

struct Counters {
    std::atomic<std::uint64_t> sent{0};
    std::atomic<std::uint64_t> refused{0};
    std::atomic<std::uint64_t> received{0};
    std::atomic<std::uint64_t> missed{0};
    std::atomic<std::int64_t> first_ns{0};
    std::atomic<std::int64_t> last_ns{0};

    void happened(std::int64_t monotonic_ns) {
        if (first_ns == 0) first_ns = monotonic_ns;
        last_ns = monotonic_ns;
    }
};

// Runs on the generator's thread until its bounds or the token; returns why it ended early, or "".
using Body = std::move_only_function<std::string(const std::stop_token&, Counters&)>;

struct Traffic::Work {
    Counters counters;
    std::string error; // belongs to the thread until `ended`
    std::atomic<bool> ended = false;
    std::jthread thread;
};

// The calling thread must be back in its own namespace, for the new thread to be there too.
Traffic start(Body body);

std::int64_t monotonic_ns();
void sleep_until(std::int64_t monotonic_ns);
bool wait_for(int fd, short events, std::int64_t until_monotonic_ns); // false when the time is over

// Ends of waits, so that a stop is seen soon.
inline constexpr std::int64_t ns_per_ms = 1'000'000;
inline constexpr std::int64_t glance_ns = 10 * ns_per_ms;

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;

    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
    int family() const { return storage.ss_family; }
};

Result<SocketAddress> socket_address(const std::string& address, std::uint16_t port);
SocketAddress any_address(int family, std::uint16_t port);

// Made in the namespace, non-blocking; the calling thread is back when this returns.
Result<Descriptor> open_socket(const NetNamespace& in, int family, int type, int protocol);
Result<void> set_option(const Descriptor& socket, int level, int name, int value);
Error errno_error(const std::string& operation);

// Packet n is due n / rate seconds after the start, while the bounds last. The first one is due at once.
class Schedule {
  public:
    Schedule(std::uint32_t packets_per_second, Bounds bounds);

    std::uint64_t due(std::int64_t now_ns) const;             // how many packets, from the start
    std::int64_t due_ns(std::uint64_t packet) const;          // when it is due
    bool over(std::int64_t now_ns, std::uint64_t done) const; // its time or its packets are

  private:
    std::uint64_t rate_;
    std::uint64_t packets_;
    std::int64_t start_ns_;
    std::int64_t end_ns_;
};

} // namespace homeostat::lab
