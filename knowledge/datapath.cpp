#include "knowledge/datapath.hpp"

#include "knowledge/overloaded.hpp"

#include <array>
#include <cstdio>
#include <utility>

namespace homeostat {

namespace {

constexpr std::array<std::pair<XdpMode, std::string_view>, 3> mode_names{
    {{XdpMode::skb, "skb"}, {XdpMode::drv, "drv"}, {XdpMode::hw, "hw"}}};

std::string tc_text(TcDirection direction) { return "TC " + std::string(to_text(direction)); }

std::string entry_text(const MapEntry& entry) { return entry.map + "[" + entry.key + "]"; }

} // namespace

std::string_view to_text(XdpMode mode) {
    for (const auto& [known, name] : mode_names)
        if (known == mode) return name;
    return "?";
}

std::optional<XdpMode> parse_xdp_mode(std::string_view text) {
    for (const auto& [mode, name] : mode_names)
        if (name == text) return mode;
    return std::nullopt;
}

std::string_view to_text(TcDirection direction) {
    return direction == TcDirection::ingress ? "ingress" : "egress";
}

std::string ladder_text(const std::vector<XdpMode>& ladder) {
    std::string text;
    for (const XdpMode mode : ladder) text += (text.empty() ? "" : ", else ") + std::string(to_text(mode));
    return text;
}

std::string value_text(const MapValue& value) {
    std::string text;
    for (const auto& [field, number] : value) {
        if (!text.empty()) text += ", ";
        if (!field.empty()) text += field + " = ";
        text += std::to_string(number);
    }
    return value.size() == 1 && value.begin()->first.empty() ? text : "{" + text + "}";
}

std::string milliseconds_text(std::int64_t ns) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.3f ms", static_cast<double>(ns) / 1e6);
    return text.data();
}

std::string refusal_of_gap(const GapLimit& limit, std::string_view uncovered_because) {
    if (!limit.max) return "";
    if (limit.expected_ns && std::chrono::nanoseconds(*limit.expected_ns) <= *limit.max) return "";
    return "it would leave the interface without an XDP program " +
           (limit.expected_ns
                ? "for " + milliseconds_text(*limit.expected_ns) + ", as the longest gap so far,"
                : std::string("for a time that is not known yet,")) +
           " uncovered (" + std::string(uncovered_because) + "), and xdp.max_gap is " + to_text(*limit.max) +
           ": give the program a TC twin, or raise xdp.max_gap";
}

std::string to_text(const Step& step) {
    return std::visit(
        Overloaded{
            [](const SetMapEntry& s) { return "set " + entry_text(s.entry) + " to " + value_text(s.value); },
            [](const ClearMapEntry& s) { return "clear " + entry_text(s.entry); },
            [](const AttachXdp& s) { return "attach " + s.program + " (" + ladder_text(s.ladder) + ")"; },
            [](const ReplaceXdp& s) { return "replace by " + s.program; },
            [](const SwitchXdpMode& s) {
                return "switch to " + s.program + " (" + ladder_text(s.ladder) + ")";
            },
            [](const ReplaceForeignXdp& s) {
                return "replace the foreign program by " + s.program + " (" + ladder_text(s.ladder) + ")";
            },
            [](const DetachXdp&) { return std::string("detach"); },
            [](const AttachTc& s) { return "attach " + s.program + " at " + tc_text(s.direction); },
            [](const ReplaceTc& s) { return "replace by " + s.program + " at " + tc_text(s.direction); },
            [](const PinAgain&) { return std::string("pin again what is attached"); },
            [](const DetachTc& s) { return "detach at " + tc_text(s.direction); },
        },
        step);
}

} // namespace homeostat
