#include "knowledge/ip_address.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <vector>

namespace homeostat {

namespace {

constexpr std::size_t groups_count = 8; // of 16 bits

std::optional<unsigned> parse_part(std::string_view text, int base, std::size_t digits_max) {
    unsigned value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value, base);
    if (text.empty() || text.size() > digits_max || error != std::errc{} || stop != end) return std::nullopt;
    return value;
}

// Its two groups. Without leading zeros: some read those as octal.
std::optional<std::array<unsigned, 2>> parse_ipv4(std::string_view text) {
    std::array<unsigned, 4> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const std::size_t dot = i + 1 < bytes.size() ? text.find('.') : text.size();
        if (dot == std::string_view::npos) return std::nullopt;
        const std::string_view part = text.substr(0, dot);
        const auto value = parse_part(part, 10, 3);
        if (!value || *value > 255 || (part.size() > 1 && part.front() == '0')) return std::nullopt;
        bytes[i] = *value;
        text.remove_prefix(std::min(dot + 1, text.size()));
    }
    return std::array{bytes[0] << 8U | bytes[1], bytes[2] << 8U | bytes[3]};
}

// Groups that colons separate; the last may be an IPv4 address. "" has none.
std::optional<std::vector<unsigned>> parse_groups(std::string_view text, bool is_end) {
    std::vector<unsigned> groups;
    while (!text.empty()) {
        const std::size_t colon = text.find(':');
        const std::string_view part = text.substr(0, colon);
        if (colon == std::string_view::npos && is_end && part.find('.') != std::string_view::npos) {
            const auto tail = parse_ipv4(part);
            if (!tail) return std::nullopt;
            groups.insert(groups.end(), tail->begin(), tail->end());
            return groups;
        }
        const auto group = parse_part(part, 16, 4);
        if (!group) return std::nullopt;
        groups.push_back(*group);
        if (colon == std::string_view::npos) return groups;
        text.remove_prefix(colon + 1);
        if (text.empty()) return std::nullopt; // a colon at the end
    }
    return groups;
}

IpAddress address_of(const std::array<unsigned, groups_count>& groups) {
    IpAddress address{};
    for (std::size_t i = 0; i < groups_count; ++i) {
        address[2 * i] = static_cast<std::byte>(groups[i] >> 8U);
        address[2 * i + 1] = static_cast<std::byte>(groups[i] & 0xffU);
    }
    return address;
}

// The first of the longest runs of zeros, two or more: [begin, end).
std::pair<std::size_t, std::size_t> longest_zeros(const std::array<unsigned, groups_count>& groups) {
    std::pair<std::size_t, std::size_t> best{0, 0};
    for (std::size_t begin = 0; begin < groups_count; ++begin) {
        std::size_t end = begin;
        while (end < groups_count && groups[end] == 0) ++end;
        if (end - begin >= 2 && end - begin > best.second - best.first) best = {begin, end};
    }
    return best;
}

std::string hex(unsigned group) {
    std::array<char, 4> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), group, 16).ptr;
    return {digits.data(), end};
}

} // namespace

std::optional<IpAddress> parse_ip_address(std::string_view text) {
    std::array<unsigned, groups_count> groups{};
    if (text.find(':') == std::string_view::npos) {
        const auto ipv4 = parse_ipv4(text);
        if (!ipv4) return std::nullopt;
        groups = {0, 0, 0, 0, 0, 0xffff, (*ipv4)[0], (*ipv4)[1]};
        return address_of(groups);
    }
    const std::size_t gap = text.find("::");
    const auto head = parse_groups(text.substr(0, gap), gap == std::string_view::npos);
    const auto tail =
        gap == std::string_view::npos ? std::vector<unsigned>{} : parse_groups(text.substr(gap + 2), true);
    if (!head || !tail) return std::nullopt;
    const std::size_t given = head->size() + tail->size();
    if (gap == std::string_view::npos ? given != groups_count : given >= groups_count) return std::nullopt;
    std::ranges::copy(*head, groups.begin());
    std::ranges::copy_backward(*tail, groups.end());
    return address_of(groups);
}

std::string ip_address_text(std::span<const std::byte, 16> address) {
    const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(address[i]); };
    std::array<unsigned, groups_count> groups{};
    for (std::size_t i = 0; i < groups_count; ++i) groups[i] = byte(2 * i) << 8U | byte(2 * i + 1);
    const bool is_mapped = groups[5] == 0xffff && std::ranges::all_of(groups.begin(), groups.begin() + 5,
                                                                      [](unsigned g) { return g == 0; });
    if (is_mapped)
        return std::to_string(byte(12)) + "." + std::to_string(byte(13)) + "." + std::to_string(byte(14)) +
               "." + std::to_string(byte(15));
    const auto [begin, end] = longest_zeros(groups);
    std::string text;
    for (std::size_t i = 0; i < groups_count; ++i) {
        if (i == begin && end > begin) {
            text += "::";
            i = end - 1;
            continue;
        }
        if (!text.empty() && text.back() != ':') text += ':';
        text += hex(groups[i]);
    }
    return text;
}

} // namespace homeostat
