// Expected failures are values: Result<T> carries an Error that names the operation, the object and
// what to do. Mistakes in files are Diagnostics, collected so that all of a file are told at once.
#pragma once

#include <expected>
#include <string>
#include <utility>
#include <vector>

namespace homeostat {

struct Error {
    std::string what;
    int number = 0; // errno of the failed call, 0 where there was none

    bool operator==(const Error&) const = default;
};

template <class T> using Result = std::expected<T, Error>;

inline std::unexpected<Error> failure(std::string what, int number = 0) {
    return std::unexpected<Error>(Error{std::move(what), number});
}

// Lines and columns count from 1; 0 means "the whole file".
struct Position {
    int line = 0;
    int column = 0;

    auto operator<=>(const Position&) const = default;
};

struct Diagnostic {
    enum class Kind { error, warning };

    std::string file;
    Position at;
    std::string what;
    std::string expected; // what would have been right, or what to do; may be empty
    Kind kind = Kind::error;
    std::string name{}; // of a warning, by which a file may allow it

    bool operator==(const Diagnostic&) const = default;
};

using Diagnostics = std::vector<Diagnostic>;

// "file:line:column: what; expected what", "file:line:column: warning: what; what to do [name]"
std::string to_text(const Diagnostic& diagnostic);

bool has_errors(const Diagnostics& diagnostics);

// By file and place, each once.
void put_in_order(Diagnostics& diagnostics);

// The candidate nearest to `word` by edit distance, or "" where none is near enough to be meant.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

} // namespace homeostat
