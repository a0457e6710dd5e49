// Where and how the tests of this folder open a datapath.
#pragma once

#include "adapters/bpf/datapath/datapath.hpp"

#include <optional>
#include <string>

namespace homeostat::bpf {

// `kind`: of the guard and of TC programs; none: what the kernel has.
inline DatapathOptions options_at(const std::string& bpffs, const std::string& state,
                                  std::optional<Guard::Kind> kind = std::nullopt) {
    return {.place = {.name = "test", .bpffs = bpffs + "/homeostat", .state = state},
            .anchored = true,
            .guard_kind = kind,
            .kernel = KernelPort()};
}

} // namespace homeostat::bpf
