#include "knowledge/layout.hpp"

#include "knowledge/ip_address.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cctype>
#include <charconv>
#include <cstring>
#include <limits>

namespace homeostat {

namespace {

// The length of what all names have in common, up to and with the last underscore.
std::size_t common_prefix(const std::vector<std::pair<std::string, std::int64_t>>& enumerators) {
    if (enumerators.size() < 2) return 0;
    std::string_view prefix = enumerators.front().first;
    for (const auto& [name, value] : enumerators) {
        const auto [in_prefix, in_name] = std::ranges::mismatch(prefix, name);
        prefix = prefix.substr(0, static_cast<std::size_t>(in_prefix - prefix.begin()));
    }
    const std::size_t underscore = prefix.rfind('_');
    return underscore == std::string_view::npos ? 0 : underscore + 1;
}

std::string word_of(const std::string& name, std::size_t prefix) {
    std::string word = name.substr(prefix);
    std::ranges::transform(word, word.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return word;
}

template <class Named> const Named* find_named(const std::vector<Named>& all, std::string_view name) {
    const auto found = std::ranges::find(all, name, &Named::name);
    return found == all.end() ? nullptr : &*found;
}

bool is_signed(const FieldLayout& field) {
    return field.kind == FieldLayout::Kind::signed_integer || field.kind == FieldLayout::Kind::enumeration;
}

template <class Int> Int read_as(std::span<const std::byte> bytes) {
    Int value{};
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

} // namespace

std::string_view to_text(ProgramKind kind) { return kind == ProgramKind::xdp ? "XDP" : "TC"; }

std::optional<ProgramKind> ObjectLayout::kind_of(std::string_view function) const {
    if (std::ranges::find(programs, function) != programs.end()) return ProgramKind::xdp;
    if (std::ranges::find(tc_programs, function) != tc_programs.end()) return ProgramKind::tc;
    return std::nullopt;
}

std::optional<std::string> ObjectLayout::only_program() const {
    const std::vector<std::string>& candidates = programs.empty() ? tc_programs : programs;
    return candidates.size() == 1 ? std::optional(candidates.front()) : std::nullopt;
}

std::optional<std::string> EnumLayout::word(std::int64_t value) const {
    const auto found = std::ranges::find(enumerators, value, &std::pair<std::string, std::int64_t>::second);
    if (found == enumerators.end()) return std::nullopt;
    return word_of(found->first, common_prefix(enumerators));
}

std::optional<std::int64_t> EnumLayout::value(std::string_view wanted) const {
    const std::size_t prefix = common_prefix(enumerators);
    for (const auto& [enumerator, number] : enumerators)
        if (enumerator == wanted || word_of(enumerator, prefix) == wanted) return number;
    return std::nullopt;
}

std::vector<std::string> EnumLayout::words() const {
    const std::size_t prefix = common_prefix(enumerators);
    std::vector<std::string> words;
    for (const auto& [enumerator, value] : enumerators) words.push_back(word_of(enumerator, prefix));
    return words;
}

const FieldLayout* TypeLayout::field(std::string_view wanted) const { return find_named(fields, wanted); }
const MapLayout* ObjectLayout::map(std::string_view name) const { return find_named(maps, name); }
const TypeLayout* ObjectLayout::record(std::string_view name) const { return find_named(structs, name); }
const EnumLayout* ObjectLayout::enumeration(std::string_view name) const { return find_named(enums, name); }

Result<const EnumLayout*> ObjectLayout::enumeration_with(std::string_view word) const {
    const EnumLayout* only = nullptr;
    for (const EnumLayout& candidate : enums) {
        if (!candidate.value(word)) continue;
        if (only != nullptr)
            return failure("'" + std::string(word) + "' is in two enums, " + only->name + " and " +
                           candidate.name + "; write the full name or the number");
        only = &candidate;
    }
    if (only == nullptr)
        return failure("'" + std::string(word) + "' is no number and in no enum of the object");
    return only;
}

std::uint64_t read_unsigned(const FieldLayout& field, std::span<const std::byte> bytes) {
    assert(field.offset + field.size <= bytes.size());
    const auto at = bytes.subspan(field.offset, field.size);
    switch (field.size) {
    case 1:
        return read_as<std::uint8_t>(at);
    case 2:
        return read_as<std::uint16_t>(at);
    case 4:
        return read_as<std::uint32_t>(at);
    case 8:
        return read_as<std::uint64_t>(at);
    default:
        return 0;
    }
}

std::int64_t read_signed(const FieldLayout& field, std::span<const std::byte> bytes) {
    assert(field.offset + field.size <= bytes.size());
    const auto at = bytes.subspan(field.offset, field.size);
    switch (field.size) {
    case 1:
        return read_as<std::int8_t>(at);
    case 2:
        return read_as<std::int16_t>(at);
    case 4:
        return read_as<std::int32_t>(at);
    case 8:
        return read_as<std::int64_t>(at);
    default:
        return 0;
    }
}

double read_number(const FieldLayout& field, std::span<const std::byte> bytes) {
    return is_signed(field) ? static_cast<double>(read_signed(field, bytes))
                            : static_cast<double>(read_unsigned(field, bytes));
}

namespace {

std::string hex(std::span<const std::byte> bytes) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const std::byte b : bytes) {
        text += digits[std::to_integer<std::size_t>(b) >> 4U];
        text += digits[std::to_integer<std::size_t>(b) & 0xfU];
    }
    return text;
}

} // namespace

std::string read_text(const FieldLayout& field, const ObjectLayout& object,
                      std::span<const std::byte> bytes) {
    using Kind = FieldLayout::Kind;
    switch (field.kind) {
    case Kind::bytes:
        return hex(bytes.subspan(field.offset, field.size));
    case Kind::ip_address: {
        const auto address = bytes.subspan(field.offset).first<16>();
        const bool is_none = std::ranges::all_of(address, [](std::byte b) { return b == std::byte{0}; });
        return is_none ? "" : ip_address_text(address);
    }
    case Kind::boolean:
        return read_unsigned(field, bytes) != 0 ? "true" : "false";
    case Kind::signed_integer:
        return std::to_string(read_signed(field, bytes));
    case Kind::unsigned_integer:
        // A plain integer may be declared to be shown by an enum's words.
        if (field.enumeration.empty()) return std::to_string(read_unsigned(field, bytes));
        [[fallthrough]];
    case Kind::enumeration: {
        const auto value = is_signed(field) ? read_signed(field, bytes)
                                            : static_cast<std::int64_t>(read_unsigned(field, bytes));
        const EnumLayout* enumeration = object.enumeration(field.enumeration);
        const auto word = enumeration != nullptr ? enumeration->word(value) : std::nullopt;
        return word ? *word : std::to_string(value);
    }
    }
    return {};
}

Result<void> write_number(const FieldLayout& field, std::int64_t value, std::span<std::byte> bytes) {
    const auto refuse = [&](const std::string& why) {
        return failure("field '" + field.name + "': " + std::to_string(value) + " " + why);
    };
    if (!field.is_number()) return refuse("cannot be written to an array of bytes");
    if (field.size > 8 || bytes.size() < field.offset + field.size) return refuse("is outside of the type");
    if (value < 0 && !is_signed(field)) return refuse("is negative, and the field is unsigned");
    if (field.size < 8) {
        // An enumeration may be of either sign.
        const std::int64_t range = std::int64_t{1} << (8 * field.size);
        const std::int64_t end = field.kind == FieldLayout::Kind::signed_integer ? range / 2 : range;
        const bool fits = value < end && value >= (is_signed(field) ? -range / 2 : 0);
        if (!fits) return refuse("does not fit " + std::to_string(field.size) + " bytes");
    }
    if (field.kind == FieldLayout::Kind::boolean && value > 1)
        return refuse("is no truth value; expected 0 or 1");
    // Little- and big-endian alike: shift into an integer of the field's own size.
    const auto put = [&](auto typed) { std::memcpy(bytes.data() + field.offset, &typed, sizeof typed); };
    switch (field.size) {
    case 1:
        put(static_cast<std::uint8_t>(value));
        break;
    case 2:
        put(static_cast<std::uint16_t>(value));
        break;
    case 4:
        put(static_cast<std::uint32_t>(value));
        break;
    case 8:
        put(value);
        break;
    default:
        return refuse("cannot be written to " + std::to_string(field.size) + " bytes");
    }
    return {};
}

namespace {

std::optional<std::int64_t> parse_number(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

Result<std::int64_t> number_of_key(const FieldLayout& field, const ObjectLayout& object,
                                   const std::string& text) {
    if (const auto number = parse_number(text)) return *number;
    if (field.kind == FieldLayout::Kind::boolean && (text == "true" || text == "false"))
        return text == "true" ? 1 : 0;
    if (field.kind != FieldLayout::Kind::enumeration) {
        const auto enumeration = object.enumeration_with(text);
        if (!enumeration) return std::unexpected(enumeration.error());
        return *(*enumeration)->value(text);
    }
    const EnumLayout* enumeration = object.enumeration(field.enumeration);
    if (enumeration == nullptr) return failure("'" + text + "' is no number, and the key's enum has no name");
    if (const auto value = enumeration->value(text)) return *value;
    const std::string near = nearest(text, enumeration->words());
    return failure("'" + text + "' is no number and not in enum " + enumeration->name +
                   (near.empty() ? "" : "; did you mean '" + near + "'?"));
}

} // namespace

Result<std::vector<std::byte>> encode_key(const TypeLayout& key, const ObjectLayout& object,
                                          const std::string& text) {
    if (key.fields.size() != 1)
        return failure("its key is a struct of several fields, and only a key of one can be written");
    const FieldLayout& field = key.fields.front();
    std::vector<std::byte> bytes(key.size);
    if (field.kind == FieldLayout::Kind::ip_address) {
        const auto address = parse_ip_address(text);
        if (!address) return failure("'" + text + "' is no IP address");
        std::ranges::copy(*address, bytes.begin() + static_cast<std::ptrdiff_t>(field.offset));
        return bytes;
    }
    const auto number = number_of_key(field, object, text);
    if (!number) return std::unexpected(number.error());
    if (auto written = write_number(field, *number, bytes); !written) return std::unexpected(written.error());
    return bytes;
}

} // namespace homeostat
