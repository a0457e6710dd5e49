// What an instance has on the devices of this network namespace for one of its interfaces: a device keeps
// what is attached to it when it gets another name.
#pragma once

#include "adapters/bpf/datapath/guard.hpp"
#include "adapters/bpf/datapath/instance.hpp"
#include "adapters/bpf/datapath/pinned_program.hpp"
#include "adapters/bpf/datapath/tc_link.hpp"
#include "adapters/bpf/datapath/xdp_link.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "knowledge/error.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace homeostat::bpf {

struct DeviceHoldings {
    unsigned ifindex = 0;
    std::string name; // as the device is called now
    std::optional<XdpLink> link;
    std::map<TcDirection, TcLink> tc;
    std::optional<Guard> guard;

    bool has_program() const { return link.has_value() || !tc.empty(); }
};

struct Holdings {
    std::vector<DeviceHoldings> devices; // on which something is; that of the interface's own name first
    // The pins of links that work on a device of another network namespace.
    std::vector<std::string> away;

    bool has_link() const;
    bool has_tc(TcDirection direction) const;
    bool has_program() const;
    AttachedVersions versions() const;
};

// Fails where something that is pinned cannot be asked about.
Result<Holdings> find_holdings(const KernelPort& kernel, const InterfacePins& pins,
                               const std::string& interface);

// "pinned for v0, its device is w0 now", for each device of another name on which a program is, or of another
// network namespace.
std::vector<std::string> tell_moved(const Holdings& holdings, const std::string& interface);

} // namespace homeostat::bpf
