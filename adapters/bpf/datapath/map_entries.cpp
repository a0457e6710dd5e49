#include "adapters/bpf/datapath/map_entries.hpp"

#include "adapters/bpf/kernel.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <span>

namespace homeostat::bpf {

namespace {

using Kind = FieldLayout::Kind;

std::size_t round_up_8(std::size_t size) { return (size + 7) / 8 * 8; }

} // namespace

MapEntryPort::MapEntryPort(const KernelPort& kernel, const LoadedPrograms::Map& map, std::string what,
                           Bytes key)
    : kernel_(&kernel), map_(map), what_(std::move(what)), key_(std::move(key)),
      cpus_(map.layout->per_cpu() ? static_cast<std::size_t>(libbpf_num_possible_cpus()) : 1),
      stride_(map.layout->per_cpu() ? round_up_8(map.layout->value.size) : map.layout->value.size) {}

Result<MapEntryPort> MapEntryPort::open(const KernelPort& kernel, const LoadedPrograms::Map& map,
                                        const MapEntry& entry) {
    std::string what = "map " + entry.map + ", key " + entry.key;
    if (map.layout->kind == MapLayout::Kind::ringbuf || map.layout->kind == MapLayout::Kind::other)
        return failure(what + ": a map of this kind has no entries that can be set", EINVAL);
    auto key = encode_key(map.layout->key, *map.object, entry.key);
    if (!key) return failure(what + ": " + key.error().what, EINVAL);
    return MapEntryPort(kernel, map, std::move(what), std::move(*key));
}

Result<std::optional<Bytes>> MapEntryPort::read() const {
    Bytes value(cpus_ * stride_);
    const int error = kernel_->read_entry(map_.descriptor, key_.data(), value.data());
    if (error == -ENOENT) return std::nullopt;
    if (error != 0)
        return failure("read " + what_ + ": " + errno_text(error) + capability_hint(error), -error);
    return value;
}

Result<void> MapEntryPort::write(const Bytes& value) const {
    const int error = kernel_->write_entry(map_.descriptor, key_.data(), value.data());
    if (error == 0) return {};
    std::string cause;
    if (error == -E2BIG)
        cause = map_.layout->is_array()
                    ? ": the key is beyond the array's " + std::to_string(map_.layout->max_entries)
                    : ": the map is full with " + std::to_string(map_.layout->max_entries);
    return failure("write " + what_ + ": " + errno_text(error) + cause + capability_hint(error), -error);
}

Result<void> MapEntryPort::clear() const {
    if (map_.layout->is_array()) return write(Bytes(cpus_ * stride_));
    const int error = kernel_->delete_entry(map_.descriptor, key_.data());
    if (error == 0 || error == -ENOENT) return {};
    return failure("clear " + what_ + ": " + errno_text(error) + capability_hint(error), -error);
}

Result<Bytes> MapEntryPort::encode(const MapValue& value) const {
    Bytes bytes(cpus_ * stride_);
    for (const auto& [name, number] : value) {
        const FieldLayout* field = map_.layout->value.field(name);
        if (field == nullptr)
            return failure("write " + what_ + ": the value has no field '" + name + "'", EINVAL);
        for (std::size_t cpu = 0; cpu < cpus_; ++cpu) {
            const auto one = std::span(bytes).subspan(cpu * stride_, map_.layout->value.size);
            if (auto written = write_number(*field, number, one); !written)
                return failure("write " + what_ + ": " + written.error().what, EINVAL);
        }
    }
    return bytes;
}

MapValue MapEntryPort::decode(const Bytes& bytes, const MapValue& wanted) const {
    MapValue value;
    for (const auto& [name, number] : wanted) {
        const FieldLayout* const found = map_.layout->value.field(name);
        if (found == nullptr) continue; // the value was set under another definition
        const FieldLayout& field = *found;
        const bool is_signed = field.kind == Kind::signed_integer || field.kind == Kind::enumeration;
        std::int64_t seen = number;
        for (std::size_t cpu = 0; cpu < cpus_ && seen == number; ++cpu) {
            const auto one = std::span(bytes).subspan(cpu * stride_, map_.layout->value.size);
            seen = is_signed ? read_signed(field, one) : static_cast<std::int64_t>(read_unsigned(field, one));
        }
        value.emplace(name, seen);
    }
    return value;
}

} // namespace homeostat::bpf
