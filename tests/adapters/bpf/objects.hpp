// The objects that the tests of this folder are built with.
#pragma once

#include "adapters/bpf/datapath/programs.hpp"
#include "adapters/bpf/objects/object_layout.hpp"

#include <bpf/bpf.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace homeostat::bpf {

inline std::string object_path(const std::string& name) {
    return std::string(HOMEOSTAT_BINARY_DIR) + "/tests/bpf/" + name + ".bpf.o";
}

inline ProgramSource source(const std::string& name, const std::string& object,
                            const std::string& function = "") {
    auto layout = read_layout(object_path(object));
    if (!layout) throw std::runtime_error(layout.error().what);
    return {name, object_path(object), function, "",
            std::make_shared<const ObjectLayout>(std::move(*layout))};
}

// Runs a program in the kernel, so many times, without any interface. Returns its verdict.
inline std::uint32_t run_program(int program, std::span<const std::byte> packet, int times = 1) {
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = packet.data();
    options.data_size_in = static_cast<std::uint32_t>(packet.size());
    options.repeat = times;
    if (const int error = bpf_prog_test_run_opts(program, &options); error != 0)
        throw std::runtime_error("test run: error " + std::to_string(error));
    return options.retval;
}

} // namespace homeostat::bpf
