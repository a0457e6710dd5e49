#include "policies/template.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace homeostat {

namespace {

bool is_label_name(std::string_view name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    return !name.empty() && letter(name.front()) &&
           std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

} // namespace

std::vector<std::string> Template::labels() const {
    std::vector<std::string> names;
    for (const Part& part : parts)
        if (part.is_label) names.push_back(part.text);
    return names;
}

Result<Template> parse_template(std::string_view text) {
    Template result;
    std::size_t at = 0;
    while (at < text.size()) {
        const std::size_t open = text.find("{{", at);
        if (open != at) result.parts.push_back({false, std::string(text.substr(at, open - at))});
        if (open == std::string_view::npos) break;
        const std::size_t close = text.find("}}", open);
        if (close == std::string_view::npos) return failure("'{{' is never closed", static_cast<int>(open));
        const std::string_view name = trim(text.substr(open + 2, close - open - 2));
        if (!is_label_name(name))
            return failure("'" + std::string(name) + "' between '{{' and '}}' is no label name",
                           static_cast<int>(open));
        result.parts.push_back({true, std::string(name)});
        at = close + 2;
    }
    return result;
}

std::string to_text(const Template& text) {
    std::string written;
    for (const Template::Part& part : text.parts)
        written += part.is_label ? "{{" + part.text + "}}" : part.text;
    return written;
}

Result<std::string> bind(const Template& text, const Labels& labels) {
    std::string bound;
    for (const Template::Part& part : text.parts) {
        if (!part.is_label) {
            bound += part.text;
            continue;
        }
        const std::string_view value = labels.get(part.text);
        if (value.empty()) return failure("label '" + part.text + "' is absent");
        bound += value;
    }
    return bound;
}

std::string number_text(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
    std::array<char, 32> buffer{};
    const bool plain = value == 0 || (std::abs(value) >= 1e-4 && std::abs(value) < 1e15);
    const auto format = plain ? std::chars_format::fixed : std::chars_format::general;
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format).ptr;
    return {buffer.data(), end};
}

} // namespace homeostat
