#include "policies/toml_screening.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

namespace homeostat {

std::size_t utf8_length(char lead) {
    const auto byte = static_cast<unsigned char>(lead);
    return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

int characters_in(std::string_view text) {
    const auto begins = [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80; };
    return static_cast<int>(std::ranges::count_if(text, begins));
}

namespace {

// What the parser of TOML must not be given: its tables refer to each other recursively, and of characters
// that TOML does not allow it takes some for granted. Looks at how deep the values of the text nest (brackets
// that are open, and the dots of a key; a number with a point counts as a key), and at the characters.
class Screening {
  public:
    // The text to parse, or the first thing that is refused.
    static std::expected<std::string, Diagnostic> readable(const std::vector<std::string>& lines) {
        if (lines.front().starts_with("\xef\xbb\xbf"))
            return std::unexpected(Diagnostic{.file = {},
                                              .at = {1, 1},
                                              .what = "TOML syntax: a byte order mark",
                                              .expected = "save the file as UTF-8 without it"});
        Screening screening;
        std::string text;
        for (std::size_t i = 0; i < lines.size(); ++i) {
            const std::string_view line = lines[i];
            const std::size_t blanks = screening.swallowed(line);
            if (const auto byte = screening.read(line))
                return std::unexpected(
                    Diagnostic{.file = {},
                               .at = {static_cast<int>(i) + 1, 1 + characters_in(line.substr(0, *byte))},
                               .what = screening.what_,
                               .expected = screening.expected_});
            if (i > 0) text += '\n';
            text += line.substr(0, blanks);
            text += escaped_at_begin(line.substr(blanks));
        }
        return text;
    }

  private:
    std::optional<std::size_t> read(std::string_view line) {
        const auto control = std::ranges::find_if(line, is_control);
        const bool ends_line = control != line.end() && *control == '\r' && control + 1 == line.end();
        if (control != line.end() && !ends_line) {
            what_ = "TOML syntax: a control character";
            expected_ = "remove it; in a string, write it as an escape such as \\u0000";
            return static_cast<std::size_t>(control - line.begin());
        }
        if (const auto at = bad_header(line)) {
            what_ = "TOML syntax: a table's name cannot begin like this";
            expected_ = "expected letters, digits, '_', '-', or a name between quotes";
            return at;
        }
        dots_ = 0;
        for (std::size_t at = 0; at < line.size();) {
            if (!quote_.empty()) {
                at = end_of_string(line, at);
                continue;
            }
            const char c = line[at];
            if (c == '#') break;
            if (c == '"' || c == '\'') {
                const std::string three(3, c);
                quote_ = line.substr(at).starts_with(three) ? three : std::string(1, c);
                at += quote_.size();
                continue;
            }
            count(c);
            if (open_ + dots_ > toml_depth_max) {
                what_ = "nested deeper than " + std::to_string(toml_depth_max) + " levels";
                expected_ = "expected fewer dots or brackets";
                return at;
            }
            if (static_cast<unsigned char>(c) >= 0x80) {
                what_ = "TOML syntax: a character beyond ASCII outside of a string";
                expected_ = "write it between quotes";
                return at;
            }
            ++at;
        }
        if (quote_.size() == 1) quote_.clear(); // a string that is not closed on its line: a syntax error
        return std::nullopt;
    }

    // The place where a table's name should begin and does not.
    std::optional<std::size_t> bad_header(std::string_view line) const {
        constexpr std::string_view blanks = " \t";
        const std::size_t open = line.find_first_not_of(blanks);
        if (!quote_.empty() || open_ > 0 || open == line.npos || line[open] != '[') return std::nullopt;
        const std::size_t brackets = line.substr(open).starts_with("[[") ? 2 : 1;
        const std::size_t name = line.find_first_not_of(blanks, open + brackets);
        if (name == line.npos) return line.size() - 1;
        const auto byte = static_cast<unsigned char>(line[name]);
        const std::string_view others =
            brackets == 1 ? "_-\"'[]" : "_-\"']"; // a blank before '[' is told elsewhere
        const bool may_begin = std::isalnum(byte) != 0 || others.contains(line[name]);
        return may_begin ? std::nullopt : std::optional(name);
    }

    static bool is_control(char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte < 0x20 && c != '\t') || byte == 0x7f;
    }

    void count(char c) {
        if (c == '.')
            ++dots_;
        else if (c == '=' || c == ',' || c == ']' || c == '}' || c == '[' || c == '{')
            dots_ = 0;
        if (c == '[' || c == '{') ++open_;
        if ((c == ']' || c == '}') && open_ > 0) --open_;
    }

    // How many blanks a backslash at the end of an earlier line swallows at the beginning of this one. A
    // character beyond ASCII behind them is one that toml++ 3.3 has undefined behaviour for.
    std::size_t swallowed(std::string_view line) {
        if (!swallows_) return line.size();
        const std::size_t blanks = std::min(line.find_first_not_of(" \t\r"), line.size());
        swallows_ = blanks == line.size();
        return blanks;
    }

    // The text with its first character, where that is beyond ASCII, as the escape of the same meaning. What
    // is no UTF-8 stays as it is, for toml++ to refuse.
    static std::string escaped_at_begin(std::string_view text) {
        constexpr std::array<unsigned, 5> point_min{0, 0, 0x80, 0x800, 0x10000}; // by the number of bytes
        const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
        if (text.empty() || byte(0) < 0xc0 || byte(0) >= 0xf8) return std::string(text);
        const std::size_t bytes = utf8_length(text.front());
        if (bytes > text.size() || characters_in(text.substr(0, bytes)) != 1) return std::string(text);
        unsigned point = byte(0) & (0xffU >> (bytes + 1));
        for (std::size_t i = 1; i < bytes; ++i) point = (point << 6U) | (byte(i) & 0x3fU);
        if (point < point_min[bytes]) return std::string(text);
        std::string escape = "\\U00000000";
        for (auto digit = escape.rbegin(); point != 0; ++digit, point >>= 4U)
            *digit = "0123456789abcdef"[point & 0xfU];
        return escape + std::string(text.substr(bytes));
    }

    // Where reading goes on: behind the string where it ends on this line.
    std::size_t end_of_string(std::string_view line, std::size_t at) {
        while (at < line.size()) {
            if (quote_ == R"(""")" && line[at] == '\\' &&
                line.find_first_not_of(" \t\r", at + 1) == line.npos) {
                swallows_ = true;
                return line.size();
            }
            if (quote_.front() == '"' && line[at] == '\\') {
                at += 2;
                continue;
            }
            if (line.substr(at).starts_with(quote_)) {
                at += quote_.size();
                quote_.clear();
                return at;
            }
            ++at;
        }
        return line.size();
    }

    std::string quote_;     // of the string that is open; empty outside of strings
    bool swallows_ = false; // the blanks at the beginning of the next line
    std::size_t open_ = 0;
    std::size_t dots_ = 0;
    std::string what_;
    std::string expected_;
};

} // namespace

std::expected<std::string, Diagnostic> readable_toml(std::string_view text,
                                                     const std::vector<std::string>& lines) {
    if (text.size() > toml_bytes_max)
        return std::unexpected(Diagnostic{.file = {},
                                          .at = {},
                                          .what = "the file has " + std::to_string(text.size()) + " bytes",
                                          .expected = "expected at most " + std::to_string(toml_bytes_max)});
    return Screening::readable(lines);
}

} // namespace homeostat
