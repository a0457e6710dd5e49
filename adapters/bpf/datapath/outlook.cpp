#include "adapters/bpf/datapath/outlook.hpp"

#include "adapters/bpf/datapath/xdp_link.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

namespace homeostat::bpf {

namespace {

using Answer = ModeOutlook::Answer;

// Of a page of 4096 bytes, what most drivers leave for a frame in one piece: headroom, tail and Ethernet's
// header are taken off.
constexpr std::uint32_t mtu_in_one_piece_max = 3'498;

// What the errno of an attachment amounts to.
enum class ErrnoKind { occupied, unsupported, too_large, other };

// What stands against a mode: it cannot be had, or that depends on what nobody tells.
struct Hindrance {
    Answer answer;
    ErrnoKind refusal;
    std::string why;
};

ErrnoKind refusal_of(int number) {
    switch (number) {
    case EEXIST:
    case EBUSY:
        return ErrnoKind::occupied;
    case EOPNOTSUPP:
    case EINVAL:
        return ErrnoKind::unsupported;
    case ERANGE:
        return ErrnoKind::too_large;
    default:
        return ErrnoKind::other;
    }
}

std::string driver_text(const LinkFacts& facts) {
    return facts.driver.empty() ? "the driver" : "the driver (" + facts.driver + ")";
}

// "it is part of bond bond0"
std::string membership_text(const LinkFacts& facts) {
    return "it is part of " + (facts.master_kind.empty() ? "" : facts.master_kind + " ") + facts.master;
}

std::string mtu_text(const LinkFacts& facts) { return "the MTU is too large (" + std::to_string(facts.mtu); }

std::string mtu_in_one_piece_text(const LinkFacts& facts) {
    return mtu_text(facts) +
           (facts.kind == "veth" ? ", and that of the other end of the veth counts too" : "") +
           ") for a program without multi-buffer support; lower the MTU, or build the program as "
           "SEC(\"xdp.frags\")";
}

bool lacks(const LinkFacts& facts, XdpFeature feature) {
    return facts.xdp_features && (*facts.xdp_features & feature) == 0;
}

void add_native_hindrances(const LinkFacts& facts, std::vector<Hindrance>& all) {
    if (facts.master_kind == "bond")
        all.push_back({Answer::no, ErrnoKind::unsupported,
                       membership_text(facts) + ": attach to that, or take it out"});
    if (lacks(facts, xdp_basic))
        all.push_back({Answer::no, ErrnoKind::unsupported,
                       driver_text(facts) + " has no native XDP, or not with the features that are on"});
    if (facts.lro)
        all.push_back({Answer::unknown, ErrnoKind::unsupported,
                       "large receive offload is on, which most drivers refuse: 'ethtool -K IFACE lro off'"});
    if (facts.mtu <= mtu_in_one_piece_max || lacks(facts, xdp_basic)) return;
    if (lacks(facts, xdp_receives_frags))
        all.push_back(
            {Answer::no, ErrnoKind::too_large,
             mtu_text(facts) + "), and " + driver_text(facts) + " takes no frames in pieces; lower the MTU"});
    else
        all.push_back({Answer::unknown, ErrnoKind::too_large, mtu_in_one_piece_text(facts)});
}

// The one list of causes, the strongest first.
std::vector<Hindrance> hindrances(const LinkFacts& facts, XdpMode mode) {
    std::vector<Hindrance> all;
    if (!facts.master_program.empty())
        all.push_back({Answer::no, ErrnoKind::occupied,
                       membership_text(facts) + ", and " + facts.master_program + " is attached there"});
    if (mode == XdpMode::drv) add_native_hindrances(facts, all);
    if (mode == XdpMode::hw && lacks(facts, xdp_hw_offload))
        all.push_back({Answer::no, ErrnoKind::unsupported, driver_text(facts) + " offloads no programs"});
    std::ranges::stable_sort(all, {}, [](const Hindrance& one) { return one.answer != Answer::no; });
    return all;
}

template <class Counts> std::string joined_whys(const std::vector<Hindrance>& all, const Counts& counts) {
    std::string text;
    for (const Hindrance& one : all)
        if (counts(one)) text += (text.empty() ? "" : "; ") + one.why;
    return text;
}

// Where the facts do not tell.
std::string bare_cause(ErrnoKind refusal, const LinkFacts& facts, XdpMode mode) {
    if (refusal == ErrnoKind::occupied) return "another program is already attached";
    if (refusal == ErrnoKind::too_large) return mtu_in_one_piece_text(facts);
    if (refusal != ErrnoKind::unsupported) return {};
    if (mode == XdpMode::hw)
        return "hw takes a NIC that offloads programs, and a program that was loaded for it";
    if (mode == XdpMode::skb) return "the interface does not take this program";
    return driver_text(facts) + " has no native XDP" +
           (facts.xdp_features ? " with the interface's features as they are, though it tells of it"
                               : ", or not with the interface's features");
}

} // namespace

ModeOutlook outlook(const LinkFacts& facts, XdpMode mode) {
    const auto against = hindrances(facts, mode);
    if (!against.empty())
        return {against.front().answer, joined_whys(against, [](const Hindrance&) { return true; })};
    if (mode == XdpMode::skb) return {Answer::yes, ""};
    if (mode == XdpMode::hw)
        return facts.xdp_features
                   ? ModeOutlook{Answer::yes, "for programs that are loaded for this device, with maps of "
                                              "kinds that it has"}
                   : ModeOutlook{Answer::unknown, "this kernel does not tell; few NICs offload programs"};
    return facts.xdp_features
               ? ModeOutlook{Answer::yes, ""}
               : ModeOutlook{Answer::unknown, "this kernel does not tell; it is seen when it is tried"};
}

std::string cause_of_refusal(int number, const LinkFacts& facts, XdpMode mode) {
    if (number == ENODEV) return "the interface is gone";
    const ErrnoKind refusal = refusal_of(number);
    const auto all = hindrances(facts, mode);
    std::string known = joined_whys(all, [&](const Hindrance& one) { return one.refusal == refusal; });
    // Some drivers do not say of frames what others say with a number of its own.
    std::string frames;
    if (refusal == ErrnoKind::unsupported)
        frames = joined_whys(all, [](const Hindrance& one) { return one.refusal == ErrnoKind::too_large; });
    if (facts.xdp_features && known.empty()) known = std::exchange(frames, "");
    if (known.empty()) known = bare_cause(refusal, facts, mode);
    if (!frames.empty() && !facts.xdp_features) known += "; or " + frames;
    return known;
}

PossibleRungs possible_rungs(const LinkFacts& facts, const std::vector<XdpMode>& ladder, XdpMode present) {
    PossibleRungs possible;
    for (const XdpMode mode : ladder) {
        const ModeOutlook seen = outlook(facts, mode);
        if (mode == present || coexist(mode, present) || seen.answer != Answer::no) {
            possible.ladder.push_back(mode);
            continue;
        }
        possible.ruled_out += (possible.ruled_out.empty() ? "mode " : "; mode ") +
                              std::string(to_text(mode)) + " cannot be had: " + seen.why;
    }
    return possible;
}

PossibleRungs possible_rungs_on(unsigned ifindex, const std::vector<XdpMode>& ladder, XdpMode present) {
    PossibleRungs possible = possible_rungs(deciding_facts(ifindex).value_or(LinkFacts{}), ladder, present);
    if (possible.ruled_out.empty()) return possible;
    return possible_rungs(link_facts(ifindex).value_or(LinkFacts{}), ladder, present); // in its own words
}

} // namespace homeostat::bpf
