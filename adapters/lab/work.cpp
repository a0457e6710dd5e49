#include "adapters/lab/work.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace homeostat::lab {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
constexpr std::int64_t ns_per_us = 1'000;
constexpr std::uint64_t us_per_s = 1'000'000;

timespec to_timespec(std::int64_t ns) { return {.tv_sec = ns / ns_per_s, .tv_nsec = ns % ns_per_s}; }

} // namespace

Traffic::Traffic(std::unique_ptr<Work> work) : work_(std::move(work)) {}
Traffic::Traffic(Traffic&&) noexcept = default;
Traffic& Traffic::operator=(Traffic&&) noexcept = default;
Traffic::~Traffic() = default;

TrafficCount Traffic::count() const {
    const auto& counters = work_->counters;
    const bool ended = work_->ended.load(std::memory_order_acquire);
    return {.sent = counters.sent,
            .refused = counters.refused,
            .received = counters.received,
            .missed = counters.missed,
            .first_ns = counters.first_ns,
            .last_ns = counters.last_ns,
            .error = ended ? work_->error : std::string()};
}

TrafficCount Traffic::stop() {
    work_->thread.request_stop();
    return wait();
}

TrafficCount Traffic::wait() {
    if (work_->thread.joinable()) work_->thread.join();
    return count();
}

Traffic start(Body body) {
    auto work = std::make_unique<Traffic::Work>();
    work->thread = std::jthread([&own = *work, body = std::move(body)](const std::stop_token& stop) mutable {
        own.error = body(stop, own.counters);
        own.ended.store(true, std::memory_order_release);
    });
    return Traffic(std::move(work));
}

std::int64_t monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * ns_per_s + now.tv_nsec;
}

void sleep_until(std::int64_t monotonic_ns) {
    const auto until = to_timespec(monotonic_ns);
    while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) == EINTR) {
    }
}

bool wait_for(int fd, short events, std::int64_t until_monotonic_ns) {
    for (;;) {
        const auto left = to_timespec(std::max<std::int64_t>(until_monotonic_ns - monotonic_ns(), 0));
        pollfd ready{fd, events, 0};
        const int count = ::ppoll(&ready, 1, &left, nullptr);
        if (count >= 0 || errno != EINTR) return count > 0;
    }
}

Error errno_error(const std::string& operation) {
    const int number = errno;
    return {operation + ": " + std::strerror(number), number};
}

Result<SocketAddress> socket_address(const std::string& address, std::uint16_t port) {
    in_addr v4{};
    if (::inet_pton(AF_INET, address.c_str(), &v4) == 1) {
        auto made = any_address(AF_INET, port);
        reinterpret_cast<sockaddr_in*>(&made.storage)->sin_addr = v4;
        return made;
    }
    in6_addr v6{};
    if (::inet_pton(AF_INET6, address.c_str(), &v6) == 1) {
        auto made = any_address(AF_INET6, port);
        reinterpret_cast<sockaddr_in6*>(&made.storage)->sin6_addr = v6;
        return made;
    }
    return failure("\"" + address + "\" is no IP address");
}

SocketAddress any_address(int family, std::uint16_t port) {
    SocketAddress made;
    made.storage.ss_family = static_cast<sa_family_t>(family);
    // The port stands at the same place in sockaddr_in and sockaddr_in6.
    reinterpret_cast<sockaddr_in*>(&made.storage)->sin_port = htons(port);
    made.size = family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    return made;
}

Result<Descriptor> open_socket(const NetNamespace& in, int family, int type, int protocol) {
    auto entered = in.enter();
    if (!entered) return std::unexpected(entered.error());
    Descriptor socket(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
    if (!socket) return std::unexpected(errno_error("socket in " + in.name()));
    return socket;
}

Result<void> set_option(const Descriptor& socket, int level, int name, int value) {
    if (::setsockopt(socket.get(), level, name, &value, sizeof value) != 0)
        return std::unexpected(
            errno_error("setsockopt " + std::to_string(level) + "/" + std::to_string(name)));
    return {};
}

Schedule::Schedule(std::uint32_t packets_per_second, Bounds bounds)
    : rate_(std::max(packets_per_second, 1U)), packets_(bounds.packets), start_ns_(monotonic_ns()),
      end_ns_(start_ns_ + bounds.time.count() * ns_per_ms) {}

std::uint64_t Schedule::due(std::int64_t now_ns) const {
    const auto elapsed_us =
        static_cast<std::uint64_t>((std::min(now_ns, end_ns_ - 1) - start_ns_) / ns_per_us);
    return std::min(packets_, elapsed_us * rate_ / us_per_s + 1);
}

std::int64_t Schedule::due_ns(std::uint64_t packet) const {
    return start_ns_ + static_cast<std::int64_t>(packet * us_per_s / rate_) * ns_per_us;
}

bool Schedule::over(std::int64_t now_ns, std::uint64_t done) const {
    return now_ns >= end_ns_ || done >= packets_;
}

} // namespace homeostat::lab
