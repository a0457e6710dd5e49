#include "knowledge/error.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <tuple>
#include <utility>

namespace homeostat {

std::string to_text(const Diagnostic& d) {
    std::string text = d.file;
    if (d.at.line > 0) text += ":" + std::to_string(d.at.line) + ":" + std::to_string(d.at.column);
    text += d.kind == Diagnostic::Kind::warning ? ": warning: " : ": ";
    text += d.what;
    if (!d.expected.empty()) text += "; " + d.expected;
    if (!d.name.empty()) text += " [" + d.name + "]";
    return text;
}

bool has_errors(const Diagnostics& diagnostics) {
    return std::ranges::any_of(diagnostics,
                               [](const Diagnostic& d) { return d.kind == Diagnostic::Kind::error; });
}

void put_in_order(Diagnostics& diagnostics) {
    std::ranges::stable_sort(diagnostics, {}, [](const Diagnostic& d) { return std::tie(d.file, d.at); });
    const auto same = std::ranges::unique(diagnostics);
    diagnostics.erase(same.begin(), same.end());
}

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

std::string one_a_line(const std::vector<std::string>& words) {
    std::string lines;
    for (const std::string& word : words) lines += "\n  " + word;
    return lines;
}

namespace {

// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours count 1 each.
std::size_t edit_distance(const std::string& a, const std::string& b) {
    std::vector<std::size_t> before(b.size() + 1);
    std::vector<std::size_t> last(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        before = std::exchange(last, row);
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
    }
    return row.back();
}

constexpr std::size_t nearest_word_max = 100; // bytes; a longer word is no slip of the finger

} // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
    std::string best;
    if (word.size() > nearest_word_max) return best;
    std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
    for (const std::string& candidate : candidates) {
        const std::size_t insertions =
            std::max(word.size(), candidate.size()) - std::min(word.size(), candidate.size());
        if (insertions >= best_distance) continue;
        const std::size_t distance = edit_distance(word, candidate);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidate;
        }
    }
    return best;
}

} // namespace homeostat
