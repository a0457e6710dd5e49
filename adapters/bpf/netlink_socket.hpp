// Netlink sockets of libmnl's, and their owner.
#pragma once

#include <libmnl/libmnl.h>

#include <cerrno>
#include <memory>
#include <sys/socket.h>

namespace homeostat::bpf {

struct CloseSocket {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};
using NetlinkSocket = std::unique_ptr<mnl_socket, CloseSocket>;

// In the calling thread's network namespace, with an address of the kernel's choice; null where that cannot
// be, and errno says why. `bus`: NETLINK_ROUTE and the like.
inline NetlinkSocket open_netlink(int bus) {
    NetlinkSocket socket(mnl_socket_open2(bus, SOCK_CLOEXEC));
    if (!socket || mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) == 0) return socket;
    const int error = errno;
    socket.reset();
    errno = error;
    return socket;
}

} // namespace homeostat::bpf
