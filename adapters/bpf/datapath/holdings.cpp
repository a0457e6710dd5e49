#include "adapters/bpf/datapath/holdings.hpp"

#include "adapters/bpf/datapath/link_facts.hpp"
#include "adapters/bpf/kernel.hpp"

#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <set>

namespace homeostat::bpf {

namespace {

std::vector<std::string> link_pins(const InterfacePins& pins) {
    std::vector<std::string> paths{pins.link(), pins.guard()};
    for (const TcDirection direction : tc_directions) paths.push_back(pins.tc_link(direction));
    return paths;
}

// The index of the device on which a pinned link works, as in that one's network namespace; 0 where there is
// no link, or its device is gone.
Result<unsigned> device_of(const KernelPort& kernel, const std::string& pin) {
    const Descriptor link(kernel.open_pin(pin));
    if (link.get() == -ENOENT) return 0U;
    bpf_link_info info{};
    const int error = link ? kernel.link_info(link.get(), info) : link.get();
    if (error != 0) return failure("ask about the link at " + pin + ": " + errno_text(error), -error);
    // What the union holds of an XDP link and of a TCX link begins with the ifindex.
    return info.xdp.ifindex;
}

unsigned device_of_mark(const std::string& mark) {
    const std::string_view digits = std::string_view(mark).substr(mark.rfind('@') + 1);
    unsigned ifindex = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), ifindex);
    return ifindex;
}

Result<DeviceHoldings> holdings_on(const KernelPort& kernel, const InterfacePins& pins, unsigned ifindex) {
    DeviceHoldings device{
        .ifindex = ifindex, .name = interface_name(ifindex), .link = {}, .tc = {}, .guard = {}};
    auto link = XdpLink::adopt(kernel, pins, ifindex);
    if (!link) return std::unexpected(link.error());
    device.link = std::move(*link);
    auto tc = tc_links(kernel, pins, ifindex);
    if (!tc) return std::unexpected(tc.error());
    device.tc = std::move(*tc);
    auto guard = Guard::adopt(kernel, pins, ifindex);
    if (!guard) return std::unexpected(guard.error());
    device.guard = std::move(*guard);
    return device;
}

} // namespace

bool Holdings::has_link() const {
    return std::ranges::any_of(devices, [](const auto& device) { return device.link.has_value(); });
}

bool Holdings::has_tc(TcDirection direction) const {
    return std::ranges::any_of(devices, [&](const auto& device) { return device.tc.contains(direction); });
}

bool Holdings::has_program() const {
    return std::ranges::any_of(devices, [](const auto& device) { return device.has_program(); });
}

AttachedVersions Holdings::versions() const {
    AttachedVersions versions;
    for (const DeviceHoldings& device : devices) {
        if (device.link) versions.xdp = device.link->version();
        for (const auto& [direction, tc] : device.tc) versions.tc.push_back(tc.version());
    }
    return versions;
}

Result<Holdings> find_holdings(const KernelPort& kernel, const InterfacePins& pins,
                               const std::string& interface) {
    const unsigned named = ::if_nametoindex(interface.c_str());
    std::map<std::string, unsigned> live; // devices of links, by the pin
    std::set<unsigned> others;
    for (const std::string& pin : link_pins(pins)) {
        const auto device = device_of(kernel, pin);
        if (!device) return std::unexpected(device.error());
        if (*device == 0) continue;
        live.emplace(pin, *device);
        others.insert(*device);
    }
    for (const std::string& mark : pins.clsacts()) others.insert(device_of_mark(mark));
    others.erase(named);
    std::vector<unsigned> candidates{named};
    candidates.insert(candidates.end(), others.begin(), others.end());
    Holdings holdings;
    for (const unsigned ifindex : candidates) {
        if (ifindex == 0 || interface_name(ifindex).empty()) continue;
        auto device = holdings_on(kernel, pins, ifindex);
        if (!device) return std::unexpected(device.error());
        if (device->link) live.erase(pins.link());
        for (const auto& [direction, tc] : device->tc) live.erase(pins.tc_link(direction));
        if (device->guard) live.erase(pins.guard());
        if (device->has_program() || device->guard) holdings.devices.push_back(std::move(*device));
    }
    for (const auto& [pin, ifindex] : live) holdings.away.push_back(pin);
    return holdings;
}

std::vector<std::string> tell_moved(const Holdings& holdings, const std::string& interface) {
    std::vector<std::string> told;
    for (const DeviceHoldings& device : holdings.devices)
        if (device.has_program() && device.name != interface)
            told.push_back("pinned for " + interface + ", its device is " + device.name + " now");
    if (!holdings.away.empty())
        told.push_back("pinned for " + interface + ", its device is in another network namespace now");
    return told;
}

} // namespace homeostat::bpf
