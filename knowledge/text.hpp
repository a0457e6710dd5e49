// Text for messages.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat {

// How many bytes the UTF-8 character at the front takes; 0 where there is none.
std::size_t utf8_length(std::string_view text);

// What is no UTF-8, and control characters but for line ends, as \xNN.
std::string printable(std::string_view text);

// "a, b, c".
std::string joined(const std::vector<std::string>& words, std::string_view separator = ", ");

// Each on a line of its own, indented, as it follows "there are:".
std::string one_a_line(const std::vector<std::string>& words);

} // namespace homeostat
