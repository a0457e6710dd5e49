#pragma once

#include <cstddef>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "knowledge/error.hpp"

namespace homeostat {

inline constexpr std::size_t toml_bytes_max = std::size_t{1} << 20; // of one file
inline constexpr std::size_t toml_depth_max = 64;                   // of its tables, arrays and dotted keys

// The text of a TOML file as toml++ 3.3 may be given it: its parser recurses on tables that refer to each
// other, and has undefined behaviour for some characters. The lines are those of the text, without their
// ends. The places of all values are those in the text, but behind the first character of a line that a
// backslash continues. The error has no file.
std::expected<std::string, Diagnostic> readable_toml(std::string_view text,
                                                     const std::vector<std::string>& lines);

// Of the character that this byte begins.
std::size_t utf8_length(char lead);

// A byte that only continues a character counts for none.
int characters_in(std::string_view text);

} // namespace homeostat
