#include "knowledge/text.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace homeostat {

std::size_t utf8_length(std::string_view text) {
    struct Form {
        unsigned char mask, lead; // of the first byte
        std::uint32_t least;      // code point that takes so many bytes
    };
    static constexpr std::array<Form, 4> forms{
        {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}}};
    if (text.empty()) return 0;
    const auto first = static_cast<unsigned char>(text.front());
    const auto form = std::ranges::find_if(forms, [&](const Form& f) { return (first & f.mask) == f.lead; });
    const auto length = static_cast<std::size_t>(form - forms.begin()) + 1;
    if (form == forms.end() || text.size() < length) return 0;
    std::uint32_t rune = first & static_cast<unsigned char>(~form->mask);
    for (const char c : text.substr(1, length - 1)) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte & 0xc0) != 0x80) return 0;
        rune = rune << 6 | (byte & 0x3f);
    }
    const bool is_surrogate = rune >= 0xd800 && rune <= 0xdfff;
    return rune < form->least || rune > 0x10ffff || is_surrogate ? 0 : length;
}

std::string printable(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string result;
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        const auto first = static_cast<unsigned char>(text.front());
        const bool is_control = (first < 0x20 && first != '\n') || first == 0x7f;
        if (length > 0 && !is_control)
            result += text.substr(0, length);
        else
            (result += "\\x") += {digits[first >> 4], digits[first & 0xf]};
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return result;
}

std::string joined(const std::vector<std::string>& words, std::string_view separator) {
    std::string text;
    for (const std::string& word : words) {
        if (&word != &words.front()) text += separator;
        text += word;
    }
    return text;
}

std::string one_a_line(const std::vector<std::string>& words) {
    std::string lines;
    for (const std::string& word : words) lines += "\n  " + word;
    return lines;
}

} // namespace homeostat
