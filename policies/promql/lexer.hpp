// Tokens of PromQL. Keywords are names here: what a name means depends on where it stands, and nearly every
// keyword may also be a metric or a label.
#pragma once

#include "policies/promql/parser.hpp"

#include <string>
#include <string_view>

namespace homeostat::promql {

struct Token {
    enum class Kind { end, number, duration, string, name, symbol };

    Kind kind = Kind::end;
    Span at;
    std::string_view text; // as it stands in the source
    double number = 0;     // of number; of duration, in seconds
    Duration duration{};   // of duration
    std::string string;    // of string, unescaped
};

// Thrown by the lexer and the parser, caught by parse(): it never leaves this folder.
struct SyntaxError {
    ParseError error;
};

class Lexer {
  public:
    explicit Lexer(std::string_view text) : text_(text) {}

    // The next token; Kind::end from the end of the text on. Throws SyntaxError.
    Token next();

  private:
    void skip_blanks_and_comments();
    void skip_decimal();
    void skip_name();
    Token number();
    Token string();
    Token name();
    Token symbol();

    char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
    Token token(Token::Kind kind, std::size_t begin) const;
    [[noreturn]] void fail(std::size_t begin, std::string what, std::string expected = "") const;

    std::string_view text_;
    std::size_t at_ = 0;
    bool in_brackets_ = false; // there a colon separates a subquery's range and step
};

} // namespace homeostat::promql
