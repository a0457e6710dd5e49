// Whether a name is in a list of names. Internal to this folder.
#pragma once

#include <algorithm>
#include <span>
#include <string_view>

namespace homeostat {

inline bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
    return std::ranges::find(names, name) != names.end();
}

} // namespace homeostat
