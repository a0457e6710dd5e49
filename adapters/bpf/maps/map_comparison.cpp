#include "adapters/bpf/maps/map_comparison.hpp"

#include "adapters/bpf/objects/object_layout.hpp"
#include "knowledge/text.hpp"

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace homeostat::bpf {

namespace {

using Kind = FieldLayout::Kind;
using Reasons = std::vector<std::string>;

// ---- what a layout does not show

// The kernel keeps these for itself: no program may read them as numbers.
constexpr std::array kernel_types{"bpf_spin_lock", "bpf_res_spin_lock", "bpf_timer",    "bpf_wq",
                                  "bpf_list_head", "bpf_list_node",     "bpf_rb_root",  "bpf_rb_node",
                                  "bpf_refcount",  "bpf_dynptr",        "bpf_task_work"};

class UnseenReader {
  public:
    UnseenReader(const btf* types, std::vector<std::string>& out) : types_(types), out_(out) {}

    void read(std::uint32_t id, const std::string& path, std::size_t offset, int depth = 0) {
        const btf_type* type = resolve(id);
        if (type == nullptr) return;
        if (depth > nesting_max) return note(path, offset, "is nested too deep");
        if (btf_is_composite(type)) return read_members(type, path, offset, depth);
        if (btf_is_array(type)) return read_array(type, path, offset, depth);
        if (btf_is_ptr(type)) return note(path, offset, "is a pointer");
        const bool whole = btf_is_int(type) && btf_int_bits(type) == type->size * 8;
        if (!btf_is_any_enum(type) && !whole) note(path, offset, "is no integer");
    }

  private:
    const btf_type* resolve(std::uint32_t id) const {
        const btf_type* type = btf__type_by_id(types_, id);
        for (int i = 0; type != nullptr && i < nesting_max && (btf_is_mod(type) || btf_is_typedef(type)); ++i)
            type = btf__type_by_id(types_, type->type);
        return type;
    }

    void note(const std::string& path, std::size_t offset, const std::string& what) {
        out_.push_back("'" + path + "' at offset " + std::to_string(offset) + " " + what);
    }

    void read_members(const btf_type* type, const std::string& path, std::size_t offset, int depth) {
        const char* type_name = btf__name_by_offset(types_, type->name_off);
        const std::string_view name = type_name == nullptr ? "" : type_name;
        if (std::ranges::find(kernel_types, name) != kernel_types.end())
            return note(path, offset, "is a " + std::string(name));
        const btf_member* members = btf_members(type);
        for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
            const std::string own = btf__name_by_offset(types_, members[i].name_off);
            const std::string inner = own.empty() ? path : path.empty() ? own : path + "." + own;
            const std::uint32_t bit = btf_member_bit_offset(type, i);
            if (const auto bits = btf_member_bitfield_size(type, i); bits != 0)
                note(inner, offset + bit / 8,
                     "is a bit-field of " + std::to_string(bits) + " bits from bit " +
                         std::to_string(bit % 8));
            else
                read(members[i].type, inner, offset + bit / 8, depth + 1);
        }
    }

    // The elements are alike: the first stands for all.
    void read_array(const btf_type* type, const std::string& path, std::size_t offset, int depth) {
        const struct btf_array* array = btf_array(type);
        const btf_type* element = resolve(array->type);
        const bool bytes = element != nullptr && btf_is_int(element) && element->size == 1 &&
                           (btf_int_encoding(element) & BTF_INT_BOOL) == 0;
        if (array->nelems > array_elements_max && !bytes)
            note(path, offset, "has " + std::to_string(array->nelems) + " elements");
        read(array->type, path, offset, depth + 1);
    }

    const btf* types_;
    std::vector<std::string>& out_;
};

// ---- words

std::string field_name(const FieldLayout& field, std::string_view of) {
    return field.name.empty() ? "the " + std::string(of) : std::string(of) + " field '" + field.name + "'";
}

std::string bytes_text(std::size_t size) { return std::to_string(size) + (size == 1 ? " byte" : " bytes"); }

std::string kind_text(const FieldLayout& field) {
    switch (field.kind) {
    case Kind::unsigned_integer:
        return "an unsigned integer of " + bytes_text(field.size);
    case Kind::signed_integer:
        return "a signed integer of " + bytes_text(field.size);
    case Kind::boolean:
        return "a boolean";
    case Kind::enumeration:
        return "an enum of " + bytes_text(field.size);
    case Kind::ip_address:
        return "an IP address";
    case Kind::bytes:
        return "a run of " + bytes_text(field.size);
    }
    return {};
}

std::string type_text(std::uint32_t type) {
    const char* text = libbpf_bpf_map_type_str(static_cast<bpf_map_type>(type));
    return text == nullptr ? std::to_string(type) : text;
}

std::string changed(const std::string& what, const std::string& from, const std::string& to) {
    return what + " was " + from + " and is " + to;
}

std::string changed(const std::string& what, std::uint64_t from, std::uint64_t to) {
    return changed(what, std::to_string(from), std::to_string(to));
}

// ---- the same

void compare_fields(const TypeLayout& from, const TypeLayout& to, std::string_view of, Reasons& reasons) {
    for (const FieldLayout& field : from.fields) {
        const std::string name = field_name(field, of);
        const FieldLayout* other = to.field(field.name);
        if (other == nullptr)
            reasons.push_back(name + " is gone");
        else if (other->kind != field.kind || other->size != field.size)
            reasons.push_back(changed(name, kind_text(field), kind_text(*other)));
        else if (other->offset != field.offset)
            reasons.push_back(
                changed(name, "at offset " + std::to_string(field.offset), std::to_string(other->offset)));
    }
    for (const FieldLayout& field : to.fields)
        if (from.field(field.name) == nullptr) reasons.push_back(field_name(field, of) + " is new");
    if (from.size != to.size)
        reasons.push_back(
            changed("the " + std::string(of) + "'s size", bytes_text(from.size), bytes_text(to.size)));
}

const EnumLayout* find_enum(const MapDefinition& in, const std::string& name) {
    const auto found = std::ranges::find(in.enums, name, &EnumLayout::name);
    return found == in.enums.end() ? nullptr : &*found;
}

// New enumerators change nothing for what is there.
void compare_enums(const TypeLayout& from_type, const MapDefinition& from, const TypeLayout& to_type,
                   const MapDefinition& to, Reasons& reasons) {
    Reasons seen;
    for (const FieldLayout& field : from_type.fields) {
        const FieldLayout* other = to_type.field(field.name);
        if (field.kind != Kind::enumeration || other == nullptr || other->kind != Kind::enumeration) continue;
        const EnumLayout* before = find_enum(from, field.enumeration);
        const EnumLayout* after = find_enum(to, other->enumeration);
        if (before == nullptr || after == nullptr || std::ranges::find(seen, before->name) != seen.end())
            continue;
        seen.push_back(before->name);
        for (const auto& [enumerator, number] : before->enumerators) {
            const auto found = std::ranges::find(after->enumerators, enumerator,
                                                 &std::pair<std::string, std::int64_t>::first);
            const std::string what = "enumerator " + enumerator + " of enum " + before->name;
            if (found == after->enumerators.end())
                reasons.push_back(what + " is gone");
            else if (found->second != number)
                reasons.push_back(what + " was " + std::to_string(number) + " and is " +
                                  std::to_string(found->second));
        }
    }
}

Reasons differences(const MapDefinition& from, const MapDefinition& to) {
    Reasons reasons;
    if (from.layout.max_entries != to.layout.max_entries)
        reasons.push_back(changed("max_entries", from.layout.max_entries, to.layout.max_entries));
    if (from.flags != to.flags) reasons.push_back(changed("flags", from.flags, to.flags));
    compare_fields(from.layout.value, to.layout.value, "value", reasons);
    if (from.unseen != to.unseen && reasons.empty())
        reasons.emplace_back("bit-fields, pointers or long arrays of key or value changed");
    return reasons;
}

// ---- migration

bool overlap(const FieldLayout& a, const FieldLayout& b) {
    return a.offset < b.offset + b.size && b.offset < a.offset + a.size;
}

void refuse_unions(const TypeLayout& type, Reasons& reasons) {
    for (std::size_t i = 0; i < type.fields.size(); ++i)
        for (std::size_t j = i + 1; j < type.fields.size(); ++j)
            if (overlap(type.fields[i], type.fields[j])) {
                reasons.push_back("value fields '" + type.fields[i].name + "' and '" + type.fields[j].name +
                                  "' share their bytes");
                return;
            }
}

bool is_integer(const FieldLayout& field) {
    return field.kind == Kind::unsigned_integer || field.kind == Kind::signed_integer;
}

bool may_become(const FieldLayout& from, const FieldLayout& to) {
    if (from.kind != to.kind) return false;
    return from.size == to.size || (is_integer(from) && to.size > from.size);
}

// What the kernel's atomic additions ask for.
void check_sum(const FieldLayout& to, std::size_t value_size, Reasons& reasons) {
    const std::string name = field_name(to, "value");
    if (!is_integer(to))
        reasons.push_back(name + " is " + kind_text(to) + ", which cannot be summed");
    else if (to.offset % to.size != 0)
        reasons.push_back(name + " is not aligned, so it cannot be added to atomically");
    else if (to.size < 4 && to.offset / 4 * 4 + 4 > value_size)
        reasons.push_back(name + " is not within 4 aligned bytes of the value, so it cannot be added to "
                                 "atomically");
}

FieldMove whole_field(const FieldLayout& from, const FieldLayout& to) {
    return {from.offset, to.offset, from.size, to.size, from.kind == Kind::signed_integer};
}

// A long field moves in parts that are aligned on both sides.
void add_moves(const FieldLayout& from, const FieldLayout& to, std::vector<FieldMove>& moves) {
    if (from.is_number()) return moves.push_back(whole_field(from, to));
    for (std::size_t done = 0; done < from.size;) {
        std::size_t part = 8;
        while (part > from.size - done || (from.offset + done) % part != 0 || (to.offset + done) % part != 0)
            part /= 2;
        moves.push_back({from.offset + done, to.offset + done, part, part, false});
        done += part;
    }
}

void take_stamp(const MigrateMap& plan, const std::string& stamp, FieldMove& out, Reasons& reasons) {
    const FieldLayout* from = plan.from.value.field(stamp);
    const FieldLayout* to = plan.to.value.field(stamp);
    if (from == nullptr || to == nullptr) {
        reasons.push_back("the stamp '" + stamp + "' is no field of the " +
                          (from == nullptr ? "old" : "new") + " value");
        return;
    }
    for (const FieldLayout* field : {from, to})
        if (field->kind != Kind::unsigned_integer || field->size < 4 || field->offset % field->size != 0) {
            reasons.push_back("the stamp '" + stamp + "' is " + kind_text(*field) +
                              "; expected an aligned unsigned integer of 4 or 8 bytes");
            return;
        }
    out = whole_field(*from, *to);
}

void take_fields(MigrateMap& plan, Reasons& reasons) {
    const std::size_t reasons_before = reasons.size();
    refuse_unions(plan.from.value, reasons);
    if (reasons.size() == reasons_before) refuse_unions(plan.to.value, reasons);
    for (const FieldLayout& field : plan.from.value.fields) {
        const FieldLayout* to = plan.to.value.field(field.name);
        if (to == nullptr) {
            reasons.push_back(field_name(field, "value") + " is gone");
            continue;
        }
        if (!may_become(field, *to)) {
            reasons.push_back(changed(field_name(field, "value"), kind_text(field), kind_text(*to)));
            continue;
        }
        if (plan.merge == Merge::sum) check_sum(*to, plan.to.value.size, reasons);
        add_moves(field, *to, plan.moves);
    }
    if (plan.moves.size() > field_moves_max)
        reasons.push_back("the value has " + std::to_string(plan.moves.size()) + " parts to move; at most " +
                          std::to_string(field_moves_max));
}

void check_room(const MapLayout& from, const MapLayout& to, Reasons& reasons) {
    if (from.kind == MapLayout::Kind::ringbuf || from.kind == MapLayout::Kind::other)
        reasons.emplace_back("a map of this type has no entries that can be moved");
    if (from.is_array() && to.max_entries < from.max_entries)
        reasons.push_back(changed("max_entries", from.max_entries, to.max_entries) +
                          ", which leaves no place for the keys from " + std::to_string(to.max_entries) +
                          " on");
}

} // namespace

MapDefinition read_definition(const bpf_map* map, const btf* types, const ObjectLayout& object) {
    MapDefinition definition;
    if (const MapLayout* layout = object.map(bpf_map__name(map)); layout != nullptr)
        definition.layout = *layout;
    definition.type = bpf_map__type(map);
    definition.flags = bpf_map__map_flags(map);
    for (const TypeLayout* type : {&definition.layout.key, &definition.layout.value})
        for (const FieldLayout& field : type->fields) {
            const EnumLayout* known = object.enumeration(field.enumeration);
            if (known != nullptr && find_enum(definition, known->name) == nullptr)
                definition.enums.push_back(*known);
        }
    UnseenReader unseen(types, definition.unseen);
    for (const std::uint32_t id : {bpf_map__btf_key_type_id(map), bpf_map__btf_value_type_id(map)})
        if (id != 0) unseen.read(id, "", 0);
    return definition;
}

CarryOver compare_maps(const MapDefinition& from, const MapDefinition& to,
                       const std::optional<MergeRule>& rule) {
    const std::string refused = "map " + from.layout.name + " cannot be carried over: ";
    Reasons reasons;
    if (from.type != to.type) reasons.push_back(changed("type", type_text(from.type), type_text(to.type)));
    compare_fields(from.layout.key, to.layout.key, "key", reasons);
    compare_enums(from.layout.key, from, to.layout.key, to, reasons);
    compare_enums(from.layout.value, from, to.layout.value, to, reasons);
    const Reasons differing = differences(from, to);
    if (reasons.empty() && differing.empty()) return ReuseMap{};
    if (!rule) {
        reasons.insert(reasons.end(), differing.begin(), differing.end());
        return RefuseMap{refused + joined(reasons, "; ") + "; no rule says how to merge old and new entries"};
    }

    MigrateMap plan{from.layout, to.layout, rule->merge, {}, {}};
    check_room(from.layout, to.layout, reasons);
    for (const std::string& what : from.unseen) reasons.push_back(what + ", which cannot be moved");
    take_fields(plan, reasons);
    if (rule->merge == Merge::newest) take_stamp(plan, rule->stamp, plan.stamp, reasons);
    if (!reasons.empty()) return RefuseMap{refused + joined(reasons, "; ")};
    return plan;
}

} // namespace homeostat::bpf
