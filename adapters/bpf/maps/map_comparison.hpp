// Whether the entries of a map may go on under another definition of it, and how: what a program that
// replaces another one does with the maps that both define.
#pragma once

#include "knowledge/layout.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

struct bpf_map;
struct btf;

namespace homeostat::bpf {

// A map as an object file defines it.
struct MapDefinition {
    MapLayout layout;
    std::uint32_t type = 0;          // BPF_MAP_TYPE_…
    std::uint32_t flags = 0;         // BPF_F_…
    std::vector<EnumLayout> enums;   // those of the key's and the value's fields
    std::vector<std::string> unseen; // what the layout leaves out of key and value, with its place

    bool operator==(const MapDefinition&) const = default;
};

// `types` is the BTF of the object that has the map, `object` the layout of the same file. The map must be
// one of the layout's, so .rodata, .data and .bss are none. Neither is kept.
MapDefinition read_definition(const bpf_map* map, const btf* types, const ObjectLayout& object);

// How an old and a new entry of one key become one.
enum class Merge {
    sum,   // counters: all fields are added
    newest // state: the entry with the newer stamp stands, the new map's where they are the same
};

struct MergeRule {
    Merge merge = Merge::sum;
    std::string stamp; // for newest: the field of the value that only grows; unsigned, of 4 or 8 bytes

    bool operator==(const MergeRule&) const = default;
};

// One integer, or 1, 2, 4 or 8 bytes of a longer field, of one value.
struct FieldMove {
    std::size_t from_offset = 0; // bytes
    std::size_t to_offset = 0;   // bytes
    std::size_t from_size = 0;   // 1, 2, 4 or 8
    std::size_t to_size = 0;     // at least from_size
    bool is_signed = false;

    bool operator==(const FieldMove&) const = default;
};

inline constexpr std::size_t field_moves_max = 256;

// The same definition: the new program takes the old map itself.
struct ReuseMap {
    bool operator==(const ReuseMap&) const = default;
};

// The new program starts on a map of its own, into which the old entries are merged.
struct MigrateMap {
    MapLayout from;
    MapLayout to;
    Merge merge = Merge::sum;
    FieldMove stamp; // for Merge::newest
    std::vector<FieldMove> moves;

    bool operator==(const MigrateMap&) const = default;
};

struct RefuseMap {
    std::string reason; // "map m cannot be carried over: …", all that is in the way

    bool operator==(const RefuseMap&) const = default;
};

using CarryOver = std::variant<ReuseMap, MigrateMap, RefuseMap>;

// Reuse where type, sizes, max_entries, flags, and the fields of key and value are the same. Else, with a
// rule, migration where type and key are the same and each old field is in the new value by its name, with
// the same kind and size, or as a wider integer of the same sign. In both cases each old enumerator must mean
// the same number. Else, or without a rule, refusal.
//
// What cannot be known here: sums in a map that is not per CPU are exact only where the new program itself
// adds atomically; its plain `count += 1` on another CPU may undo what is merged in.
CarryOver compare_maps(const MapDefinition& from, const MapDefinition& to,
                       const std::optional<MergeRule>& rule);

} // namespace homeostat::bpf
