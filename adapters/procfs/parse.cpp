#include "adapters/procfs/parse.hpp"

#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <ranges>

namespace homeostat::procfs {
namespace {

std::vector<std::string_view> parts(std::string_view text, char separator) {
    std::vector<std::string_view> found;
    for (const auto part : text | std::views::split(separator))
        if (const std::string_view word(part.begin(), part.end()); !word.empty()) found.push_back(word);
    return found;
}

template <class Number, class Format> std::optional<Number> number(std::string_view word, Format format) {
    Number value{};
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, format);
    if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
    return value;
}

std::unexpected<Error> unreadable(const std::string& name, std::string_view line, const char* expected) {
    return failure("cannot read a line of " + name + ", '" + std::string(line.substr(0, 80)) +
                   "': expected " + expected);
}

Labels labelled(const char* metric, Label first) {
    return Labels{{std::string(metric_name_label), metric}, std::move(first)};
}

Labels labelled(const std::string& metric, Label first, Label second) {
    return Labels{{std::string(metric_name_label), metric}, std::move(first), std::move(second)};
}

struct Window {
    std::string_view key;
    const char* label;
};
constexpr std::array<Window, 3> windows{{{"avg10=", "10s"}, {"avg60=", "60s"}, {"avg300=", "300s"}}};
constexpr std::string_view total_key = "total=";
constexpr double microseconds_per_second = 1e6;

// False where the line is not as it should be.
bool read_pressure_line(std::string_view line, const std::string& resource, Measurements& out) {
    const auto words = parts(line, ' ');
    if (words.size() != windows.size() + 2 || (words[0] != "some" && words[0] != "full")) return false;
    const std::string kind(words[0]);
    for (std::size_t i = 0; i < windows.size(); ++i) {
        const std::string_view word = words[i + 1];
        if (!word.starts_with(windows[i].key)) return false;
        const auto percent = number<double>(word.substr(windows[i].key.size()), std::chars_format::fixed);
        const bool is_percentage = percent && *percent >= 0 && *percent <= 100;
        if (!is_percentage) return false;
        out.push_back(
            {labelled("pressure_" + kind + "_ratio", {"resource", resource}, {"window", windows[i].label}),
             *percent / 100});
    }
    if (!words.back().starts_with(total_key)) return false;
    const auto stalled = number<std::uint64_t>(words.back().substr(total_key.size()), 10);
    if (!stalled) return false;
    out.push_back({labelled("pressure_stall_seconds_total", {"resource", resource}, {"kind", kind}),
                   static_cast<double>(*stalled) / microseconds_per_second});
    return true;
}

} // namespace

Result<Measurements> parse_softnet(std::string_view text, const std::string& name) {
    constexpr std::array metrics{"softnet_processed_total", "softnet_dropped_total",
                                 "softnet_squeezed_total"};
    constexpr std::size_t cpu_place = 12;
    Measurements out;
    std::uint64_t place = 0;
    for (const std::string_view line : parts(text, '\n')) {
        std::vector<std::uint64_t> words;
        for (const std::string_view word : parts(line, ' ')) {
            const auto value = number<std::uint64_t>(word, 16);
            if (!value) return unreadable(name, line, "hexadecimal numbers");
            words.push_back(*value);
        }
        if (words.size() < metrics.size()) return unreadable(name, line, "three numbers at least");
        const std::string cpu = std::to_string(words.size() > cpu_place ? words[cpu_place] : place);
        for (std::size_t i = 0; i < metrics.size(); ++i)
            out.push_back({labelled(metrics[i], {"cpu", cpu}), static_cast<double>(words[i])});
        ++place;
    }
    if (out.empty()) return failure(name + " is empty: expected a line for each CPU");
    return out;
}

Result<Measurements> parse_pressure(std::string_view text, const std::string& resource) {
    Measurements out;
    for (const std::string_view line : parts(text, '\n'))
        if (!read_pressure_line(line, resource, out))
            return unreadable("the pressure of " + resource, line,
                              "some or full, avg10=, avg60=, avg300= in percent, and total=");
    if (out.empty()) return failure("the pressure of " + resource + " is empty: expected a line 'some'");
    return out;
}

} // namespace homeostat::procfs
