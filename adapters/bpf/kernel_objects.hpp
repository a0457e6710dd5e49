// What the kernel tells of a program or a map: by a descriptor, or, which takes CAP_SYS_ADMIN, by its id.
#pragma once

#include "knowledge/error.hpp"

#include <linux/bpf.h>

#include <cstdint>
#include <string>
#include <vector>

namespace homeostat::bpf {

Result<bpf_prog_info> info_of_program(int program);
Result<bpf_map_info> info_of_map(int map);

// 0 where the descriptor is none.
std::uint32_t id_of_program(int program);
std::uint32_t id_of_map(int map);

// Of the maps that a program works on.
Result<std::vector<std::uint32_t>> map_ids_of(int program);

// The program's name in the kernel (15 characters at most), or "" where that may not be asked.
std::string program_name(std::uint32_t program_id);

} // namespace homeostat::bpf
