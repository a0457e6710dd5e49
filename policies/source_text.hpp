// Text from a file that remembers where it stood.
#pragma once

#include "knowledge/error.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace homeostat {

// A string of a document, with the place of each of its bytes in the file (escapes make them differ).
struct SourceText {
    std::string file;
    std::string text;
    std::vector<Position> at; // one per byte of text, and one for its end

    Position position(std::size_t offset) const { return at[offset < at.size() ? offset : at.size() - 1]; }
};

} // namespace homeostat
