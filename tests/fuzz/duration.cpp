#include "knowledge/time.hpp"
#include "tests/fuzz/target.hpp"

namespace homeostat::fuzz {

std::string duration(std::string_view bytes) {
    const auto parsed = parse_duration(bytes);
    if (!parsed) return parsed.error().what.empty() ? "an error without words" : "";
    if (*parsed < Duration{0}) return "a negative duration";
    const std::string text = to_text(*parsed);
    if (parse_duration(text) != *parsed) return "'" + text + "' does not read back";
    return "";
}

} // namespace homeostat::fuzz
