// The owner of a netlink socket of libmnl's.
#pragma once

#include <libmnl/libmnl.h>

#include <memory>

namespace homeostat::bpf {

struct CloseSocket {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};
using NetlinkSocket = std::unique_ptr<mnl_socket, CloseSocket>;

} // namespace homeostat::bpf
