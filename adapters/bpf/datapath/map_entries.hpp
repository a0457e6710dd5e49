// One entry of a map, between text and field names on one side and the kernel's bytes on the other.
#pragma once

#include "adapters/bpf/datapath/programs.hpp"
#include "adapters/bpf/kernel_port.hpp"
#include "knowledge/datapath.hpp"
#include "knowledge/error.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace homeostat::bpf {

// What the kernel takes and gives as one value: of a per-CPU map, one value for each possible CPU, each
// padded to 8.
class MapEntryPort {
  public:
    // The key is text as encode_key takes it. Fails where it is none, or where the map is of a kind that has
    // no entries to set.
    static Result<MapEntryPort> open(const KernelPort& kernel, const LoadedPrograms::Map& map,
                                     const MapEntry& entry);

    // None where the map has no such entry.
    Result<std::optional<Bytes>> read() const;
    Result<void> write(const Bytes& value) const;
    Result<void> clear() const; // deletes; in an array, writes zeros; no error where there is none

    const Bytes& key() const { return key_; }

    // Fields that are not named are 0; every CPU gets the same.
    Result<Bytes> encode(const MapValue& value) const;
    // The fields that `wanted` names, as they are, without those that there are not; where CPUs differ, a
    // value that is not the wanted one.
    MapValue decode(const Bytes& bytes, const MapValue& wanted) const;

  private:
    MapEntryPort(const KernelPort& kernel, const LoadedPrograms::Map& map, std::string what, Bytes key);

    const KernelPort* kernel_;
    LoadedPrograms::Map map_;
    std::string what_; // "map m, key k"
    Bytes key_;
    std::size_t cpus_;
    std::size_t stride_;
};

} // namespace homeostat::bpf
