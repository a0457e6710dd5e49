#include "adapters/cli/moment.hpp"

#include <array>
#include <charconv>
#include <chrono>

namespace homeostat::cli {

namespace {

// Where each number stands in "2026-05-20T12:00:00.123Z".
struct Field {
    std::size_t at;
    std::size_t length;
};
constexpr std::array<Field, 7> fields{{{0, 4}, {5, 2}, {8, 2}, {11, 2}, {14, 2}, {17, 2}, {20, 3}}};
constexpr std::string_view pattern = "dddd-dd-ddTdd:dd:dd.dddZ";

bool fits(const std::string& text) {
    if (text.size() != pattern.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool is_digit = text[i] >= '0' && text[i] <= '9';
        if (pattern[i] == 'd' ? !is_digit : text[i] != pattern[i]) return false;
    }
    return true;
}

std::optional<Instant> parse_instant(std::string text) {
    constexpr std::size_t without_ms = std::string_view("2026-05-20T12:00:00Z").size();
    if (text.size() == without_ms && text.ends_with('Z')) text.replace(without_ms - 1, 1, ".000Z");
    if (!fits(text)) return std::nullopt;
    std::array<int, fields.size()> value{};
    for (std::size_t i = 0; i < fields.size(); ++i)
        std::from_chars(text.data() + fields[i].at, text.data() + fields[i].at + fields[i].length, value[i]);
    const std::chrono::year_month_day day{std::chrono::year{value[0]},
                                          std::chrono::month{static_cast<unsigned>(value[1])},
                                          std::chrono::day{static_cast<unsigned>(value[2])}};
    if (!day.ok() || value[3] > 23 || value[4] > 59 || value[5] > 59) return std::nullopt;
    const Duration since_epoch = std::chrono::sys_days(day).time_since_epoch() +
                                 std::chrono::hours{value[3]} + std::chrono::minutes{value[4]} +
                                 std::chrono::seconds{value[5]} + Duration{value[6]};
    return Instant{since_epoch};
}

} // namespace

Result<Moment> parse_moment(const std::string& text) {
    if (const auto time = parse_instant(text)) return *time;
    if (const auto ago = parse_duration(text)) return *ago;
    return failure("'" + text +
                   "' is no time; expected one such as 2026-05-20T12:00:00Z, or a duration such as 30s");
}

} // namespace homeostat::cli
