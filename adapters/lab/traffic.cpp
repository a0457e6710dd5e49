#include "adapters/lab/traffic.hpp"

#include "adapters/lab/work.hpp"

#include <linux/if_packet.h>
#include <linux/sock_diag.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <vector>

namespace homeostat::lab {
namespace {

constexpr std::size_t batch_max = 64;
constexpr int receive_buffer_bytes = 64 << 20;
constexpr std::int64_t send_wait_ns_max = 2'000 * ns_per_ms; // for room on the link

// One payload, sent many times.
class Datagrams {
  public:
    Datagrams(const SocketAddress& to, std::size_t payload) : to_(to), payload_(payload) {
        part_ = {.iov_base = payload_.data(), .iov_len = payload_.size()};
        for (auto& message : messages_) {
            message.msg_hdr.msg_name = &to_.storage;
            message.msg_hdr.msg_namelen = to_.size;
            message.msg_hdr.msg_iov = &part_;
            message.msg_hdr.msg_iovlen = 1;
        }
    }
    Datagrams(const Datagrams&) = delete;
    Datagrams& operator=(const Datagrams&) = delete;

    // How many of `count` were sent; -1 with errno where the first was not.
    int send(int socket, std::size_t count) {
        return ::sendmmsg(socket, messages_.data(), static_cast<unsigned>(std::min(count, batch_max)), 0);
    }

  private:
    SocketAddress to_;
    std::vector<std::byte> payload_;
    iovec part_{};
    std::array<mmsghdr, batch_max> messages_{};
};

// Sends up to `count` at once; returns how many were tried, sent or refused.
std::uint64_t send_batch(const Descriptor& socket, Datagrams& datagrams, std::uint64_t count,
                         Counters& counters) {
    counters.happened(monotonic_ns());
    const int sent = datagrams.send(socket.get(), count);
    if (sent > 0) {
        counters.sent += static_cast<std::uint64_t>(sent);
        return static_cast<std::uint64_t>(sent);
    }
    if (errno == ECONNREFUSED || errno == EINTR) return 0; // the first is an ICMP answer to an earlier packet
    ++counters.refused;
    return 1;
}

void flood(const std::stop_token& stop, Counters& counters, const Descriptor& socket, Datagrams& datagrams,
           const UdpFlood& spec) {
    const Schedule schedule(spec.packets_per_second, spec.bounds);
    std::uint64_t tried = 0;
    for (auto now = monotonic_ns(); !stop.stop_requested() && !schedule.over(now, tried);
         now = monotonic_ns()) {
        if (const auto due = schedule.due(now); tried < due)
            tried += send_batch(socket, datagrams, due - tried, counters);
        else
            sleep_until(std::clamp(schedule.due_ns(tried), now + ns_per_ms, now + glance_ns));
    }
}

// The datagrams of one recvmmsg, with the kernel's time of each arrival.
class Arrivals {
  public:
    Arrivals() {
        for (std::size_t i = 0; i < batch_max; ++i) {
            parts_[i] = {.iov_base = &bytes_[i], .iov_len = 1};
            messages_[i].msg_hdr.msg_iov = &parts_[i];
            messages_[i].msg_hdr.msg_iovlen = 1;
        }
    }
    Arrivals(const Arrivals&) = delete;
    Arrivals& operator=(const Arrivals&) = delete;

    std::size_t receive(int socket) {
        for (std::size_t i = 0; i < batch_max; ++i) {
            messages_[i].msg_hdr.msg_control = controls_[i].data();
            messages_[i].msg_hdr.msg_controllen = controls_[i].size();
        }
        const int count = ::recvmmsg(socket, messages_.data(), batch_max, MSG_DONTWAIT, nullptr);
        return count > 0 ? static_cast<std::size_t>(count) : 0;
    }

    // CLOCK_REALTIME; 0 where the kernel gave none.
    std::int64_t realtime_ns(std::size_t i) {
        auto& header = messages_[i].msg_hdr;
        for (auto* control = CMSG_FIRSTHDR(&header); control != nullptr;
             control = CMSG_NXTHDR(&header, control)) {
            if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_TIMESTAMPNS) continue;
            timespec time{};
            std::memcpy(&time, CMSG_DATA(control), sizeof time);
            return time.tv_sec * 1'000 * ns_per_ms + time.tv_nsec;
        }
        return 0;
    }

  private:
    using Control = std::array<char, CMSG_SPACE(sizeof(timespec))>;
    std::array<char, batch_max> bytes_{};
    std::array<iovec, batch_max> parts_{};
    alignas(cmsghdr) std::array<Control, batch_max> controls_{};
    std::array<mmsghdr, batch_max> messages_{};
};

// What is subtracted from CLOCK_REALTIME to get CLOCK_MONOTONIC.
std::int64_t realtime_offset_ns() {
    timespec realtime{};
    ::clock_gettime(CLOCK_REALTIME, &realtime);
    return realtime.tv_sec * 1'000 * ns_per_ms + realtime.tv_nsec - monotonic_ns();
}

std::uint64_t dropped_at(const Descriptor& socket) {
    std::array<std::uint32_t, SK_MEMINFO_VARS> info{};
    socklen_t size = sizeof info;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_MEMINFO, info.data(), &size) != 0) return 0;
    return info[SK_MEMINFO_DROPS];
}

// Counts all that is there.
void drain(const Descriptor& socket, Arrivals& arrivals, Counters& counters) {
    while (const auto count = arrivals.receive(socket.get())) {
        const auto offset = realtime_offset_ns();
        counters.happened(arrivals.realtime_ns(0) - offset);
        counters.happened(arrivals.realtime_ns(count - 1) - offset);
        counters.received += count;
    }
    counters.missed = dropped_at(socket);
}

void receive(const std::stop_token& stop, Counters& counters, const Descriptor& socket, Bounds bounds) {
    Arrivals arrivals;
    const auto end = monotonic_ns() + bounds.time.count() * ns_per_ms;
    for (auto now = monotonic_ns(); !stop.stop_requested() && now < end; now = monotonic_ns()) {
        wait_for(socket.get(), POLLIN, std::min(end, now + glance_ns));
        drain(socket, arrivals, counters);
        if (counters.received >= bounds.packets) return;
    }
    drain(socket, arrivals, counters);
}

Result<void> send_frame(const Descriptor& socket, const sockaddr_ll& link, const Frame& frame) {
    const auto until = monotonic_ns() + send_wait_ns_max;
    for (;;) {
        const auto sent = ::sendto(socket.get(), frame.data(), frame.size(), 0,
                                   reinterpret_cast<const sockaddr*>(&link), sizeof link);
        if (sent == static_cast<ssize_t>(frame.size())) return {};
        const bool full = errno == ENOBUFS || errno == EAGAIN;
        if (errno != EINTR && (!full || monotonic_ns() > until))
            return std::unexpected(errno_error("send a frame"));
        sleep_until(monotonic_ns() + ns_per_ms / 10);
    }
}

} // namespace

Result<Traffic> flood_udp(const NetNamespace& in, const UdpFlood& spec) {
    const auto to = socket_address(spec.to, spec.port);
    if (!to) return std::unexpected(to.error());
    auto socket = open_socket(in, to->family(), SOCK_DGRAM, 0);
    if (!socket) return std::unexpected(socket.error());
    // Errors on the way out are told only with this: without it a packet that the link dropped would count as
    // sent.
    const auto told = to->family() == AF_INET6 ? set_option(*socket, SOL_IPV6, IPV6_RECVERR, 1)
                                               : set_option(*socket, SOL_IP, IP_RECVERR, 1);
    if (!told) return std::unexpected(told.error());
    if (!spec.from.empty()) {
        const auto from = socket_address(spec.from, 0);
        if (!from) return std::unexpected(from.error());
        if (::bind(socket->get(), from->get(), from->size) != 0)
            return std::unexpected(errno_error("bind to " + spec.from + " in " + in.name()));
    }
    auto datagrams = std::make_unique<Datagrams>(*to, spec.payload);
    return start([socket = std::move(*socket), datagrams = std::move(datagrams),
                  spec](const std::stop_token& stop, Counters& counters) {
        flood(stop, counters, socket, *datagrams, spec);
        return std::string();
    });
}

Result<Traffic> receive_udp(const NetNamespace& in, std::uint16_t port, Bounds bounds) {
    auto socket = open_socket(in, AF_INET6, SOCK_DGRAM, 0);
    if (!socket) return std::unexpected(socket.error());
    for (const auto& [level, name, value] : std::to_array<std::array<int, 3>>({
             {SOL_IPV6, IPV6_V6ONLY, 0},
             {SOL_SOCKET, SO_RCVBUFFORCE, receive_buffer_bytes},
             {SOL_SOCKET, SO_TIMESTAMPNS, 1},
         })) {
        if (auto set = set_option(*socket, level, name, value); !set) return std::unexpected(set.error());
    }
    const auto any = any_address(AF_INET6, port);
    if (::bind(socket->get(), any.get(), any.size) != 0)
        return std::unexpected(errno_error("bind to UDP port " + std::to_string(port) + " in " + in.name()));
    return start([socket = std::move(*socket), bounds](const std::stop_token& stop, Counters& counters) {
        receive(stop, counters, socket, bounds);
        return std::string();
    });
}

Result<void> send_frames(const NetNamespace& in, const std::string& link, std::span<const Frame> frames) {
    auto entered = in.enter();
    if (!entered) return std::unexpected(entered.error());
    const Descriptor socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    if (!socket) return std::unexpected(errno_error("packet socket in " + in.name()));
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = static_cast<int>(::if_nametoindex(link.c_str()));
    if (to.sll_ifindex == 0) return std::unexpected(errno_error("link " + link + " in " + in.name()));
    for (std::size_t i = 0; i < frames.size(); ++i) {
        if (auto sent = send_frame(socket, to, frames[i]); !sent)
            return failure(sent.error().what + " on " + link + " (after " + std::to_string(i) + " frames)",
                           sent.error().number);
    }
    return {};
}

} // namespace homeostat::lab
