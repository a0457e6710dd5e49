#include "adapters/bpf/objects/object_layout.hpp"

#include "adapters/bpf/objects/object_file.hpp"
#include "knowledge/ip_address.hpp"

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>

namespace homeostat::bpf {

namespace {

using Kind = FieldLayout::Kind;

// ---- types

class TypeReader {
  public:
    explicit TypeReader(const btf* types) : types_(types) {}

    TypeLayout read(std::uint32_t id) const {
        const Named type = resolve(id);
        TypeLayout layout{type.name, size_of(id), {}};
        flatten(id, "", 0, 0, layout.fields);
        if (!is_composite(type.type) && !btf_is_any_enum(type.type)) layout.name.clear();
        return layout;
    }

    void read_named(ObjectLayout& object) const {
        const std::uint32_t count = btf__type_cnt(types_);
        for (std::uint32_t id = 1; id < count; ++id) {
            const btf_type* type = btf__type_by_id(types_, id);
            if (btf_is_struct(type) && type->name_off != 0) object.structs.push_back(read(id));
            if (btf_is_any_enum(type) && type->name_off != 0)
                object.enums.push_back(read_enum(type, name(type)));
            if (btf_is_typedef(type)) // typedef enum { … } name;
                if (const Named to = resolve(id); btf_is_any_enum(to.type) && to.type->name_off == 0)
                    object.enums.push_back(read_enum(to.type, to.name));
        }
    }

  private:
    struct Named {
        const btf_type* type;
        std::string name; // its own, else that of the nearest typedef
    };

    std::string name(const btf_type* type) const { return text(type->name_off); }
    std::string text(std::uint32_t offset) const {
        const char* found = btf__name_by_offset(types_, offset);
        return found != nullptr ? found : "";
    }
    static bool is_composite(const btf_type* type) { return btf_is_composite(type); }

    std::size_t size_of(std::uint32_t id) const {
        const auto size = btf__resolve_size(types_, id);
        return size < 0 ? 0 : static_cast<std::size_t>(size);
    }

    Named resolve(std::uint32_t id) const {
        const btf_type* type = btf__type_by_id(types_, id);
        std::string typedef_name;
        for (int depth = 0;
             type != nullptr && depth < nesting_max && (btf_is_mod(type) || btf_is_typedef(type)); ++depth) {
            if (btf_is_typedef(type)) typedef_name = name(type);
            type = btf__type_by_id(types_, type->type);
        }
        static const btf_type none{};
        if (type == nullptr) return {&none, ""};
        return {type, type->name_off != 0 ? name(type) : typedef_name};
    }

    void flatten(std::uint32_t id, const std::string& path, std::size_t offset, int depth,
                 std::vector<FieldLayout>& out) const {
        const auto [type, type_name] = resolve(id);
        const auto leaf = [&](Kind kind, std::size_t size, const std::string& enumeration = "") {
            out.push_back({path, offset, size, kind, enumeration});
        };
        if (depth > nesting_max) return;
        if (is_ip_address(type, type_name)) return leaf(Kind::ip_address, type->size);
        if (btf_is_composite(type)) return flatten_members(type, path, offset, depth, out);
        if (btf_is_array(type)) return flatten_array(type, path, offset, depth, out);
        if (btf_is_any_enum(type)) return leaf(Kind::enumeration, type->size, type_name);
        if (!btf_is_int(type)) return;
        if (btf_int_bits(type) != type->size * 8) return;
        if (type->size > 8) return leaf(Kind::bytes, type->size);
        const auto encoding = btf_int_encoding(type);
        leaf((encoding & BTF_INT_BOOL) != 0     ? Kind::boolean
             : (encoding & BTF_INT_SIGNED) != 0 ? Kind::signed_integer
                                                : Kind::unsigned_integer,
             type->size);
    }

    // The kernel's own type, or one of ours: 16 bytes in network order.
    static bool is_ip_address(const btf_type* type, const std::string& type_name) {
        return btf_is_composite(type) && type->size == sizeof(IpAddress) &&
               (type_name == "in6_addr" || type_name == "ip_address");
    }

    void flatten_members(const btf_type* type, const std::string& path, std::size_t offset, int depth,
                         std::vector<FieldLayout>& out) const {
        const btf_member* members = btf_members(type);
        for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
            if (btf_member_bitfield_size(type, i) != 0) continue;
            const std::string own = text(members[i].name_off);
            const std::string inner = own.empty() ? path : path.empty() ? own : path + "." + own;
            flatten(members[i].type, inner, offset + btf_member_bit_offset(type, i) / 8, depth + 1, out);
        }
    }

    void flatten_array(const btf_type* type, const std::string& path, std::size_t offset, int depth,
                       std::vector<FieldLayout>& out) const {
        const struct btf_array* array = btf_array(type);
        const btf_type* element = resolve(array->type).type;
        const std::size_t element_size = size_of(array->type);
        const bool byte =
            btf_is_int(element) && element->size == 1 && (btf_int_encoding(element) & BTF_INT_BOOL) == 0;
        if (byte) {
            out.push_back({path, offset, array->nelems, Kind::bytes, ""});
            return;
        }
        const std::size_t shown = std::min<std::size_t>(array->nelems, array_elements_max);
        for (std::size_t i = 0; i < shown; ++i)
            flatten(array->type, (path.empty() ? "" : path + ".") + std::to_string(i),
                    offset + i * element_size, depth + 1, out);
    }

    EnumLayout read_enum(const btf_type* type, std::string enum_name) const {
        EnumLayout layout{std::move(enum_name), {}};
        for (std::uint32_t i = 0; i < btf_vlen(type); ++i) {
            if (btf_is_enum64(type)) {
                const struct btf_enum64* one = btf_enum64(type) + i;
                layout.enumerators.emplace_back(text(one->name_off),
                                                static_cast<std::int64_t>(btf_enum64_value(one)));
            } else {
                const struct btf_enum* one = btf_enum(type) + i;
                // Taken as signed, as fields of enums are read and written: not every compiler says which.
                layout.enumerators.emplace_back(text(one->name_off), one->val);
            }
        }
        return layout;
    }

    const btf* types_;
};

// ---- maps

TypeLayout type_of_size(std::size_t size) {
    if (size == 0) return {};
    const bool integer = size == 1 || size == 2 || size == 4 || size == 8;
    return {"", size, {{"", 0, size, integer ? Kind::unsigned_integer : Kind::bytes, ""}}};
}

TypeLayout read_type(const TypeReader& types, std::uint32_t id, std::size_t size) {
    if (id == 0) return type_of_size(size);
    TypeLayout layout = types.read(id);
    layout.size = size;
    return layout;
}

MapLayout read_map(const TypeReader& types, const bpf_map* map) {
    MapLayout layout;
    layout.name = bpf_map__name(map);
    layout.kind = map_kind(bpf_map__type(map));
    layout.max_entries = bpf_map__max_entries(map);
    if (layout.kind == MapLayout::Kind::ringbuf) return layout;
    layout.key = read_type(types, bpf_map__btf_key_type_id(map), bpf_map__key_size(map));
    layout.value = read_type(types, bpf_map__btf_value_type_id(map), bpf_map__value_size(map));
    return layout;
}

std::unexpected<Error> no_packet_program(const std::string& path, const bpf_object* object) {
    std::string others;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object) {
        others += (others.empty() ? "" : ", ") + std::string(bpf_program__name(program)) + " in SEC(\"" +
                  bpf_program__section_name(program) + "\")";
    }
    return failure("object " + path + ": no XDP or TC program" + (others.empty() ? "" : ", but " + others) +
                       "; expected a function in SEC(\"xdp\") or SEC(\"tc\")",
                   ENOENT);
}

} // namespace

Result<ObjectLayout> read_layout(const std::string& path) {
    const auto object = open_object(path);
    if (!object) return std::unexpected(object.error());

    ObjectLayout layout;
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, object->get()) {
        if (bpf_program__type(program) == BPF_PROG_TYPE_XDP)
            layout.programs.emplace_back(bpf_program__name(program));
        if (bpf_program__type(program) == BPF_PROG_TYPE_SCHED_CLS)
            layout.tc_programs.emplace_back(bpf_program__name(program));
    }
    if (layout.programs.empty() && layout.tc_programs.empty()) return no_packet_program(path, object->get());

    const TypeReader types(bpf_object__btf(object->get()));
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object->get()) {
        if (!bpf_map__is_internal(map)) layout.maps.push_back(read_map(types, map));
    }
    types.read_named(layout);
    return layout;
}

MapLayout::Kind map_kind(std::uint32_t type) {
    using enum MapLayout::Kind;
    switch (type) {
    case BPF_MAP_TYPE_ARRAY:
        return array;
    case BPF_MAP_TYPE_HASH:
        return hash;
    case BPF_MAP_TYPE_PERCPU_ARRAY:
        return percpu_array;
    case BPF_MAP_TYPE_PERCPU_HASH:
        return percpu_hash;
    case BPF_MAP_TYPE_LRU_HASH:
        return lru_hash;
    case BPF_MAP_TYPE_LRU_PERCPU_HASH:
        return lru_percpu_hash;
    case BPF_MAP_TYPE_RINGBUF:
        return ringbuf;
    default:
        return other;
    }
}

} // namespace homeostat::bpf
