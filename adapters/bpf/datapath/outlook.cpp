#include "adapters/bpf/datapath/outlook.hpp"

#include <cstdint>

namespace homeostat::bpf {

namespace {

using Answer = ModeOutlook::Answer;

// Of a page of 4096 bytes, what most drivers leave for a frame in one piece: headroom, tail and Ethernet's
// header are taken off.
constexpr std::uint32_t mtu_in_one_piece_max = 3'498;

std::string driver_text(const LinkFacts& facts) {
    return facts.driver.empty() ? "the driver" : "the driver (" + facts.driver + ")";
}

ModeOutlook native_outlook(const LinkFacts& facts) {
    if (facts.master_kind == "bond")
        return {Answer::no, "it is part of bond " + facts.master + ": attach to that, or take it out"};
    if (facts.xdp_features && (*facts.xdp_features & xdp_basic) == 0)
        return {Answer::no, driver_text(facts) + " has no native XDP, or not with the features that are on" +
                                (facts.lro ? "; large receive offload is: 'ethtool -K IFACE lro off'" : "")};
    if (facts.lro) return {Answer::unknown, "large receive offload is on, which most drivers refuse"};
    if (facts.mtu > mtu_in_one_piece_max) {
        const std::string frames = "with an MTU of " + std::to_string(facts.mtu) + " ";
        if (facts.xdp_features && (*facts.xdp_features & xdp_receives_frags) == 0)
            return {Answer::no, frames + driver_text(facts) + " has none; lower the MTU"};
        return {Answer::unknown, frames + "only for programs that are built as SEC(\"xdp.frags\")"};
    }
    if (!facts.xdp_features)
        return {Answer::unknown, "this kernel does not tell; it is seen when it is tried"};
    return {Answer::yes, ""};
}

ModeOutlook offloaded_outlook(const LinkFacts& facts) {
    if (!facts.xdp_features) return {Answer::unknown, "this kernel does not tell; few NICs offload programs"};
    if ((*facts.xdp_features & xdp_hw_offload) == 0)
        return {Answer::no, driver_text(facts) + " offloads no programs"};
    return {Answer::yes, "for programs that are loaded for this device, with maps of kinds that it has"};
}

} // namespace

ModeOutlook outlook(const LinkFacts& facts, XdpMode mode) {
    switch (mode) {
    case XdpMode::skb:
        return {Answer::yes, ""};
    case XdpMode::drv:
        return native_outlook(facts);
    case XdpMode::hw:
        return offloaded_outlook(facts);
    }
    return {};
}

} // namespace homeostat::bpf
