// A netlink socket to the kernel's routing family, in the network namespace of the thread that opened it.
#pragma once

#include "knowledge/error.hpp"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace homeostat::rtnetlink {

using EachMessage = std::function<void(const nlmsghdr& message)>;

// Move-only; never waits. Closing it ends its subscriptions. Not thread-safe.
class Socket {
  public:
    static Result<Socket> open();

    Result<void> subscribe(int group); // an RTNLGRP_
    int descriptor() const;

    // Sends the request, which must ask for a dump or an acknowledgement, and hands on every message of the
    // answer. The kernel answers within the call. What a failed request left unread is passed over by the
    // next one.
    Result<void> request(nlmsghdr& request, const EachMessage& each);

    // Hands on every notification that waits. False where the kernel says that it lost some.
    Result<bool> drain(const EachMessage& each);

  private:
    struct Close {
        void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
    };
    explicit Socket(mnl_socket* socket);

    std::unique_ptr<mnl_socket, Close> socket_;
    std::vector<char> buffer_;
    std::uint32_t sequence_ = 0;
};

// The first attribute of a type after the family's header of `header_bytes`; nullptr where there is none.
const nlattr* find_attribute(const nlmsghdr& message, std::size_t header_bytes, int type);

} // namespace homeostat::rtnetlink
