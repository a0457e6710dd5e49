#include "adapters/rtnetlink/link_sensor.hpp"

#include <linux/if_link.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace homeostat::rtnetlink {
namespace {

struct Counter {
    const char* metric;
    __u64 rtnl_link_stats64::* field;
};

constexpr std::array<Counter, 8> counters{{
    {"link_receive_packets_total", &rtnl_link_stats64::rx_packets},
    {"link_receive_bytes_total", &rtnl_link_stats64::rx_bytes},
    {"link_receive_dropped_total", &rtnl_link_stats64::rx_dropped},
    {"link_receive_errors_total", &rtnl_link_stats64::rx_errors},
    {"link_transmit_packets_total", &rtnl_link_stats64::tx_packets},
    {"link_transmit_bytes_total", &rtnl_link_stats64::tx_bytes},
    {"link_transmit_dropped_total", &rtnl_link_stats64::tx_dropped},
    {"link_transmit_errors_total", &rtnl_link_stats64::tx_errors},
}};

// RTM_GETSTATS tells the counters alone: a fraction of the work and bytes of RTM_GETLINK.
Result<rtnl_link_stats64> ask_statistics(Socket& socket, std::uint32_t index) {
    alignas(nlmsghdr) std::array<char, 128> bytes{};
    auto* request = mnl_nlmsg_put_header(bytes.data());
    request->nlmsg_type = RTM_GETSTATS;
    request->nlmsg_flags = NLM_F_ACK;
    auto* body = static_cast<if_stats_msg*>(mnl_nlmsg_put_extra_header(request, sizeof(if_stats_msg)));
    body->ifindex = index;
    body->filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);

    rtnl_link_stats64 statistics{};
    auto answered = socket.request(*request, [&](const nlmsghdr& message) {
        const auto* found = find_attribute(message, sizeof(if_stats_msg), IFLA_STATS_LINK_64);
        if (found == nullptr) return;
        const auto size = std::min<std::size_t>(mnl_attr_get_payload_len(found), sizeof statistics);
        std::memcpy(&statistics, mnl_attr_get_payload(found), size); // older kernels have fewer fields
    });
    if (!answered) return std::unexpected(answered.error());
    return statistics;
}

LinkEvent absent(const std::string& name) {
    return {.interface = name, .present = false, .up = false, .index = 0};
}

LinkEvent present(const Link& link) {
    return {.interface = link.name, .present = true, .up = link.up, .index = link.index};
}

} // namespace

Result<std::unique_ptr<LinkSensor>>
LinkSensor::create(SensorId id, const std::vector<std::string>& interfaces, bool with_counters) {
    auto notifications = Socket::open();
    if (!notifications) return std::unexpected(notifications.error());
    if (auto subscribed = notifications->subscribe(RTNLGRP_LINK); !subscribed)
        return std::unexpected(subscribed.error());
    auto requests = Socket::open();
    if (!requests) return std::unexpected(requests.error());
    std::unique_ptr<LinkSensor> made(new LinkSensor(id, std::move(*notifications), std::move(*requests)));
    made->with_counters_ = with_counters;
    for (const auto& name : interfaces) made->interfaces_.push_back({.state = absent(name)});
    return made;
}

LinkSensor::LinkSensor(SensorId id, Socket notifications, Socket requests)
    : id_(id), notifications_(std::move(notifications)), requests_(std::move(requests)) {}

void LinkSensor::collect(Instant now, Readings& out) {
    if (auto followed = follow(out); !followed) {
        out.batches.push_back(begin_batch(now));
        out.batches.back().error = followed.error().what;
        return;
    }
    if (with_counters_ && (!counted_at_ || now > *counted_at_)) count(now, out);
}

Result<void> LinkSensor::follow(Readings& out) {
    const bool complete = complete_;
    const auto drained = notifications_.drain([&](const nlmsghdr& message) {
        if (complete) notified(message, out);
    });
    if (!drained) return std::unexpected(drained.error());
    complete_ = complete && *drained;
    if (complete_) return {};
    auto asked = ask_all(out);
    complete_ = asked.has_value();
    return asked;
}

void LinkSensor::notified(const nlmsghdr& message, Readings& out) {
    const auto link = parse_link(message);
    if (!link) return;
    const bool gone = message.nlmsg_type == RTM_DELLINK;
    for (auto& interface : interfaces_) {
        if (!gone && interface.state.interface == link->name)
            tell(interface, present(*link), out);
        else if (interface.state.present && interface.state.index == link->index)
            tell(interface, absent(interface.state.interface), out);
    }
}

Result<void> LinkSensor::ask_all(Readings& out) {
    const auto found = links(requests_);
    if (!found) return std::unexpected(found.error());
    for (auto& interface : interfaces_) {
        const auto& name = interface.state.interface;
        const auto link = std::ranges::find(*found, name, &Link::name);
        tell(interface, link == found->end() ? absent(name) : present(*link), out);
    }
    return {};
}

void LinkSensor::tell(Interface& interface, LinkEvent state, Readings& out) {
    if (interface.told && interface.state == state) return;
    interface.told = true;
    interface.state = std::move(state);
    out.links.push_back(interface.state);
}

SampleBatch LinkSensor::begin_batch(Instant now) const {
    SampleBatch batch;
    batch.sensor = id_;
    batch.time = now;
    return batch;
}

void LinkSensor::count(Instant now, Readings& out) {
    auto batch = begin_batch(now);
    for (std::size_t place = 0; place < interfaces_.size(); ++place) count_interface(place, batch);
    counted_at_ = now;
    out.batches.push_back(std::move(batch));
}

void LinkSensor::count_interface(std::size_t place, SampleBatch& batch) {
    auto& interface = interfaces_[place];
    const auto local = [&](std::size_t counter) {
        return static_cast<std::uint32_t>(place * counters.size() + counter);
    };
    const auto end = [&] {
        for (std::size_t i = 0; interface.counted && i < counters.size(); ++i)
            batch.ended.push_back(local(i));
        interface.counted = false;
    };
    if (!interface.state.present) return end();

    const auto statistics = ask_statistics(requests_, interface.state.index);
    if (!statistics && statistics.error().number == ENODEV) return end(); // the notification is on its way
    if (!statistics) {
        batch.error = statistics.error().what;
        return;
    }
    for (std::size_t i = 0; i < counters.size(); ++i) {
        if (!interface.counted)
            batch.defined.push_back({local(i), Labels{{std::string(metric_name_label), counters[i].metric},
                                                      {"iface", interface.state.interface}}});
        batch.samples.push_back({local(i), static_cast<double>((*statistics).*counters[i].field)});
    }
    interface.counted = true;
}

} // namespace homeostat::rtnetlink
