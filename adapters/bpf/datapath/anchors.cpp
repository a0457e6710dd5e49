#include "adapters/bpf/datapath/anchors.hpp"

#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "adapters/bpf/netlink_socket.hpp"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <memory>
#include <thread>

namespace homeostat::bpf {

namespace {

std::string end_name(std::size_t number) { return "anchor" + std::to_string(number); }

// Asks for a veth pair: "anchorN" and a peer whose name the kernel chooses. 0 or a negative errno.
int make_pair(mnl_socket* socket, std::size_t number) {
    std::array<char, 1024> buffer{};
    nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
    message->nlmsg_type = RTM_NEWLINK;
    message->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
    message->nlmsg_seq = static_cast<std::uint32_t>(number + 1);
    mnl_nlmsg_put_extra_header(message, sizeof(ifinfomsg));
    mnl_attr_put_strz(message, IFLA_IFNAME, end_name(number).c_str());
    nlattr* info = mnl_attr_nest_start(message, IFLA_LINKINFO);
    mnl_attr_put_str(message, IFLA_INFO_KIND, "veth");
    nlattr* data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
    nlattr* peer = mnl_attr_nest_start(message, VETH_INFO_PEER);
    mnl_nlmsg_put_extra_header(message, sizeof(ifinfomsg));
    mnl_attr_nest_end(message, peer);
    mnl_attr_nest_end(message, data);
    mnl_attr_nest_end(message, info);
    if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0) return -errno;
    std::array<char, 4096> answer{};
    const ssize_t length = mnl_socket_recvfrom(socket, answer.data(), answer.size());
    if (length < 0) return -errno;
    const int end = mnl_cb_run(answer.data(), static_cast<std::size_t>(length), message->nlmsg_seq,
                               mnl_socket_get_portid(socket), nullptr, nullptr);
    return end < 0 ? -errno : 0;
}

// In the calling thread, which is in another network namespace afterwards.
Result<void> hold_here(std::span<const int> programs, std::vector<Descriptor>& links, Descriptor& space) {
    if (::unshare(CLONE_NEWNET) != 0)
        return failure("make a network namespace for anchors: " + errno_text(errno) +
                           (errno == EPERM ? "; it takes CAP_SYS_ADMIN" : ""),
                       errno);
    space = Descriptor(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    const NetlinkSocket socket = space ? open_netlink(NETLINK_ROUTE) : nullptr;
    if (!socket) return failure("ask for anchors: " + errno_text(errno), errno);
    const KernelPort kernel;
    for (std::size_t i = 0; i < std::min(programs.size(), anchors_max); ++i) {
        if (const int error = make_pair(socket.get(), i); error != 0)
            return failure("make a veth pair for an anchor: " + errno_text(error), -error);
        Descriptor link(
            kernel.create_link(programs[i], ::if_nametoindex(end_name(i).c_str()), Hook::xdp_drv));
        if (!link) return failure("attach a program to its anchor: " + errno_text(link.get()), -link.get());
        links.push_back(std::move(link));
    }
    return {};
}

} // namespace

Result<Anchors> Anchors::hold(std::span<const int> programs) {
    Anchors anchors;
    Result<void> held;
    // A thread of its own, since it leaves this network namespace for good.
    std::thread([&] { held = hold_here(programs, anchors.links_, anchors.namespace_); }).join();
    if (!held) return std::unexpected(held.error());
    return anchors;
}

} // namespace homeostat::bpf
