// Fuzz targets: one function for each parser of bytes from outside. The same function runs under libFuzzer
// (one program for each target, preset "fuzz") and over the committed corpus in an ordinary test.
#pragma once

#include "knowledge/error.hpp"

#include <span>
#include <string>
#include <string_view>

namespace homeostat::fuzz {

// Feeds the bytes to the parser and, where they are accepted, to what follows it. Returns what is wrong: a
// property that does not hold; "" where all is well. Crashes and endless work are for whoever calls.
using Run = std::string (*)(std::string_view bytes);

struct Target {
    std::string_view name; // corpus/NAME holds its inputs, dictionaries/NAME.dict its words
    Run run;
};

// A new target is a file of its own, a line here and one in CMakeLists.txt.
std::string duration(std::string_view bytes);
std::string template_text(std::string_view bytes);
std::string when(std::string_view bytes);
std::string promql(std::string_view bytes);
std::string evaluate(std::string_view bytes);
std::string policy(std::string_view bytes);
std::string config(std::string_view bytes);

std::span<const Target> targets();

// Whether every place lies in the text (or behind its last character, or means the whole file); "" or which
// one does not. Columns count characters of UTF-8.
std::string places_outside(std::string_view text, const Diagnostics& diagnostics);

} // namespace homeostat::fuzz
