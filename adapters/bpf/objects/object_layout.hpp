// What an object file holds, read from its ELF and BTF alone: nothing is loaded, no privileges are needed.
#pragma once

#include "knowledge/error.hpp"
#include "knowledge/layout.hpp"

#include <string>

namespace homeostat::bpf {

// Of an array that is no byte array, this many elements become fields "name.0", "name.1", …; the rest is not
// seen.
inline constexpr std::size_t array_elements_max = 256;

// A type deeper than this is not seen further.
inline constexpr int nesting_max = 16;

// Programs other than XDP and TC are ignored. Structs are flattened to their leaves: nested ones with dots,
// arrays of bytes as bytes, other arrays element-wise; bit-fields, pointers and floats are left out. A map
// that was declared by sizes alone has one field: an unsigned integer where the size is one's, else bytes.
//
// Fails as open_object() does, and where there is no XDP program.
Result<ObjectLayout> read_layout(const std::string& path);

// Of the kernel's BPF_MAP_TYPE_….
MapLayout::Kind map_kind(std::uint32_t type);

} // namespace homeostat::bpf
