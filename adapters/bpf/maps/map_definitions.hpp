// How the pinned maps of an interface were defined, in a file beside the manifest: the kernel tells of a map
// only its sizes to a process without CAP_SYS_ADMIN, and the object that it came from may be gone.
#pragma once

#include "adapters/bpf/kernel_port.hpp"
#include "adapters/bpf/maps/map_comparison.hpp"
#include "knowledge/error.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace homeostat::bpf {

// By the map's id in the kernel, so that renaming and removing pins needs no change of the file.
using MapDefinitions = std::map<std::uint32_t, MapDefinition>;

std::string to_text(const MapDefinitions& definitions);
Result<MapDefinitions> read_map_definitions(std::string_view text);

// None where there is no such file. Fails where it is damaged, and says what to do.
Result<MapDefinitions> load_map_definitions(const std::string& path);
Result<void> save_map_definitions(const KernelPort& kernel, const std::string& path,
                                  const MapDefinitions& definitions);

} // namespace homeostat::bpf
