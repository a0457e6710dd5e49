#include "adapters/bpf/datapath/device_watch.hpp"

#include "adapters/bpf/kernel.hpp"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace homeostat::bpf {

Result<DeviceWatch> DeviceWatch::open() {
    Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_LINK;
    if (!socket || ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return failure("watch network devices: " + errno_text(errno), errno);
    return DeviceWatch(std::move(socket));
}

std::uint64_t DeviceWatch::generation() {
    std::array<char, 64> some{}; // what happened does not matter
    bool happened = false;
    while (::recv(socket_.get(), some.data(), some.size(), MSG_DONTWAIT | MSG_TRUNC) >= 0 ||
           (errno != EAGAIN && errno != EINTR && errno != EBADF))
        happened = true;
    if (happened) ++generation_;
    return generation_;
}

} // namespace homeostat::bpf
