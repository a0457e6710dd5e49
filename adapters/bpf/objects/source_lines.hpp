// Which line and column of its source each instruction of an object comes from, as its BTF tells it.
#pragma once

#include "adapters/bpf/objects/verdict.hpp"
#include "knowledge/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::bpf {

struct SourceLines {
    // Both by section and instruction, which counts from the beginning of the section.
    struct Line {
        std::string section;
        std::uint32_t instruction;
        SourceLine source; // its file as the compiler was given it
    };
    struct Function {
        std::string section;
        std::uint32_t instruction;
        std::string name;
    };

    std::vector<Line> lines;
    std::vector<Function> functions;
};

// Empty where the object has types alone. Fails where it cannot be read.
Result<SourceLines> read_source_lines(const std::string& path);

// Gives the places of a verdict about the program `function` their files and columns, and their lines where
// the log does not tell them. A place of a function that the program calls is found by the line's text.
void complete(Verdict& verdict, const SourceLines& lines, std::string_view function);

} // namespace homeostat::bpf
