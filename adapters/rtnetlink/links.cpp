#include "adapters/rtnetlink/links.hpp"

#include "adapters/rtnetlink/socket.hpp"

#include <linux/if_link.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace homeostat::rtnetlink {
namespace {

constexpr unsigned lower_up =
    1U << 16; // IFF_LOWER_UP: <net/if.h> does not have it, <linux/if.h> clashes with it
constexpr int attempts_max = 8;

Result<std::vector<Link>> dump(Socket& socket) {
    alignas(nlmsghdr) std::array<char, 256> bytes{};
    auto* request = mnl_nlmsg_put_header(bytes.data());
    request->nlmsg_type = RTM_GETLINK;
    request->nlmsg_flags = NLM_F_DUMP;
    auto* body = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(request, sizeof(ifinfomsg)));
    body->ifi_family = AF_UNSPEC;
    mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);

    std::vector<Link> found;
    auto answered = socket.request(*request, [&](const nlmsghdr& message) {
        if (auto link = parse_link(message)) found.push_back(std::move(*link));
    });
    if (!answered) return std::unexpected(answered.error());
    return found;
}

} // namespace

std::optional<Link> parse_link(const nlmsghdr& message) {
    if (message.nlmsg_type != RTM_NEWLINK && message.nlmsg_type != RTM_DELLINK) return std::nullopt;
    if (message.nlmsg_len < mnl_nlmsg_size(sizeof(ifinfomsg))) return std::nullopt;
    const auto* body = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&message));
    if (body->ifi_family != AF_UNSPEC) return std::nullopt;

    const auto* name = find_attribute(message, sizeof(ifinfomsg), IFLA_IFNAME);
    if (name == nullptr || mnl_attr_validate(name, MNL_TYPE_NUL_STRING) < 0) return std::nullopt;
    return Link{.name = mnl_attr_get_str(name),
                .index = static_cast<std::uint32_t>(body->ifi_index),
                .up = (body->ifi_flags & IFF_UP) != 0 && (body->ifi_flags & lower_up) != 0};
}

// A dump that was disturbed by a change is told as EINTR, and is done again.
Result<std::vector<Link>> links(Socket& socket) {
    auto found = dump(socket);
    for (int i = 1; i < attempts_max && !found && found.error().number == EINTR; ++i) found = dump(socket);
    return found;
}

Result<bool> exists(const std::string& name) {
    const auto names = interface_names();
    if (!names) return std::unexpected(names.error());
    return std::ranges::find(*names, name) != names->end();
}

Result<std::vector<std::string>> interface_names() {
    auto socket = Socket::open();
    if (!socket) return std::unexpected(socket.error());
    const auto found = links(*socket);
    if (!found) return std::unexpected(found.error());
    std::vector<std::string> names;
    for (const auto& link : *found) names.push_back(link.name);
    return names;
}

} // namespace homeostat::rtnetlink
