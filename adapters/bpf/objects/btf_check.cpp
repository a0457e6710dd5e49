#include "adapters/bpf/objects/btf_check.hpp"

#include <bpf/btf.h>

#include <cstdint>
#include <span>

namespace homeostat::bpf {

namespace {

constexpr int chain_max = 64; // typedefs and qualifiers before a type; libbpf resolves 32

class TypeChecker {
  public:
    explicit TypeChecker(const btf* types) : types_(types), count_(btf__type_cnt(types)) {}

    std::string mistake() const {
        for (std::uint32_t id = 1; id < count_; ++id)
            if (const char* wrong = mistake_in_type(btf__type_by_id(types_, id)); wrong != nullptr)
                return "type " + std::to_string(id) + " " + wrong;
        return {};
    }

  private:
    static constexpr const char* no_name = "has a name that is not there";
    static constexpr const char* no_type = "is made of a type that is not there";

    bool has_name(std::uint32_t offset) const { return btf__name_by_offset(types_, offset) != nullptr; }
    bool has_type(std::uint32_t id) const { return id < count_; }

    const char* mistake_in_type(const btf_type* type) const {
        if (!has_name(type->name_off)) return no_name;
        switch (btf_kind(type)) {
        case BTF_KIND_STRUCT:
        case BTF_KIND_UNION:
            return mistake_in_all(std::span(btf_members(type), btf_vlen(type)));
        case BTF_KIND_FUNC_PROTO:
            if (!has_type(type->type)) return no_type;
            return mistake_in_all(std::span(btf_params(type), btf_vlen(type)));
        case BTF_KIND_ENUM:
            return mistake_in_names(std::span(btf_enum(type), btf_vlen(type)));
        case BTF_KIND_ENUM64:
            return mistake_in_names(std::span(btf_enum64(type), btf_vlen(type)));
        case BTF_KIND_ARRAY:
            return has_type(btf_array(type)->type) && has_type(btf_array(type)->index_type) ? nullptr
                                                                                            : no_type;
        case BTF_KIND_DATASEC:
            for (const btf_var_secinfo& variable : std::span(btf_var_secinfos(type), btf_vlen(type)))
                if (!has_type(variable.type) || !btf_is_var_or_function(variable.type)) return no_type;
            return nullptr;
        case BTF_KIND_INT:
        case BTF_KIND_FLOAT:
        case BTF_KIND_FWD:
            return nullptr;
        default: // the others refer to one type
            if (!has_type(type->type)) return no_type;
            return is_endless(type) ? "refers to itself" : nullptr;
        }
    }

    bool btf_is_var_or_function(std::uint32_t id) const {
        const btf_type* type = btf__type_by_id(types_, id);
        return btf_is_var(type) || btf_is_func(type);
    }

    template <class Named> const char* mistake_in_names(std::span<const Named> all) const {
        for (const Named& one : all)
            if (!has_name(one.name_off)) return no_name;
        return nullptr;
    }
    template <class Named> const char* mistake_in_names(std::span<Named> all) const {
        return mistake_in_names(std::span<const Named>(all));
    }

    template <class Member> const char* mistake_in_all(std::span<Member> all) const {
        for (const Member& one : all) {
            if (!has_name(one.name_off)) return no_name;
            if (!has_type(one.type)) return no_type;
        }
        return nullptr;
    }

    bool is_endless(const btf_type* type) const {
        for (int depth = 0; btf_is_mod(type) || btf_is_typedef(type); ++depth) {
            if (depth == chain_max) return true;
            if (!has_type(type->type)) return false; // is told of that one
            type = btf__type_by_id(types_, type->type);
        }
        return false;
    }

    const btf* types_;
    std::uint32_t count_;
};

} // namespace

std::string mistake_in(const btf* types) { return TypeChecker(types).mistake(); }

} // namespace homeostat::bpf
