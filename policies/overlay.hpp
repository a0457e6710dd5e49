// Overlays on the desired state and the arbitration between them: on each attribute, one wins.
#pragma once

#include "knowledge/datapath.hpp"
#include "knowledge/error.hpp"
#include "knowledge/labels.hpp"
#include "knowledge/receipt.hpp"
#include "policies/document.hpp"

#include <compare>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace homeostat {

// One thing that can be set: an interface's XDP program, its mode ladder, the gap that a switch of it may
// leave, its TC program of a direction, or an entry of one of its maps.
struct Attribute {
    using Kind = OverlaySetting::Kind;

    std::string interface;
    Kind kind = Kind::program;
    MapEntry entry; // Kind::entry

    auto operator<=>(const Attribute&) const = default;
};

// "eth0 xdp.program", "eth0 maps.guard_limits.udp"
std::string to_text(const Attribute& attribute);

// The attribute of a setting as it is written, without its interface: "maps.guard_blocked.{{src}}".
std::string attribute_text(const OverlaySetting& setting);

using AttributeValue = std::variant<std::string, std::vector<XdpMode>, Duration, MapValue>;

// "guard", "drv, else skb", "5ms", "{burst = 5, pps = 10}"
std::string to_text(const AttributeValue& value);

// One adaptation instance's wishes, with all that decides between it and others.
struct Overlay {
    std::string adaptation;
    Labels key;
    std::int64_t priority = 0;
    std::map<Attribute, AttributeValue> settings;

    std::string name() const; // adaptation{key}
};

// Binds the templates of a rule's settings. Fails on the first absent label.
Result<std::map<Attribute, AttributeValue>> bind_settings(const AdaptationRule& rule, const Labels& key);

// The interfaces that these attributes are of.
std::set<std::string> interfaces_of(const std::map<Attribute, AttributeValue>& settings);

struct Arbitration {
    DesiredState desired;
    std::map<std::string, std::vector<std::string>> because; // by interface: names of the winners
    std::map<std::string, std::map<Labels, std::vector<LostAttribute>>> lost; // by adaptation and key
};

// The one that wins comes first: the highest priority; of equal ones, the adaptation that comes first by
// name, then the key that comes first in canonical order.
void rank(std::vector<Overlay>& overlays);

// Lays the overlays on the baseline. On each attribute the first one by rank wins.
Arbitration arbitrate(const DesiredState& baseline, std::vector<Overlay> overlays);

} // namespace homeostat
