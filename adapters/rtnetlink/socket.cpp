#include "adapters/rtnetlink/socket.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace homeostat::rtnetlink {
namespace {

constexpr std::size_t buffer_bytes = 64 << 10; // more than any message about one link

std::unexpected<Error> errno_failure(const std::string& operation) {
    const int number = errno;
    return failure("rtnetlink: " + operation + ": " + std::strerror(number), number);
}

int hand_on(const nlmsghdr* message, void* each) {
    (*static_cast<const EachMessage*>(each))(*message);
    return MNL_CB_OK;
}

void* as_data(const EachMessage& each) { return const_cast<EachMessage*>(&each); }

} // namespace

Socket::Socket(mnl_socket* socket) : socket_(socket), buffer_(buffer_bytes) {}

Result<Socket> Socket::open() {
    Socket made(mnl_socket_open2(NETLINK_ROUTE, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!made.socket_) return errno_failure("open a socket");
    if (mnl_socket_bind(made.socket_.get(), 0, MNL_SOCKET_AUTOPID) != 0)
        return errno_failure("bind the socket");
    return made;
}

Result<void> Socket::subscribe(int group) {
    if (mnl_socket_setsockopt(socket_.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
        return errno_failure("subscribe to group " + std::to_string(group));
    return {};
}

int Socket::descriptor() const { return mnl_socket_get_fd(socket_.get()); }

Result<void> Socket::request(nlmsghdr& request, const EachMessage& each) {
    request.nlmsg_flags |= NLM_F_REQUEST;
    request.nlmsg_seq = ++sequence_;
    if (mnl_socket_sendto(socket_.get(), &request, request.nlmsg_len) < 0)
        return errno_failure("send a request");
    for (int more = MNL_CB_OK; more > MNL_CB_STOP;) {
        const auto size = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
        if (size < 0) return errno_failure("read an answer");
        const auto* first = reinterpret_cast<const nlmsghdr*>(buffer_.data());
        if (mnl_nlmsg_ok(first, static_cast<int>(size)) && first->nlmsg_seq != sequence_) continue;
        more = mnl_cb_run(buffer_.data(), static_cast<std::size_t>(size), sequence_,
                          mnl_socket_get_portid(socket_.get()), hand_on, as_data(each));
        if (more < 0) return errno_failure("request");
    }
    return {};
}

Result<bool> Socket::drain(const EachMessage& each) {
    bool complete = true;
    for (;;) {
        const auto size = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
        if (size < 0 && errno == EAGAIN) return complete;
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && (errno == ENOBUFS || errno == ENOSPC)) {
            complete = false; // told once; what waits is still there
            continue;
        }
        if (size < 0) return errno_failure("read notifications");
        mnl_cb_run(buffer_.data(), static_cast<std::size_t>(size), 0, 0, hand_on, as_data(each));
    }
}

const nlattr* find_attribute(const nlmsghdr& message, std::size_t header_bytes, int type) {
    struct Search {
        int type;
        const nlattr* found;
    } search{type, nullptr};
    const auto look = [](const nlattr* attribute, void* data) -> int {
        auto& sought = *static_cast<Search*>(data);
        if (mnl_attr_get_type(attribute) != sought.type) return MNL_CB_OK;
        sought.found = attribute;
        return MNL_CB_STOP;
    };
    mnl_attr_parse(&message, static_cast<unsigned>(header_bytes), look, &search);
    return search.found;
}

} // namespace homeostat::rtnetlink
