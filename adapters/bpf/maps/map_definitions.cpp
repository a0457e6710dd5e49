#include "adapters/bpf/maps/map_definitions.hpp"

#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/objects/object_layout.hpp"
#include "adapters/bpf/read_text.hpp"

#include <boost/json.hpp>

#include <cerrno>
#include <filesystem>

namespace homeostat::bpf {

namespace {

namespace json = boost::json;

constexpr int definitions_version = 1;

json::object to_json(const FieldLayout& field) {
    return {{"name", field.name},
            {"offset", field.offset},
            {"size", field.size},
            {"kind", static_cast<int>(field.kind)},
            {"enum", field.enumeration}};
}

json::object to_json(const TypeLayout& type) {
    json::array fields;
    for (const FieldLayout& field : type.fields) fields.push_back(to_json(field));
    return {{"name", type.name}, {"size", type.size}, {"fields", std::move(fields)}};
}

json::object to_json(const EnumLayout& one) {
    json::array enumerators;
    for (const auto& [name, number] : one.enumerators) enumerators.push_back(json::array{name, number});
    return {{"name", one.name}, {"enumerators", std::move(enumerators)}};
}

json::object to_json(const MapDefinition& definition) {
    json::array enums;
    for (const EnumLayout& one : definition.enums) enums.push_back(to_json(one));
    return {{"name", definition.layout.name},
            {"type", definition.type},
            {"flags", definition.flags},
            {"max_entries", definition.layout.max_entries},
            {"key", to_json(definition.layout.key)},
            {"value", to_json(definition.layout.value)},
            {"enums", std::move(enums)},
            {"unseen", json::value_from(definition.unseen)}};
}

template <class Number> Number number_at(const json::object& object, std::string_view key) {
    return object.at(key).to_number<Number>();
}

std::string text_at(const json::object& object, std::string_view key) {
    return json::value_to<std::string>(object.at(key));
}

// These throw where the text is damaged.
FieldLayout read_field(const json::object& object) {
    const int kind = number_at<int>(object, "kind");
    if (kind < 0 || kind > static_cast<int>(FieldLayout::Kind::bytes))
        throw std::runtime_error("field '" + text_at(object, "name") + "' is of no known kind");
    return {.name = text_at(object, "name"),
            .offset = number_at<std::size_t>(object, "offset"),
            .size = number_at<std::size_t>(object, "size"),
            .kind = static_cast<FieldLayout::Kind>(kind),
            .enumeration = text_at(object, "enum")};
}

TypeLayout read_type(const json::object& object) {
    TypeLayout type{
        .name = text_at(object, "name"), .size = number_at<std::size_t>(object, "size"), .fields = {}};
    for (const json::value& field : object.at("fields").as_array())
        type.fields.push_back(read_field(field.as_object()));
    return type;
}

EnumLayout read_enum(const json::object& object) {
    EnumLayout one{.name = text_at(object, "name"), .enumerators = {}};
    for (const json::value& enumerator : object.at("enumerators").as_array())
        one.enumerators.emplace_back(json::value_to<std::string>(enumerator.as_array().at(0)),
                                     enumerator.as_array().at(1).to_number<std::int64_t>());
    return one;
}

MapDefinition read_definition(const json::object& object) {
    MapDefinition definition;
    definition.type = number_at<std::uint32_t>(object, "type");
    definition.flags = number_at<std::uint32_t>(object, "flags");
    definition.layout = {.name = text_at(object, "name"),
                         .kind = map_kind(definition.type),
                         .key = read_type(object.at("key").as_object()),
                         .value = read_type(object.at("value").as_object()),
                         .max_entries = number_at<std::uint32_t>(object, "max_entries")};
    for (const json::value& one : object.at("enums").as_array())
        definition.enums.push_back(read_enum(one.as_object()));
    definition.unseen = json::value_to<std::vector<std::string>>(object.at("unseen"));
    return definition;
}

} // namespace

std::string to_text(const MapDefinitions& definitions) {
    json::array maps;
    for (const auto& [id, definition] : definitions) {
        json::object one = to_json(definition);
        one["id"] = id;
        maps.push_back(std::move(one));
    }
    return json::serialize(json::object{{"version", definitions_version}, {"maps", std::move(maps)}});
}

Result<MapDefinitions> read_map_definitions(std::string_view text) {
    try {
        const json::object object = json::parse(text).as_object();
        if (const int version = number_at<int>(object, "version"); version != definitions_version)
            return failure("it has version " + std::to_string(version) + ", and this program reads version " +
                           std::to_string(definitions_version));
        MapDefinitions definitions;
        for (const json::value& one : object.at("maps").as_array())
            definitions.emplace(number_at<std::uint32_t>(one.as_object(), "id"),
                                read_definition(one.as_object()));
        return definitions;
    } catch (const std::exception& error) {
        return failure(std::string("it is damaged: ") + error.what());
    }
}

Result<MapDefinitions> load_map_definitions(const std::string& path) {
    std::error_code error;
    if (!std::filesystem::exists(path, error)) return MapDefinitions{};
    const auto text = read_text(path);
    if (!text) return std::unexpected(text.error());
    auto definitions = read_map_definitions(*text);
    if (!definitions)
        return failure(
            "read " + path + ": " + definitions.error().what +
            "; without it, maps go on only where their sizes did not change: remove it to go on so");
    return definitions;
}

Result<void> save_map_definitions(const KernelPort& kernel, const std::string& path,
                                  const MapDefinitions& definitions) {
    const int error = kernel.write_file(path, to_text(definitions));
    if (error != 0) return failure("write " + path + ": " + errno_text(error), -error);
    return {};
}

} // namespace homeostat::bpf
