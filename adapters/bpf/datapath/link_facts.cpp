#include "adapters/bpf/datapath/link_facts.hpp"

#include "adapters/bpf/datapath/xdp_link.hpp"
#include "adapters/bpf/descriptor.hpp"
#include "adapters/bpf/netlink_socket.hpp"

#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <memory>
#include <vector>

namespace homeostat::bpf {

namespace {

constexpr std::size_t answer_bytes_max = 32'768; // what the kernel puts into one message

std::string text_of(const nlattr* attribute) {
    return mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) < 0 ? "" : mnl_attr_get_str(attribute);
}

int read_info(const nlattr* attribute, void* data) {
    auto& facts = *static_cast<LinkFacts*>(data);
    if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND) facts.kind = text_of(attribute);
    if (mnl_attr_get_type(attribute) == IFLA_INFO_SLAVE_KIND) facts.master_kind = text_of(attribute);
    return MNL_CB_OK;
}

int read_attribute(const nlattr* attribute, void* data) {
    auto& facts = *static_cast<LinkFacts*>(data);
    const auto type = mnl_attr_get_type(attribute);
    const bool is_number = mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0;
    if (type == IFLA_MTU && is_number) facts.mtu = mnl_attr_get_u32(attribute);
    if (type == IFLA_MASTER && is_number) facts.master = interface_name(mnl_attr_get_u32(attribute));
    return type == IFLA_LINKINFO ? mnl_attr_parse_nested(attribute, read_info, data) : MNL_CB_OK;
}

int read_link(const nlmsghdr* message, void* data) {
    return mnl_attr_parse(message, sizeof(ifinfomsg), read_attribute, data);
}

bool ask_rtnetlink(unsigned ifindex, LinkFacts& facts) {
    const NetlinkSocket socket = open_netlink(NETLINK_ROUTE);
    if (!socket) return false;
    alignas(nlmsghdr) std::array<char, 256> bytes{};
    nlmsghdr* request = mnl_nlmsg_put_header(bytes.data());
    request->nlmsg_type = RTM_GETLINK;
    request->nlmsg_flags = NLM_F_REQUEST;
    auto* body = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(request, sizeof(ifinfomsg)));
    body->ifi_index = static_cast<int>(ifindex);
    if (mnl_socket_sendto(socket.get(), request, request->nlmsg_len) < 0) return false;
    std::vector<char> answer(answer_bytes_max);
    const ssize_t size = mnl_socket_recvfrom(socket.get(), answer.data(), answer.size());
    return size > 0 &&
           mnl_cb_run(answer.data(), static_cast<std::size_t>(size), 0, 0, read_link, &facts) >= 0;
}

// The generic netlink family "netdev": its number, by the name; and then the XDP features of a device. What
// is not in the headers of older kernels is written out here, as in Documentation/netlink/specs/netdev.yaml.
constexpr std::uint8_t netdev_get_device = 1;
constexpr std::uint16_t netdev_ifindex = 1;
constexpr std::uint16_t netdev_xdp_features = 3;

struct Found {
    std::uint16_t attribute = 0;
    std::uint64_t value = 0;
    bool there = false;
};

int read_found(const nlattr* attribute, void* data) {
    auto& found = *static_cast<Found*>(data);
    if (mnl_attr_get_type(attribute) != found.attribute) return MNL_CB_OK;
    found.there = true;
    found.value = mnl_attr_get_payload_len(attribute) == sizeof(std::uint16_t) ? mnl_attr_get_u16(attribute)
                                                                               : mnl_attr_get_u64(attribute);
    return MNL_CB_OK;
}

int read_generic(const nlmsghdr* message, void* data) {
    return mnl_attr_parse(message, sizeof(genlmsghdr), read_found, data);
}

// The number in `attribute` of the answer; none where there is no answer, or no such attribute in it.
template <class Put> std::optional<std::uint64_t> ask_generic(const mnl_socket* socket, std::uint16_t family,
                                                              std::uint8_t command, std::uint16_t attribute,
                                                              const Put& put) {
    alignas(nlmsghdr) std::array<char, 256> bytes{};
    nlmsghdr* request = mnl_nlmsg_put_header(bytes.data());
    request->nlmsg_type = family;
    request->nlmsg_flags = NLM_F_REQUEST;
    auto* body = static_cast<genlmsghdr*>(mnl_nlmsg_put_extra_header(request, sizeof(genlmsghdr)));
    body->cmd = command;
    body->version = 1;
    put(request);
    if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0) return std::nullopt;
    std::vector<char> answer(answer_bytes_max);
    const ssize_t size = mnl_socket_recvfrom(socket, answer.data(), answer.size());
    Found found{.attribute = attribute};
    const bool is_answer = size > 0 && mnl_cb_run(answer.data(), static_cast<std::size_t>(size), 0, 0,
                                                  read_generic, &found) >= 0;
    return is_answer && found.there ? std::optional(found.value) : std::nullopt;
}

std::optional<std::uint64_t> ask_xdp_features(unsigned ifindex) {
    const NetlinkSocket socket = open_netlink(NETLINK_GENERIC);
    if (!socket) return std::nullopt;
    // Stays as it is while the kernel runs.
    static std::atomic<std::uint16_t> family = 0;
    if (family == 0)
        family = static_cast<std::uint16_t>(
            ask_generic(
                socket.get(), GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_ID,
                [](nlmsghdr* request) { mnl_attr_put_strz(request, CTRL_ATTR_FAMILY_NAME, "netdev"); })
                .value_or(0));
    if (family == 0) return std::nullopt;
    return ask_generic(socket.get(), family, netdev_get_device, netdev_xdp_features,
                       [&](nlmsghdr* request) { mnl_attr_put_u32(request, netdev_ifindex, ifindex); });
}

// `command` points to a struct of <linux/ethtool.h>.
bool ask_ethtool(const std::string& interface, void* command) {
    const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    interface.copy(request.ifr_name, IFNAMSIZ - 1);
    request.ifr_data = static_cast<char*>(command);
    return ::ioctl(socket.get(), SIOCETHTOOL, &request) == 0;
}

} // namespace

std::string interface_name(unsigned ifindex) {
    std::array<char, IF_NAMESIZE> name{};
    return ::if_indextoname(ifindex, name.data()) != nullptr ? name.data() : "";
}

std::optional<LinkFacts> deciding_facts(unsigned ifindex) {
    LinkFacts facts;
    if (!ask_rtnetlink(ifindex, facts)) return std::nullopt;
    const unsigned master = facts.master.empty() ? 0 : ::if_nametoindex(facts.master.c_str());
    if (master != 0)
        if (const auto there = attached_program(master); there && *there)
            facts.master_program = describe(**there);
    facts.xdp_features = ask_xdp_features(ifindex);
    return facts;
}

std::optional<LinkFacts> link_facts(unsigned ifindex) {
    auto facts = deciding_facts(ifindex);
    if (!facts) return std::nullopt;
    const std::string name = interface_name(ifindex);
    ethtool_drvinfo driver{};
    driver.cmd = ETHTOOL_GDRVINFO;
    if (ask_ethtool(name, &driver)) facts->driver = driver.driver;
    ethtool_value flags{.cmd = ETHTOOL_GFLAGS, .data = 0};
    facts->lro = ask_ethtool(name, &flags) && (flags.data & ETH_FLAG_LRO) != 0;
    return facts;
}

} // namespace homeostat::bpf
