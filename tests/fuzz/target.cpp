#include "tests/fuzz/target.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace homeostat::fuzz {

std::span<const Target> targets() {
    static constexpr std::array all{
        Target{"duration", duration}, Target{"template", template_text}, Target{"when", when},
        Target{"promql", promql},     Target{"evaluate", evaluate},      Target{"policy", policy},
        Target{"config", config},
    };
    return all;
}

std::string places_outside(std::string_view text, const Diagnostics& diagnostics) {
    std::vector<int> columns{1}; // the last one that each line may name, from line 1 on
    for (const char c : text)
        if (c == '\n')
            columns.push_back(1);
        else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80)
            ++columns.back();
    const int lines = static_cast<int>(columns.size());
    const auto is_outside = [&](const Diagnostic& diagnostic) {
        const auto [line, column] = diagnostic.at;
        if (line == 0) return column != 0;
        return line < 0 || line > lines || column < 1 || column > columns[static_cast<std::size_t>(line) - 1];
    };
    const auto found = std::ranges::find_if(diagnostics, is_outside);
    return found == diagnostics.end() ? "" : "a place outside the text: " + to_text(*found);
}

} // namespace homeostat::fuzz
