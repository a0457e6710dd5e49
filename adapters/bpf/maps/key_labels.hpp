// From the bytes of a key or record to labels and numbers, as a sensor's specification says.
#pragma once

#include "engine/config.hpp"
#include "knowledge/error.hpp"
#include "knowledge/labels.hpp"
#include "knowledge/layout.hpp"

#include <cstddef>
#include <span>
#include <vector>

namespace homeostat::bpf {

// The field of each source, with the enum whose words it is shown by. Fails where a field or an enum is not
// there; the error lists what is.
Result<std::vector<FieldLayout>> find_labels(const std::vector<LabelSource>& sources, const TypeLayout& type,
                                             const ObjectLayout& object);

// `fields` are those of the sources, in their order.
std::vector<Label> read_labels(const std::vector<LabelSource>& sources,
                               const std::vector<FieldLayout>& fields, const ObjectLayout& object,
                               std::span<const std::byte> bytes);

// Fails where a field is not there or is no number.
Result<std::vector<FieldLayout>> find_numbers(const std::vector<FieldMetric>& metrics,
                                              const TypeLayout& type);

} // namespace homeostat::bpf
