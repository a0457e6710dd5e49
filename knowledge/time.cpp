#include "knowledge/time.hpp"

#include <array>
#include <charconv>
#include <cstdio>
#include <limits>

namespace homeostat {

namespace {

struct Unit {
    std::string_view name;
    std::int64_t ms;
};

// In falling order, as Prometheus wants them.
constexpr std::array<Unit, 7> units{{{"y", 365LL * 24 * 3600 * 1000},
                                     {"w", 7LL * 24 * 3600 * 1000},
                                     {"d", 24LL * 3600 * 1000},
                                     {"h", 3600LL * 1000},
                                     {"m", 60LL * 1000},
                                     {"s", 1000},
                                     {"ms", 1}}};

std::string_view unit_name_at(std::string_view text) {
    std::size_t n = 0;
    while (n < text.size() && (text[n] < '0' || text[n] > '9')) ++n;
    return text.substr(0, n);
}

} // namespace

Result<Duration> parse_duration(std::string_view text) {
    const auto refuse = [&] {
        return failure("'" + std::string(text) + "' is no duration; expected one such as 100ms, 5s or 1h30m");
    };
    if (text == "0") return Duration{0};
    if (text.empty()) return refuse();
    std::int64_t total = 0;
    std::size_t next_unit = 0;
    std::string_view rest = text;
    while (!rest.empty()) {
        std::int64_t count = 0;
        const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), count);
        if (error != std::errc{} || count < 0) return refuse();
        rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
        const std::string_view name = unit_name_at(rest);
        while (next_unit < units.size() && units[next_unit].name != name) ++next_unit;
        if (next_unit == units.size()) return refuse();
        const std::int64_t ms = units[next_unit++].ms;
        if (count > (std::numeric_limits<std::int64_t>::max() - total) / ms) return refuse();
        total += count * ms;
        rest.remove_prefix(name.size());
    }
    return Duration{total};
}

std::string to_text(Duration d) {
    if (d.count() == 0) return "0s";
    std::string text = d.count() < 0 ? "-" : "";
    // Unsigned, so that the most negative value has a magnitude.
    std::uint64_t rest =
        d.count() < 0 ? 0 - static_cast<std::uint64_t>(d.count()) : static_cast<std::uint64_t>(d.count());
    for (const Unit& unit : units) {
        const auto ms = static_cast<std::uint64_t>(unit.ms);
        if (rest < ms) continue;
        // As Prometheus does: years and weeks only where nothing smaller remains.
        if ((unit.name == "y" || unit.name == "w") && rest % ms != 0) continue;
        text += std::to_string(rest / ms) + std::string(unit.name);
        rest %= ms;
    }
    return text;
}

std::string to_text(Instant t) {
    const std::chrono::sys_time<Duration> time{t.time_since_epoch()};
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date{day};
    const std::chrono::hh_mm_ss clock{time - day};
    std::array<char, 64> buffer{};
    const int length = std::snprintf(
        buffer.data(), buffer.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
        static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
        static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
        static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
    return std::string(buffer.data(), static_cast<std::size_t>(length));
}

namespace {

// Digits of exactly this width; the text goes on after them.
bool take_digits(std::string_view& text, std::size_t width, int& value) {
    if (text.size() < width) return false;
    const auto [end, error] = std::from_chars(text.data(), text.data() + width, value);
    if (error != std::errc{} || end != text.data() + width || text.front() == '-') return false;
    text.remove_prefix(width);
    return true;
}

bool take(std::string_view& text, char expected) {
    if (text.empty() || text.front() != expected) return false;
    text.remove_prefix(1);
    return true;
}

} // namespace

Result<Instant> parse_instant(std::string_view text) {
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, ms = 0;
    std::string_view rest = text;
    const bool is_time = take_digits(rest, 4, year) && take(rest, '-') && take_digits(rest, 2, month) &&
                         take(rest, '-') && take_digits(rest, 2, day) && take(rest, 'T') &&
                         take_digits(rest, 2, hour) && take(rest, ':') && take_digits(rest, 2, minute) &&
                         take(rest, ':') && take_digits(rest, 2, second) &&
                         (!take(rest, '.') || take_digits(rest, 3, ms)) && rest == "Z";
    const std::chrono::year_month_day date{std::chrono::year{year},
                                           std::chrono::month{static_cast<unsigned>(month)},
                                           std::chrono::day{static_cast<unsigned>(day)}};
    if (!is_time || !date.ok() || hour > 23 || minute > 59 || second > 59)
        return failure("'" + std::string(text) + "' is no time such as 2026-05-20T12:00:00Z");
    const auto since_epoch = std::chrono::sys_days{date}.time_since_epoch() + std::chrono::hours{hour} +
                             std::chrono::minutes{minute} + std::chrono::seconds{second} +
                             std::chrono::milliseconds{ms};
    return Instant{since_epoch};
}

} // namespace homeostat
