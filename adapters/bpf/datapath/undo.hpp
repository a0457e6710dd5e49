// What takes a step back. It is written down before the step is made, and carried out from the pins alone: by
// the process that made the step, or by the one that comes after it was killed. So there is one way back.
#pragma once

#include "knowledge/datapath.hpp"
#include "knowledge/error.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace homeostat::bpf {

class InterfacePins;
class KernelPort;

using Bytes = std::vector<std::byte>;

// The entry of a map as it was, in the kernel's bytes; none: it was not there.
struct RestoreEntry {
    std::string map;
    Bytes key;
    std::optional<Bytes> value;
    bool is_next = false; // of NAME+next, which may be gone: then there is nothing to restore

    bool operator==(const RestoreEntry&) const = default;
};

// The program that was attached by us, by the name of its pin; none: there was none.
struct RestoreXdp {
    struct Held {
        std::string version; // "guard@0123456789ab"
        XdpMode mode = XdpMode::skb;

        bool operator==(const Held&) const = default;
    };
    std::optional<Held> before;

    bool operator==(const RestoreXdp&) const = default;
};

// A program that somebody else had attached. It is pinned meanwhile; a bpf_link cannot be made again.
struct RestoreForeign {
    std::uint32_t program_id = 0;
    XdpMode mode = XdpMode::skb;
    bool by_link = false;

    bool operator==(const RestoreForeign&) const = default;
};

// The TC program that was attached by us, by the name of its pin, and how; none: there was none.
struct RestoreTc {
    struct Held {
        std::string version;
        bool by_filter = false; // of clsact; else by a TCX link

        bool operator==(const Held&) const = default;
    };
    TcDirection direction{};
    std::optional<Held> before;

    bool operator==(const RestoreTc&) const = default;
};

// NAME+next, into which the entries of NAME are merged: it is thrown away, with what programs wrote to it.
// Nobody can tell how far the merge came, and it must not come twice.
struct DiscardNextMap {
    std::string map;

    bool operator==(const DiscardNextMap&) const = default;
};

// NAME+next took the place of NAME, which became NAME+old.
struct RestoreMapPins {
    std::string map;

    bool operator==(const RestoreMapPins&) const = default;
};

using Undo =
    std::variant<RestoreEntry, RestoreXdp, RestoreForeign, RestoreTc, DiscardNextMap, RestoreMapPins>;

std::string to_text(const Undo& undo); // one line of JSON
Result<Undo> read_undo(std::string_view text);

// Brings about what `undo` says, whether the step was made, half made, or not begun. Packets are filtered
// meanwhile where the interface has a guard that is armed, or can be.
Result<void> take_back(const KernelPort& kernel, const InterfacePins& pins, const std::string& interface,
                       const Undo& undo);

} // namespace homeostat::bpf
