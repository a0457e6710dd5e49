// The state of the datapath, actual and desired, and the typed steps from one to the other. All of
// these are values: the kernel is known only through them.
#pragma once

#include "knowledge/time.hpp"

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace homeostat {

enum class XdpMode { skb, drv, hw }; // generic, native, offloaded

std::string_view to_text(XdpMode mode);
std::optional<XdpMode> parse_xdp_mode(std::string_view text);

// At which side of an interface a TC program stands: before the host's own processing, or after it.
enum class TcDirection { ingress, egress };

std::string_view to_text(TcDirection direction);
inline constexpr std::array tc_directions{TcDirection::ingress, TcDirection::egress};

// An entry of a map of an interface's programs. The key is text, as a person writes it ("udp", "17").
struct MapEntry {
    std::string map;
    std::string key;

    auto operator<=>(const MapEntry&) const = default;
};

// Values by BTF field name; a map whose value is no struct has one field named "".
using MapValue = std::map<std::string, std::int64_t>;

// What should be. A ladder lists the modes to try, the best first; its length is 1 where only one will do.
struct DesiredInterface {
    std::optional<std::string> program; // none: nothing attached
    std::vector<XdpMode> ladder;
    std::map<MapEntry, MapValue> entries;
    std::optional<Duration> gap_max = std::nullopt;  // see GapLimit; none: a switch may leave any gap
    Duration climb_after = std::chrono::minutes{10}; // in a lower mode; 0: it is never left for a better one
    bool replace_foreign = false;                    // a program that somebody else attached
    std::map<TcDirection, std::string> tc{};         // programs; of a direction that is not there, none

    bool operator==(const DesiredInterface&) const = default;
};

using DesiredState = std::map<std::string, DesiredInterface>; // by interface name

// A program that is attached, but not one of ours, is read back under its kernel name with this prefix.
inline constexpr std::string_view foreign_prefix = "foreign:";

struct AttachedXdp {
    std::string program; // the name that the controller's config gives it, or as above
    XdpMode mode = XdpMode::skb;
    std::uint32_t program_id = 0; // the kernel's

    bool operator==(const AttachedXdp&) const = default;
};

struct AttachedTc {
    std::string program; // as of AttachedXdp
    std::uint32_t program_id = 0;

    bool operator==(const AttachedTc&) const = default;
};

// What is, as it was read back from the kernel. `entries` holds only the keys that we own, and `tc` only what
// stands in our place: others' TC programs may stand before and behind it.
struct ActualInterface {
    bool present = false;    // the interface exists
    bool up = false;         // switched on, and with a carrier
    std::uint32_t index = 0; // the kernel's ifindex: another one is another device
    std::optional<AttachedXdp> xdp;
    std::map<MapEntry, MapValue> entries;
    std::map<TcDirection, AttachedTc> tc{};
    bool pinned = true; // what is attached outlives the controller

    bool operator==(const ActualInterface&) const = default;
};

using ActualState = std::map<std::string, ActualInterface>;

// ---- steps

// Somebody removed the pins of what is attached, which would go with the controller: they are made anew.
struct PinAgain {
    bool operator==(const PinAgain&) const = default;
};
struct SetMapEntry {
    MapEntry entry;
    MapValue value;
    bool operator==(const SetMapEntry&) const = default;
};
// Deletes the entry; in an array, zeroes it.
struct ClearMapEntry {
    MapEntry entry;
    bool operator==(const ClearMapEntry&) const = default;
};
struct AttachXdp {
    std::string program;
    std::vector<XdpMode> ladder;
    bool operator==(const AttachXdp&) const = default;
};
// Atomic, in the mode that is there: no packet passes without a program.
struct ReplaceXdp {
    std::string program;
    bool operator==(const ReplaceXdp&) const = default;
};
// The time for which an interface had no XDP program, from the last one's detach until the next one's attach.
struct XdpGap {
    std::int64_t ns = 0;
    bool covered = false; // a guard at TC, the first there, judged the packets meanwhile

    bool operator==(const XdpGap&) const = default;
};
// The longest gap that may be left uncovered, and the longest that this interface has had; none: not known.
struct GapLimit {
    std::optional<Duration> max = std::nullopt;
    std::optional<std::int64_t> expected_ns = std::nullopt;

    bool operator==(const GapLimit&) const = default;
};
// Detach, then attach: Linux has a gap here. On failure the old program is attached again.
struct SwitchXdpMode {
    std::string program;
    std::vector<XdpMode> ladder;
    GapLimit gap = {};
    bool operator==(const SwitchXdpMode&) const = default;
};
// As a switch, where the program that goes is somebody else's: none of ours is there. On failure that one is
// attached again, as far as the kernel allows.
struct ReplaceForeignXdp {
    std::string program;
    std::vector<XdpMode> ladder;
    GapLimit gap = {};
    bool operator==(const ReplaceForeignXdp&) const = default;
};
struct DetachXdp {
    bool operator==(const DetachXdp&) const = default;
};

struct AttachTc {
    TcDirection direction{};
    std::string program;
    bool operator==(const AttachTc&) const = default;
};
// Atomic: each packet is seen by the one or by the other.
struct ReplaceTc {
    TcDirection direction{};
    std::string program;
    bool operator==(const ReplaceTc&) const = default;
};
struct DetachTc {
    TcDirection direction{};
    bool operator==(const DetachTc&) const = default;
};

using Step = std::variant<PinAgain, SetMapEntry, ClearMapEntry, AttachXdp, ReplaceXdp, SwitchXdpMode,
                          ReplaceForeignXdp, DetachXdp, AttachTc, ReplaceTc, DetachTc>;

std::string to_text(const Step& step);
std::string ladder_text(const std::vector<XdpMode>& ladder); // "drv, else skb"
std::string value_text(const MapValue& value);               // "{burst = 5, pps = 10}", or the number alone
std::string milliseconds_text(std::int64_t ns);              // "0.123 ms"

// Why a step that leaves a gap uncovered, for the reason that is given, may not be made; "" where it may.
std::string refusal_of_gap(const GapLimit& limit, std::string_view uncovered_because);

enum class TransactionId : std::uint64_t {};

// All steps of one interface, in order; they succeed together or leave it as it was.
struct Transaction {
    TransactionId id{};
    std::string interface;
    std::vector<Step> steps;

    bool operator==(const Transaction&) const = default;
};

struct Outcome {
    TransactionId id{};
    std::string interface;
    bool ok = false;
    std::string error;              // why it failed; what each rung of a ladder said
    std::vector<std::string> notes; // what a user should know of a success, such as a fall down a ladder
    ActualInterface actual;         // read back afterwards, also on failure
    std::optional<XdpGap> gap = std::nullopt; // where there was one, also on failure
    std::int64_t took_ns = 0;                 // from the first step to the read-back
    std::int64_t done_monotonic_ns = 0;       // CLOCK_MONOTONIC at the end, the clock of bpf_ktime_get_ns

    bool operator==(const Outcome&) const = default;
};

} // namespace homeostat
