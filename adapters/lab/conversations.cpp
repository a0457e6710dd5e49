#include "adapters/lab/traffic.hpp"
#include "adapters/lab/work.hpp"

#include <linux/icmp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace homeostat::lab {
namespace {

constexpr std::int64_t answers_wait_ns = 2'000 * ns_per_ms;
constexpr std::int64_t connect_wait_ns = 2'000 * ns_per_ms;
constexpr std::int64_t echo_wait_ns = 1'000 * ns_per_ms; // for a client that does not read what it gets
constexpr std::size_t clients_max = 16;
constexpr std::size_t message_bytes = 64;

using Buffer = std::array<char, 4096>;

// Sends on schedule and reads answers in between; at the end it waits for the answers that are still due.
// Side has descriptor(); send(), false where it was refused; and receive(Counters&), which says why the
// conversation is over, or "".
template <class Side>
std::string converse(const std::stop_token& stop, Counters& counters, const Conversation& spec, Side& side) {
    const Schedule schedule(spec.messages_per_second, spec.bounds);
    std::uint64_t tried = 0;
    std::int64_t give_up_ns = 0;
    for (;;) {
        const auto now = monotonic_ns();
        auto wake_ns = now + glance_ns;
        if (!stop.stop_requested() && !schedule.over(now, tried)) {
            for (const auto due = schedule.due(now); tried < due; ++tried) {
                counters.happened(monotonic_ns());
                ++(side.send() ? counters.sent : counters.refused);
            }
            wake_ns = std::min(wake_ns, schedule.due_ns(tried));
        } else {
            if (give_up_ns == 0) give_up_ns = now + answers_wait_ns;
            if (counters.received >= counters.sent || now >= give_up_ns) return {};
        }
        wait_for(side.descriptor(), POLLIN, wake_ns);
        if (auto over = side.receive(counters); !over.empty()) return over;
    }
}

// ICMP echo by a raw socket. The sequence number of 16 bits tells which of the newest 65,536 is answered.
class EchoRequests {
  public:
    EchoRequests(Descriptor socket, std::uint16_t identifier)
        : socket_(std::move(socket)), identifier_(identifier) {}

    int descriptor() const { return socket_.get(); }

    bool send() {
        const auto sequence = static_cast<std::uint16_t>(answered_.size());
        const auto frame = icmp_echo_frame({.source_port = identifier_, .destination_port = sequence},
                                           headers_bytes + message_bytes);
        const auto message = std::span(frame).subspan(headers_bytes);
        const bool sent = ::send(socket_.get(), message.data(), message.size(), 0) > 0;
        if (sent) answered_.push_back(false);
        return sent;
    }

    std::string receive(Counters& counters) {
        Buffer buffer{};
        for (;;) {
            const auto count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
            if (count < 0) return {}; // nothing there, or an ICMP error for an earlier request, told once
            if (answers(buffer, static_cast<std::size_t>(count))) ++counters.received;
        }
    }

  private:
    static constexpr std::size_t headers_bytes = 14 + 20; // Ethernet and IPv4: the kernel adds its own

    bool answers(const Buffer& buffer, std::size_t size) {
        iphdr ip{};
        icmphdr icmp{};
        std::memcpy(&ip, buffer.data(), sizeof ip);
        const auto start = std::size_t{ip.ihl} * 4;
        if (size < start + sizeof icmp) return false;
        std::memcpy(&icmp, &buffer[start], sizeof icmp);
        if (icmp.type != ICMP_ECHOREPLY || ntohs(icmp.un.echo.id) != identifier_) return false;
        const auto age = static_cast<std::uint16_t>(answered_.size() - 1 - ntohs(icmp.un.echo.sequence));
        if (age >= answered_.size()) return false;
        const auto request = answered_.size() - 1 - age;
        if (answered_[request]) return false;
        answered_[request] = true;
        return true;
    }

    Descriptor socket_;
    std::uint16_t identifier_;
    std::vector<bool> answered_; // by request
};

// Sends all of it, waiting for room; false where the peer is gone or does not read.
bool send_all(const Descriptor& socket, std::span<const char> bytes) {
    while (!bytes.empty()) {
        const auto sent = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent >= 0)
            bytes = bytes.subspan(static_cast<std::size_t>(sent));
        else if (errno != EAGAIN || !wait_for(socket.get(), POLLOUT, monotonic_ns() + echo_wait_ns))
            return false;
    }
    return true;
}

class EchoService {
  public:
    explicit EchoService(Descriptor listener) : listener_(std::move(listener)) {}

    std::string serve(const std::stop_token& stop, Counters& counters, Bounds bounds) {
        const auto end = monotonic_ns() + bounds.time.count() * ns_per_ms;
        while (!stop.stop_requested() && monotonic_ns() < end && counters.received < bounds.packets) {
            std::vector<pollfd> waiting{{listener_.get(), POLLIN, 0}};
            for (const auto& client : clients_) waiting.push_back({client.get(), POLLIN, 0});
            if (::poll(waiting.data(), waiting.size(), static_cast<int>(glance_ns / ns_per_ms)) <= 0)
                continue;
            std::erase_if(clients_, [&](const Descriptor& client) { return !echo(client, counters); });
            accept();
        }
        return {};
    }

  private:
    void accept() {
        Descriptor client(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (!client || clients_.size() == clients_max) return;
        static_cast<void>(set_option(client, SOL_TCP, TCP_NODELAY, 1));
        clients_.push_back(std::move(client));
    }

    // False once the client is gone.
    static bool echo(const Descriptor& client, Counters& counters) {
        Buffer buffer{};
        const auto count = ::recv(client.get(), buffer.data(), buffer.size(), 0);
        if (count <= 0) return count < 0 && errno == EAGAIN;
        counters.happened(monotonic_ns());
        const std::span<const char> bytes(buffer.data(), static_cast<std::size_t>(count));
        counters.received += bytes.size();
        if (!send_all(client, bytes)) return false;
        counters.sent += bytes.size();
        return true;
    }

    Descriptor listener_;
    std::vector<Descriptor> clients_;
};

class TcpTalk {
  public:
    explicit TcpTalk(Descriptor socket) : socket_(std::move(socket)) {}

    int descriptor() const { return socket_.get(); }

    bool send() {
        flush();
        if (!outgoing_.empty()) return false;
        outgoing_.assign(message_bytes, 'x');
        flush();
        if (outgoing_.size() < message_bytes) return true;
        outgoing_.clear();
        return false;
    }

    std::string receive(Counters& counters) {
        flush();
        Buffer buffer{};
        for (;;) {
            const auto count = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
            if (count == 0) return "the service closed the connection";
            if (count < 0 && errno == EINTR) continue;
            if (count < 0) return errno == EAGAIN ? std::string() : errno_error("TCP connection").what;
            bytes_received_ += static_cast<std::uint64_t>(count);
            counters.received = bytes_received_ / message_bytes;
        }
    }

  private:
    void flush() {
        if (outgoing_.empty()) return;
        const auto sent = ::send(socket_.get(), outgoing_.data(), outgoing_.size(), MSG_NOSIGNAL);
        if (sent > 0) outgoing_.erase(0, static_cast<std::size_t>(sent));
    }

    Descriptor socket_;
    std::string outgoing_; // the rest of a message that the kernel took in part
    std::uint64_t bytes_received_ = 0;
};

Result<void> connect(const Descriptor& socket, const SocketAddress& to) {
    if (::connect(socket.get(), to.get(), to.size) == 0) return {};
    if (errno != EINPROGRESS) return std::unexpected(errno_error("connect"));
    if (!wait_for(socket.get(), POLLOUT, monotonic_ns() + connect_wait_ns))
        return failure("connect: no answer", ETIMEDOUT);
    socklen_t size = sizeof errno;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &errno, &size);
    if (errno != 0) return std::unexpected(errno_error("connect"));
    return {};
}

Result<SocketAddress> ipv4_address(const Conversation& spec, std::uint16_t port) {
    auto to = socket_address(spec.to, port);
    if (to && to->family() != AF_INET) return failure(spec.to + " is not an IPv4 address");
    return to;
}

std::uint16_t next_identifier() {
    static std::atomic<std::uint16_t> last{0};
    return ++last;
}

} // namespace

Result<Traffic> probe_icmp(const NetNamespace& in, const Conversation& probe) {
    const auto to = ipv4_address(probe, 0);
    if (!to) return std::unexpected(to.error());
    auto socket = open_socket(in, AF_INET, SOCK_RAW, IPPROTO_ICMP);
    if (!socket) return std::unexpected(socket.error());
    const icmp_filter answers_only{~(1U << ICMP_ECHOREPLY)};
    if (::setsockopt(socket->get(), SOL_RAW, ICMP_FILTER, &answers_only, sizeof answers_only) != 0)
        return std::unexpected(errno_error("filter of the ICMP socket"));
    if (auto connected = connect(*socket, *to); !connected)
        return failure("ICMP to " + probe.to + ": " + connected.error().what, connected.error().number);
    return start([side = EchoRequests(std::move(*socket), next_identifier()),
                  probe](const std::stop_token& stop, Counters& counters) mutable {
        return converse(stop, counters, probe, side);
    });
}

Result<Traffic> serve_tcp_echo(const NetNamespace& in, std::uint16_t port, Bounds bounds) {
    auto listener = open_socket(in, AF_INET, SOCK_STREAM, 0);
    if (!listener) return std::unexpected(listener.error());
    if (auto set = set_option(*listener, SOL_SOCKET, SO_REUSEADDR, 1); !set)
        return std::unexpected(set.error());
    const auto any = any_address(AF_INET, port);
    if (::bind(listener->get(), any.get(), any.size) != 0 || ::listen(listener->get(), clients_max) != 0)
        return std::unexpected(
            errno_error("listen on TCP port " + std::to_string(port) + " in " + in.name()));
    return start([service = EchoService(std::move(*listener)), bounds](const std::stop_token& stop,
                                                                       Counters& counters) mutable {
        return service.serve(stop, counters, bounds);
    });
}

Result<Traffic> talk_tcp(const NetNamespace& in, const Conversation& talk) {
    const auto to = ipv4_address(talk, talk.port);
    if (!to) return std::unexpected(to.error());
    auto socket = open_socket(in, AF_INET, SOCK_STREAM, 0);
    if (!socket) return std::unexpected(socket.error());
    if (auto set = set_option(*socket, SOL_TCP, TCP_NODELAY, 1); !set) return std::unexpected(set.error());
    if (auto connected = connect(*socket, *to); !connected)
        return failure("TCP to " + talk.to + " port " + std::to_string(talk.port) + ": " +
                           connected.error().what,
                       connected.error().number);
    return start(
        [side = TcpTalk(std::move(*socket)), talk](const std::stop_token& stop, Counters& counters) mutable {
            return converse(stop, counters, talk, side);
        });
}

} // namespace homeostat::lab
