// Programs for the network card itself (mode hw). Such a program is loaded for one device, with maps of its
// own that live on the device: array and hash maps only. It cannot run anywhere else, nor be anchored; it
// counts into its own maps, which begin empty, and gets the map entries that the controller owns.
#pragma once

#include "adapters/bpf/datapath/programs.hpp"
#include "adapters/bpf/datapath/xdp_link.hpp"
#include "adapters/bpf/descriptor.hpp"
#include "knowledge/datapath.hpp"
#include "knowledge/error.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::bpf {

// The name of the pin of a program's form for the network card, and back; "" where it is none.
std::string offload_of(std::string_view version);
std::string host_form_of(std::string_view version);

struct OffloadedProgram {
    Descriptor program;
    std::string version; // offload_of() the host's form
};

// Loads the program for the device of this index and pins it, or takes up the pin of an earlier process. What
// `replaced`, the program on the device (-1: none), has in maps of the same name and definition stays in
// them; a map of another definition is refused, unless the source says that maps are reset. Nothing is
// attached. Fails with the reason in words.
Result<OffloadedProgram> load_offloaded(const KernelPort& kernel, const InterfacePins& pins,
                                        const LoadedPrograms& programs, const std::string& program,
                                        const std::string& interface, unsigned ifindex, int replaced);

// The map of this name that the program on the device works on, as `host`, the map of its host form, is
// defined; `held` owns its descriptor. None where it has no such map.
std::optional<LoadedPrograms::Map> map_on_device(int program, std::string_view name,
                                                 const LoadedPrograms::Map& host, Descriptor& held);

// Brings the entry on the device to what it is in the host's map.
Result<void> copy_to_device(const KernelPort& kernel, int program, const LoadedPrograms& programs,
                            const MapEntry& entry);

// Unpins the programs for the device, but for `attached`.
void forget_offloaded(const KernelPort& kernel, const InterfacePins& pins, std::string_view attached);

} // namespace homeostat::bpf
