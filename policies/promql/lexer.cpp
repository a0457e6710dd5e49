#include "policies/promql/lexer.hpp"

#include "knowledge/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>

namespace homeostat::promql {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name(char c) { return is_alpha(c) || is_digit(c); }

// Ours, not Prometheus's.
constexpr std::array<std::pair<std::string_view, double>, 8> multiples{{{"k", 1e3},
                                                                        {"M", 1e6},
                                                                        {"G", 1e9},
                                                                        {"T", 1e12},
                                                                        {"Ki", 1024.0},
                                                                        {"Mi", 1048576.0},
                                                                        {"Gi", 1073741824.0},
                                                                        {"Ti", 1099511627776.0}}};

std::optional<double> multiple(std::string_view suffix) {
    for (const auto& [name, value] : multiples)
        if (name == suffix) return value;
    return std::nullopt;
}

// Underscores may stand between digits only, as in Go.
std::optional<std::string> without_separators(std::string_view digits) {
    std::string plain;
    for (std::size_t i = 0; i < digits.size(); ++i) {
        if (digits[i] != '_')
            plain += digits[i];
        else if (i == 0 || i + 1 == digits.size() || digits[i - 1] == '_')
            return std::nullopt;
    }
    return plain;
}

std::optional<double> parse_integer(std::string_view digits, int base) {
    std::uint64_t value = 0;
    const char* end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, value, base);
    if (error != std::errc{} || stop != end) return std::nullopt;
    return static_cast<double>(value);
}

std::optional<double> parse_decimal(std::string_view digits) {
    // As in Go, a leading zero makes an integer octal where its digits allow that.
    if (digits.size() > 1 && digits[0] == '0' && digits.find_first_not_of("01234567") == digits.npos)
        return parse_integer(digits, 8);
    double value = 0;
    const char* end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, value);
    if (stop != end) return std::nullopt;
    if (error == std::errc{}) return value;
    // As in Go, what is too small to tell from zero is zero, and what is too large is refused.
    if (digits.find_first_of("eE") != digits.npos && digits[digits.find_first_of("eE") + 1] == '-') return 0;
    return std::nullopt;
}

void append_utf8(std::string& text, std::uint32_t rune) {
    const auto byte = [&text](std::uint32_t b) { text += static_cast<char>(b); };
    if (rune < 0x80) return byte(rune);
    if (rune < 0x800)
        byte(0xc0 | (rune >> 6));
    else if (rune < 0x10000) {
        byte(0xe0 | (rune >> 12));
        byte(0x80 | ((rune >> 6) & 0x3f));
    } else {
        byte(0xf0 | (rune >> 18));
        byte(0x80 | ((rune >> 12) & 0x3f));
        byte(0x80 | ((rune >> 6) & 0x3f));
    }
    byte(0x80 | (rune & 0x3f));
}

struct NumericEscape {
    std::size_t digits;
    int base;
};

std::optional<NumericEscape> numeric_escape(char c) {
    switch (c) {
    case 'x':
        return NumericEscape{2, 16};
    case 'u':
        return NumericEscape{4, 16};
    case 'U':
        return NumericEscape{8, 16};
    default:
        if (c >= '0' && c <= '7') return NumericEscape{3, 8};
        return std::nullopt;
    }
}

// Appends what the escape at the front of `rest` (after its backslash) means; returns its length, 0 where it
// is no escape. A numeric one gives a byte (octal, \x) or a rune (\u, \U).
std::size_t append_escape(std::string& text, std::string_view rest, char quote) {
    constexpr std::string_view names = "abfnrtv\\";
    constexpr std::string_view meanings = "\a\b\f\n\r\t\v\\";
    if (rest.empty()) return 0;
    const char c = rest[0];
    if (const std::size_t i = names.find(c); i != names.npos) {
        text += meanings[i];
        return 1;
    }
    if (c == quote) {
        text += c;
        return 1;
    }
    const auto escape = numeric_escape(c);
    if (!escape) return 0;
    const std::size_t lead = escape->base == 16 ? 1 : 0;
    if (rest.size() < lead + escape->digits) return 0;
    std::uint32_t rune = 0;
    const char* begin = rest.data() + lead;
    const auto [stop, error] = std::from_chars(begin, begin + escape->digits, rune, escape->base);
    if (error != std::errc{} || stop != begin + escape->digits) return 0;
    if (c == 'u' || c == 'U') {
        if (rune > 0x10ffff || (rune >= 0xd800 && rune < 0xe000)) return 0;
        append_utf8(text, rune);
    } else {
        if (rune > 0xff) return 0;
        text += static_cast<char>(rune);
    }
    return lead + escape->digits;
}

} // namespace

void Lexer::fail(std::size_t begin, std::string what, std::string expected) const {
    const std::size_t end = std::min(std::max(at_, begin + 1), text_.size());
    throw SyntaxError{{begin, end - std::min(begin, end), std::move(what), std::move(expected)}};
}

Token Lexer::token(Token::Kind kind, std::size_t begin) const {
    Token made;
    made.kind = kind;
    made.at = {begin, at_ - begin};
    made.text = text_.substr(begin, at_ - begin);
    return made;
}

void Lexer::skip_blanks_and_comments() {
    while (at_ < text_.size()) {
        const char c = text_[at_];
        if (c == '#')
            at_ = std::min(text_.find('\n', at_), text_.size());
        else if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
            ++at_;
        else
            return;
    }
}

Token Lexer::next() {
    skip_blanks_and_comments();
    if (at_ >= text_.size()) return token(Token::Kind::end, at_);
    const char c = peek();
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number();
    if (c == '"' || c == '\'' || c == '`') return string();
    if (is_alpha(c) || (c == ':' && !in_brackets_ && (is_name(peek(1)) || peek(1) == ':'))) return name();
    return symbol();
}

void Lexer::skip_decimal() {
    const auto skip_digits = [this] {
        while (is_digit(peek()) || peek() == '_') ++at_;
    };
    skip_digits();
    if (peek() == '.') {
        ++at_;
        skip_digits();
    }
    const std::size_t sign = peek(1) == '+' || peek(1) == '-' ? 1 : 0;
    if ((peek() == 'e' || peek() == 'E') && is_digit(peek(1 + sign))) {
        at_ += 1 + sign;
        skip_digits();
    }
}

void Lexer::skip_name() {
    while (is_name(peek())) ++at_;
}

// A number with its suffix, or a duration: the longest run of characters that could belong to one.
Token Lexer::number() {
    const std::size_t begin = at_;
    const bool hex = peek() == '0' && (peek(1) == 'x' || peek(1) == 'X');
    hex ? skip_name() : skip_decimal();
    const std::string_view digits = text_.substr(begin, at_ - begin).substr(hex ? 2 : 0);
    const std::size_t suffix_begin = at_;
    skip_name();
    const std::string_view suffix = text_.substr(suffix_begin, at_ - suffix_begin);
    Token made = token(Token::Kind::number, begin);

    const std::optional<double> factor = suffix.empty() ? 1.0 : multiple(suffix);
    const auto plain = without_separators(digits);
    if (factor && plain) {
        if (const auto value = hex ? parse_integer(*plain, 16) : parse_decimal(*plain)) {
            made.number = *value * *factor;
            return made;
        }
    } else if (const auto duration = parse_duration(made.text)) {
        made.kind = Token::Kind::duration;
        made.duration = *duration;
        made.number = static_cast<double>(duration->count()) / 1000.0;
        return made;
    }
    fail(begin, "'" + std::string(made.text) + "' is neither a number nor a duration",
         "a number such as 1.5, 200k or 4Ki, or a duration such as 100ms, 5m or 1h30m");
}

Token Lexer::string() {
    const std::size_t begin = at_;
    const char quote = text_[at_++];
    std::string value;
    for (;;) {
        if (at_ >= text_.size()) fail(begin, "the string is not closed", std::string("a closing ") + quote);
        const char c = text_[at_];
        if (c == quote) break;
        if (quote == '`' || (c != '\\' && c != '\n')) {
            value += c;
            ++at_;
            continue;
        }
        if (c == '\n') fail(begin, "the string is not closed on its line", std::string("a closing ") + quote);
        const std::size_t length = append_escape(value, text_.substr(at_ + 1), quote);
        if (length == 0) {
            const std::size_t escape = at_;
            at_ = std::min(at_ + 2, text_.size());
            fail(escape, "unknown escape sequence in a string", "one of Go's, such as \\n, \\\\ or \\x41");
        }
        at_ += 1 + length;
    }
    ++at_;
    Token made = token(Token::Kind::string, begin);
    made.string = std::move(value);
    return made;
}

Token Lexer::name() {
    const std::size_t begin = at_;
    while (is_name(peek()) || (peek() == ':' && !in_brackets_)) ++at_;
    return token(Token::Kind::name, begin);
}

Token Lexer::symbol() {
    constexpr std::array<std::string_view, 24> symbols{"==", "!=", "<=", ">=", "=~", "!~", "(", ")",
                                                       "{",  "}",  "[",  "]",  ",",  ":",  "@", "+",
                                                       "-",  "*",  "/",  "%",  "^",  "<",  ">", "="};
    const std::size_t begin = at_;
    const auto found = std::ranges::find_if(
        symbols, [rest = text_.substr(at_)](std::string_view s) { return rest.starts_with(s); });
    if (found == symbols.end()) {
        const std::size_t length = std::max<std::size_t>(utf8_length(text_.substr(begin)), 1);
        fail(begin, "unexpected character '" + printable(text_.substr(begin, length)) + "'");
    }
    at_ += found->size();
    const Token made = token(Token::Kind::symbol, begin);
    if (made.text == "[") in_brackets_ = true;
    if (made.text == "]") in_brackets_ = false;
    return made;
}

} // namespace homeostat::promql
