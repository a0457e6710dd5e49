// Warnings: what is allowed, and hardly meant. Each has a name, under which REFERENCE.md explains it and a
// file may allow it.
#pragma once

#include "policies/source_text.hpp"

#include <string>
#include <string_view>

namespace homeostat {

inline Diagnostic warning(std::string_view name, std::string file, Position at, std::string what,
                          std::string what_to_do) {
    return {.file = std::move(file),
            .at = at,
            .what = std::move(what),
            .expected = std::move(what_to_do),
            .kind = Diagnostic::Kind::warning,
            .name = std::string(name)};
}

inline Diagnostic warning(std::string_view name, const SourceText& source, std::size_t offset,
                          std::string what, std::string what_to_do) {
    return warning(name, source.file, source.position(offset), std::move(what), std::move(what_to_do));
}

} // namespace homeostat
