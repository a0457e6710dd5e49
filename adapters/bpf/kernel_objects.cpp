#include "adapters/bpf/kernel_objects.hpp"

#include "adapters/bpf/descriptor.hpp"
#include "adapters/bpf/kernel.hpp"

#include <bpf/bpf.h>

namespace homeostat::bpf {

namespace {

// `info` may have room for what the kernel is to fill.
template <class Info> Result<Info> ask(int descriptor, Info info, const char* what) {
    std::uint32_t size = sizeof info;
    if (const int error = bpf_obj_get_info_by_fd(descriptor, &info, &size); error != 0)
        return failure(std::string("ask ") + what + ": " + errno_text(error), -error);
    return info;
}

} // namespace

Result<bpf_prog_info> info_of_program(int program) {
    return ask(program, bpf_prog_info{}, "about a program");
}

Result<bpf_map_info> info_of_map(int map) { return ask(map, bpf_map_info{}, "about a map"); }

std::uint32_t id_of_program(int program) {
    const auto info = info_of_program(program);
    return info ? info->id : 0;
}

std::uint32_t id_of_map(int map) {
    const auto info = info_of_map(map);
    return info ? info->id : 0;
}

Result<std::vector<std::uint32_t>> map_ids_of(int program) {
    const auto info = info_of_program(program);
    if (!info) return std::unexpected(info.error());
    std::vector<std::uint32_t> ids(info->nr_map_ids);
    bpf_prog_info room{};
    room.nr_map_ids = info->nr_map_ids;
    room.map_ids = reinterpret_cast<std::uintptr_t>(ids.data());
    if (auto filled = ask(program, room, "for a program's maps"); !filled)
        return std::unexpected(filled.error());
    return ids;
}

std::string program_name(std::uint32_t program_id) {
    const Descriptor program(bpf_prog_get_fd_by_id(program_id));
    const auto info = program ? info_of_program(program.get()) : failure("no program");
    return info ? info->name : "";
}

} // namespace homeostat::bpf
