#include "adapters/bpf/maps/key_labels.hpp"

#include <string>

namespace homeostat::bpf {

namespace {

// A type that is no struct has one field, named ""; "" also means the only field of a struct that has one.
Result<FieldLayout> find_field(const TypeLayout& type, const std::string& name) {
    if (const FieldLayout* field = type.field(name)) return *field;
    if (name.empty() && type.fields.size() == 1) return type.fields.front();
    std::string list;
    for (const FieldLayout& field : type.fields) list += (list.empty() ? "" : ", ") + field.name;
    if (name.empty()) return failure("struct " + type.name + " has several fields; name one of " + list);
    return failure("no field '" + name + "'" + (type.name.empty() ? "" : " in struct " + type.name) +
                   "; there " + (list.empty() ? "is none" : "are " + list));
}

} // namespace

Result<std::vector<FieldLayout>> find_labels(const std::vector<LabelSource>& sources, const TypeLayout& type,
                                             const ObjectLayout& object) {
    std::vector<FieldLayout> fields;
    for (const LabelSource& source : sources) {
        auto field = find_field(type, source.field);
        if (!field) return std::unexpected(field.error());
        if (!source.enumeration.empty()) {
            if (object.enumeration(source.enumeration) == nullptr)
                return failure("no enum '" + source.enumeration + "' in the object");
            field->enumeration = source.enumeration;
        }
        fields.push_back(std::move(*field));
    }
    return fields;
}

std::vector<Label> read_labels(const std::vector<LabelSource>& sources,
                               const std::vector<FieldLayout>& fields, const ObjectLayout& object,
                               std::span<const std::byte> bytes) {
    std::vector<Label> labels;
    for (std::size_t i = 0; i < sources.size(); ++i)
        labels.push_back({sources[i].label, read_text(fields[i], object, bytes)});
    return labels;
}

Result<std::vector<FieldLayout>> find_numbers(const std::vector<FieldMetric>& metrics,
                                              const TypeLayout& type) {
    std::vector<FieldLayout> fields;
    for (const FieldMetric& metric : metrics) {
        auto field = find_field(type, metric.field);
        if (!field) return std::unexpected(field.error());
        if (!field->is_number())
            return failure("field '" + metric.field + "' is an array of bytes, not a number");
        fields.push_back(std::move(*field));
    }
    return fields;
}

} // namespace homeostat::bpf
