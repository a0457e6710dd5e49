#include "adapters/bpf/datapath/undo.hpp"

#include "adapters/bpf/datapath/foreign.hpp"
#include "adapters/bpf/datapath/guard.hpp"
#include "adapters/bpf/datapath/instance.hpp"
#include "adapters/bpf/datapath/tc_link.hpp"
#include "adapters/bpf/datapath/xdp_link.hpp"
#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/kernel_objects.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "knowledge/overloaded.hpp"

#include <boost/json.hpp>
#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace homeostat::bpf {

namespace {

namespace json = boost::json;

std::string to_hex(const Bytes& bytes) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const std::byte byte : bytes) {
        text += digits[std::to_integer<unsigned>(byte) >> 4];
        text += digits[std::to_integer<unsigned>(byte) & 15];
    }
    return text;
}

std::optional<Bytes> from_hex(std::string_view text) {
    const auto digit = [](char c) {
        return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    };
    if (text.size() % 2 != 0) return std::nullopt;
    Bytes bytes;
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const int high = digit(text[i]);
        const int low = digit(text[i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        bytes.push_back(static_cast<std::byte>(high * 16 + low));
    }
    return bytes;
}

std::optional<std::string> string_of(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::optional<std::string>(value->as_string())
                                                  : std::nullopt;
}

std::optional<Undo> read_entry(const json::object& object) {
    const auto map = string_of(object, "map");
    const auto key = from_hex(string_of(object, "key").value_or("?"));
    const auto value = string_of(object, "value");
    if (!map || !key) return std::nullopt;
    const bool is_next = object.contains("next");
    if (!value) return RestoreEntry{*map, *key, std::nullopt, is_next};
    const auto bytes = from_hex(*value);
    if (!bytes) return std::nullopt;
    return RestoreEntry{*map, *key, bytes, is_next};
}

std::optional<Undo> read_xdp(const json::object& object) {
    const auto version = string_of(object, "version");
    if (!version) return RestoreXdp{};
    const auto mode = parse_xdp_mode(string_of(object, "mode").value_or(""));
    return mode ? std::optional<Undo>(RestoreXdp{RestoreXdp::Held{*version, *mode}}) : std::nullopt;
}

std::optional<Undo> read_tc(const json::object& object) {
    const std::string side = string_of(object, "direction").value_or("");
    const auto direction = std::ranges::find(tc_directions, side, [](TcDirection d) { return to_text(d); });
    if (direction == tc_directions.end()) return std::nullopt;
    const auto version = string_of(object, "version");
    if (!version) return RestoreTc{*direction, std::nullopt};
    return RestoreTc{*direction, RestoreTc::Held{*version, object.contains("filter")}};
}

template <class OfMap> std::optional<Undo> read_of_map(const json::object& object) {
    const auto map = string_of(object, "map");
    return map ? std::optional<Undo>(OfMap{*map}) : std::nullopt;
}

std::optional<Undo> read_foreign(const json::object& object) {
    const auto mode = parse_xdp_mode(string_of(object, "mode").value_or(""));
    const json::value* id = object.if_contains("program");
    const json::value* link = object.if_contains("link");
    if (!mode || id == nullptr || !id->is_int64() || link == nullptr || !link->is_bool()) return std::nullopt;
    return RestoreForeign{static_cast<std::uint32_t>(id->as_int64()), *mode, link->as_bool()};
}

Result<void> restore(const KernelPort& kernel, const InterfacePins& pins, const RestoreEntry& undo) {
    const std::string what = "map " + undo.map;
    const Descriptor map(kernel.open_pin(undo.is_next ? pins.next_map(undo.map) : pins.map(undo.map)));
    if (undo.is_next && map.get() == -ENOENT) return {};
    if (!map) return failure(what + ": open its pin: " + errno_text(map.get()), -map.get());
    const auto info = info_of_map(map.get());
    if (!info || info->key_size != undo.key.size() || (undo.value && undo.value->size() < info->value_size))
        return failure(what + ": it is no longer the map that was written", EINVAL);
    const int error = undo.value ? kernel.write_entry(map.get(), undo.key.data(), undo.value->data())
                                 : kernel.delete_entry(map.get(), undo.key.data());
    if (error == 0 || (!undo.value && error == -ENOENT)) return {};
    return failure(what + ": write the old value back: " + errno_text(error), -error);
}

Result<void> restore(const KernelPort& kernel, const InterfacePins& pins, const std::string& interface,
                     const RestoreXdp& undo) {
    const unsigned ifindex = ::if_nametoindex(interface.c_str());
    if (auto discarded = XdpLink::discard_next(kernel, pins); !discarded) return discarded;
    if (ifindex == 0) return {}; // what hung on it went with it
    auto link = XdpLink::adopt(kernel, pins, ifindex);
    if (!link) return std::unexpected(link.error());
    if (!undo.before) return *link && !(*link)->version().empty() ? (*link)->remove() : Result<void>{};
    const auto& [version, mode] = *undo.before;
    const Descriptor program(kernel.open_pin(pins.program(version)));
    if (!program)
        return failure("open the pin of program " + version + ": " + errno_text(program.get()),
                       -program.get());
    if (*link && (*link)->version().empty()) return {}; // somebody else's by now
    if (*link && (*link)->mode() == mode) return (*link)->update({program.get(), version});
    if (*link && coexist((*link)->mode(), mode)) {
        auto beside =
            XdpLink::attach_beside(kernel, pins, {program.get(), version}, interface, ifindex, mode);
        return beside ? (*link)->detach() : std::unexpected(beside.error());
    }
    if (auto guard = Guard::adopt(kernel, pins, ifindex); guard && *guard) (*guard)->arm_for(version);
    if (*link)
        if (auto removed = (*link)->remove(); !removed) return removed;
    auto attached = XdpLink::attach(kernel, pins, {program.get(), version}, interface, ifindex, mode);
    return attached ? Result<void>{} : std::unexpected(attached.error());
}

Result<void> restore(const KernelPort& kernel, const InterfacePins& pins, const std::string& interface,
                     const RestoreTc& undo) {
    const unsigned ifindex = ::if_nametoindex(interface.c_str());
    if (ifindex == 0) return {}; // what hung on it went with it
    auto link = TcLink::adopt(kernel, pins, ifindex, undo.direction);
    if (!link) return std::unexpected(link.error());
    if (*link && (*link)->version().empty()) return {}; // somebody else's by now
    if (!undo.before) return *link ? (*link)->remove() : Result<void>{};
    const auto& [version, by_filter] = *undo.before;
    const Descriptor program(kernel.open_pin(pins.program(version)));
    if (!program)
        return failure("open the pin of program " + version + ": " + errno_text(program.get()),
                       -program.get());
    if (*link) return (*link)->update({program.get(), version});
    const auto guard = Guard::adopt(kernel, pins, ifindex);
    if (!guard) return std::unexpected(guard.error());
    auto attached = TcLink::attach(kernel, pins, {program.get(), version},
                                   {.interface = interface,
                                    .ifindex = ifindex,
                                    .direction = undo.direction,
                                    .guard = *guard ? &**guard : nullptr,
                                    .kind = by_filter ? TcLink::Kind::clsact : TcLink::Kind::tcx});
    return attached ? Result<void>{} : std::unexpected(attached.error());
}

Result<void> restore(const KernelPort& kernel, const InterfacePins& pins, const DiscardNextMap& undo) {
    const int error = kernel.unpin(pins.next_map(undo.map));
    if (error == 0 || error == -ENOENT) return {};
    return failure("map " + undo.map + ": unpin " + pins.next_map(undo.map) + ": " + errno_text(error),
                   -error);
}

// From any state between the two renamings, and of this itself.
Result<void> restore(const KernelPort& kernel, const InterfacePins& pins, const RestoreMapPins& undo) {
    std::error_code ignored;
    const auto rename = [&](const std::string& from, const std::string& to) -> Result<void> {
        if (!std::filesystem::exists(from, ignored)) return {};
        const int error = kernel.rename_pin(from, to);
        if (error == 0) return {};
        return failure("map " + undo.map + ": rename the pin " + from + ": " + errno_text(error), -error);
    };
    if (!std::filesystem::exists(pins.old_map(undo.map), ignored)) return {};
    if (auto aside = rename(pins.map(undo.map), pins.next_map(undo.map)); !aside) return aside;
    return rename(pins.old_map(undo.map), pins.map(undo.map));
}

Result<void> restore(const KernelPort& kernel, const InterfacePins& pins, const std::string& interface,
                     const RestoreForeign& undo) {
    if (auto ours = restore(kernel, pins, interface, RestoreXdp{}); !ours) return ours;
    const unsigned ifindex = ::if_nametoindex(interface.c_str());
    if (ifindex == 0) return failure("there is no such interface in this network namespace", ENODEV);
    const auto shown = attached_program(ifindex, kernel);
    if (!shown) return std::unexpected(shown.error());
    if (*shown && (*shown)->id == undo.program_id) return {};
    const std::string what = "foreign program " + std::to_string(undo.program_id);
    if (undo.by_link)
        return failure(what + " was attached by a bpf_link, which nobody can make again but its owner");
    const Descriptor program(kernel.open_pin(pins.program(foreign_version(undo.program_id))));
    if (!program) return failure(what + ": open its pin: " + errno_text(program.get()), -program.get());
    if (const int error = kernel.attach_xdp(ifindex, hook_of(undo.mode), program.get()); error != 0)
        return failure(what + ": attach it again: " + errno_text(error), -error);
    return {};
}

} // namespace

std::string to_text(const Undo& undo) {
    json::object object;
    std::visit(Overloaded{[&](const RestoreEntry& entry) {
                              object["undo"] = "entry";
                              object["map"] = entry.map;
                              object["key"] = to_hex(entry.key);
                              if (entry.value) object["value"] = to_hex(*entry.value);
                              if (entry.is_next) object["next"] = true;
                          },
                          [&](const DiscardNextMap& discard) {
                              object["undo"] = "discard_next_map";
                              object["map"] = discard.map;
                          },
                          [&](const RestoreMapPins& pins) {
                              object["undo"] = "map_pins";
                              object["map"] = pins.map;
                          },
                          [&](const RestoreXdp& xdp) {
                              object["undo"] = "xdp";
                              if (!xdp.before) return;
                              object["version"] = xdp.before->version;
                              object["mode"] = homeostat::to_text(xdp.before->mode);
                          },
                          [&](const RestoreTc& tc) {
                              object["undo"] = "tc";
                              object["direction"] = homeostat::to_text(tc.direction);
                              if (!tc.before) return;
                              object["version"] = tc.before->version;
                              if (tc.before->by_filter) object["filter"] = true;
                          },
                          [&](const RestoreForeign& foreign) {
                              object["undo"] = "foreign";
                              object["program"] = foreign.program_id;
                              object["mode"] = homeostat::to_text(foreign.mode);
                              object["link"] = foreign.by_link;
                          }},
               undo);
    return json::serialize(object);
}

Result<Undo> read_undo(std::string_view text) {
    boost::system::error_code error;
    const json::value value = json::parse(text, error);
    if (error || !value.is_object()) return failure("no JSON object");
    const auto kind = string_of(value.as_object(), "undo");
    const auto undo = kind == "entry"              ? read_entry(value.as_object())
                      : kind == "xdp"              ? read_xdp(value.as_object())
                      : kind == "foreign"          ? read_foreign(value.as_object())
                      : kind == "tc"               ? read_tc(value.as_object())
                      : kind == "discard_next_map" ? read_of_map<DiscardNextMap>(value.as_object())
                      : kind == "map_pins"         ? read_of_map<RestoreMapPins>(value.as_object())
                                                   : std::nullopt;
    if (!undo) return failure("no undo of a kind that is known here");
    return *undo;
}

Result<void> take_back(const KernelPort& kernel, const InterfacePins& pins, const std::string& interface,
                       const Undo& undo) {
    return std::visit(
        Overloaded{[&](const RestoreEntry& entry) { return restore(kernel, pins, entry); },
                   [&](const DiscardNextMap& map) { return restore(kernel, pins, map); },
                   [&](const RestoreMapPins& map) { return restore(kernel, pins, map); },
                   [&](const auto& hooked) { return restore(kernel, pins, interface, hooked); }},
        undo);
}

} // namespace homeostat::bpf
