// Tables that have a row for each value of an enum.
#pragma once

#include <array>
#include <cstddef>

namespace homeostat {

// Whether there is one row for each value from the first to `last`, in their order: then a value is its row's
// place. For a static_assert beside the table.
template <class Row, std::size_t size, class Enum>
constexpr bool has_row_for_each(const std::array<Row, size>& rows, Enum Row::* key, Enum last) {
    if (size != static_cast<std::size_t>(last) + 1) return false;
    for (std::size_t i = 0; i < size; ++i)
        if (rows[i].*key != static_cast<Enum>(i)) return false;
    return true;
}

} // namespace homeostat
