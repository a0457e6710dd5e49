// The layout of the bytes in a BPF map or a ring-buffer record, as its BTF tells it, without BTF: so
// that reading and writing such bytes is a pure function, and a policy can be checked against an object
// without a kernel.
#pragma once

#include "knowledge/error.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace homeostat {

struct EnumLayout {
    std::string name;
    std::vector<std::pair<std::string, std::int64_t>> enumerators; // full names, in order of declaration

    bool operator==(const EnumLayout&) const = default;
    // "tcp" for PROTO_TCP in an enum whose names all begin with PROTO_; nullopt for an unknown value.
    std::optional<std::string> word(std::int64_t value) const;
    // Takes the short word or the full name.
    std::optional<std::int64_t> value(std::string_view wanted) const;
    std::vector<std::string> words() const;
};

struct FieldLayout {
    enum class Kind {
        unsigned_integer,
        signed_integer,
        boolean,
        enumeration,
        ip_address, // 16 bytes of a struct ip_address or in6_addr; IPv4 is mapped
        bytes
    };

    std::string name; // nested fields are named with dots; "" for a type that is no struct
    std::size_t offset = 0;
    std::size_t size = 0; // bytes; integers are 1, 2, 4 or 8
    Kind kind = Kind::unsigned_integer;
    std::string enumeration; // the enum's name, for Kind::enumeration

    bool operator==(const FieldLayout&) const = default;
    bool is_number() const { return kind != Kind::bytes && kind != Kind::ip_address; }
};

// A type flattened to its leaves.
struct TypeLayout {
    std::string name; // of the struct or enum; "" for a plain integer
    std::size_t size = 0;
    std::vector<FieldLayout> fields;

    bool operator==(const TypeLayout&) const = default;
    const FieldLayout* field(std::string_view wanted) const; // nullptr where absent
};

struct MapLayout {
    enum class Kind { array, hash, percpu_array, percpu_hash, lru_hash, lru_percpu_hash, ringbuf, other };

    std::string name;
    Kind kind = Kind::other;
    TypeLayout key;   // empty for ring buffers
    TypeLayout value; // empty for ring buffers
    std::uint32_t max_entries = 0;

    bool operator==(const MapLayout&) const = default;
    bool per_cpu() const {
        return kind == Kind::percpu_array || kind == Kind::percpu_hash || kind == Kind::lru_percpu_hash;
    }
    bool is_array() const { return kind == Kind::array || kind == Kind::percpu_array; }
};

enum class ProgramKind { xdp, tc };

std::string_view to_text(ProgramKind kind); // "XDP", "TC"

// What an object file holds, read without loading it.
struct ObjectLayout {
    std::vector<std::string> programs;    // XDP programs, by function name
    std::vector<std::string> tc_programs; // TC programs (SEC("tc"), "classifier", "tcx/…"), by function name
    std::vector<MapLayout> maps;
    std::vector<TypeLayout> structs; // all named structs of its BTF, for ring-buffer records
    std::vector<EnumLayout> enums;

    bool operator==(const ObjectLayout&) const = default;
    const MapLayout* map(std::string_view name) const;
    // None where the object has no such function of one of these kinds.
    std::optional<ProgramKind> kind_of(std::string_view function) const;
    // What is meant where no function is named: the only XDP program, or the only TC program where the object
    // has no XDP program. None where there are several.
    std::optional<std::string> only_program() const;
    const TypeLayout* record(std::string_view name) const;
    const EnumLayout* enumeration(std::string_view name) const;
    // For a key of plain integers: the one enum that has this word. Fails where there is none, or two.
    Result<const EnumLayout*> enumeration_with(std::string_view word) const;
};

// Numbers are native-endian, as the kernel writes them. `bytes` must hold field.offset + field.size.
std::uint64_t read_unsigned(const FieldLayout& field, std::span<const std::byte> bytes);
std::int64_t read_signed(const FieldLayout& field, std::span<const std::byte> bytes);
double read_number(const FieldLayout& field, std::span<const std::byte> bytes);
// As a label: a number in decimal, an enumerator's word, true or false, an IP address, bytes in hex. An
// address of zeros is none: "".
std::string read_text(const FieldLayout& field, const ObjectLayout& object, std::span<const std::byte> bytes);
// Fails where the value does not fit the field, or the field is no number.
Result<void> write_number(const FieldLayout& field, std::int64_t value, std::span<std::byte> bytes);

// A map's key from text as a person writes it: a number, an enumerator's word, true or false, an IP address.
// Fails where it is none that fits, or where the key is a struct of several fields.
Result<std::vector<std::byte>> encode_key(const TypeLayout& key, const ObjectLayout& object,
                                          const std::string& text);

} // namespace homeostat
