// Logical time. An Instant is whole milliseconds since the Unix epoch; a Duration is whole
// milliseconds. Neither can be read from the machine here: LogicalTime has no now(), so time only
// ever enters as an argument.
#pragma once

#include "knowledge/error.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace homeostat {

using Duration = std::chrono::milliseconds;

struct LogicalTime {
    using duration = Duration;
    using rep = Duration::rep;
    using period = Duration::period;
    using time_point = std::chrono::time_point<LogicalTime, Duration>;
};

using Instant = LogicalTime::time_point;

constexpr Instant at_ms(std::int64_t ms_since_epoch) { return Instant{Duration{ms_since_epoch}}; }
constexpr std::int64_t to_ms(Instant t) { return t.time_since_epoch().count(); }

// Prometheus's notation: units y w d h m s ms, each at most once and in falling order ("1h30m", "100ms").
// A lone "0" is allowed. Errors name the text.
Result<Duration> parse_duration(std::string_view text);

// The same notation, shortest form; zero is "0s", a negative duration has a leading '-'.
std::string to_text(Duration d);

// "2026-05-20T12:00:00.123Z" (UTC).
std::string to_text(Instant t);

// The same notation; the fraction may be left out. Errors name the text.
Result<Instant> parse_instant(std::string_view text);

} // namespace homeostat
