// What the source tree promises, as functions of a file's path and text: each gives the mistakes of one file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace homeostat::test {

struct SourceFile {
    std::string path; // from the root of the tree, with '/'
    std::string text;
};

// Includes point one way: knowledge, policies, engine, adapters; sibling adapters do not know each other, but
// for adapters/cli, where the program is put together.
std::vector<std::string> include_mistakes(const SourceFile& file);

// The core reads no clock, no file, no environment and no random source, and prints nothing.
std::vector<std::string> ban_mistakes(const SourceFile& file);

// At most 600 lines, unless a comment in the first ones says why the file is "longer than 600 lines"; at most
// three in a folder's README.
std::vector<std::string> length_mistakes(const SourceFile& file);

// C++ without comments and without what stands in string and character literals; lines stay lines.
std::string code_of(std::string_view text);

} // namespace homeostat::test
