#include "adapters/bpf/filter_list.hpp"

#include "adapters/bpf/netlink_socket.hpp"

#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include <array>
#include <cerrno>
#include <cstdint>

namespace homeostat::bpf {

namespace {

constexpr std::size_t answer_bytes_max = 32'768; // what the kernel puts into one message

int read_option(const nlattr* attribute, void* data) {
    if (mnl_attr_get_type(attribute) == TCA_BPF_ID && mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
        static_cast<Filter*>(data)->program_id = mnl_attr_get_u32(attribute);
    return MNL_CB_OK;
}

struct Found {
    Filter filter;
    const nlattr* options = nullptr;
};

int read_attribute(const nlattr* attribute, void* data) {
    auto& found = *static_cast<Found*>(data);
    const auto type = mnl_attr_get_type(attribute);
    if (type == TCA_KIND && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0)
        found.filter.kind = mnl_attr_get_str(attribute);
    if (type == TCA_CHAIN && mnl_attr_validate(attribute, MNL_TYPE_U32) >= 0)
        found.filter.chain = mnl_attr_get_u32(attribute);
    if (type == TCA_OPTIONS) found.options = attribute;
    return MNL_CB_OK;
}

int read_filter(const nlmsghdr* message, void* data) {
    const auto* body = static_cast<const tcmsg*>(mnl_nlmsg_get_payload(message));
    Found found;
    found.filter.handle = body->tcm_handle;
    found.filter.priority = TC_H_MAJ(body->tcm_info) >> 16U;
    if (mnl_attr_parse(message, sizeof(tcmsg), read_attribute, &found) < 0) return MNL_CB_ERROR;
    if (found.filter.kind == "bpf" && found.options != nullptr)
        mnl_attr_parse_nested(found.options, read_option, &found.filter);
    static_cast<std::vector<Filter>*>(data)->push_back(std::move(found.filter));
    return MNL_CB_OK;
}

} // namespace

int list_filters(unsigned ifindex, bool egress, std::vector<Filter>& filters) {
    const NetlinkSocket socket = open_netlink(NETLINK_ROUTE);
    if (!socket) return -errno;
    alignas(nlmsghdr) std::array<char, 256> bytes{};
    nlmsghdr* request = mnl_nlmsg_put_header(bytes.data());
    request->nlmsg_type = RTM_GETTFILTER;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request->nlmsg_seq = 1;
    auto* body = static_cast<tcmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(tcmsg)));
    body->tcm_ifindex = static_cast<int>(ifindex);
    body->tcm_parent = TC_H_MAKE(TC_H_CLSACT, egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
    if (mnl_socket_sendto(socket.get(), request, request->nlmsg_len) < 0) return -errno;
    std::vector<char> answer(answer_bytes_max);
    for (;;) {
        const ssize_t size = mnl_socket_recvfrom(socket.get(), answer.data(), answer.size());
        if (size < 0) return -errno;
        const int more = mnl_cb_run(answer.data(), static_cast<std::size_t>(size), 1,
                                    mnl_socket_get_portid(socket.get()), read_filter, &filters);
        if (more < 0) return -errno;
        if (more == MNL_CB_STOP) return 0;
    }
}

} // namespace homeostat::bpf
