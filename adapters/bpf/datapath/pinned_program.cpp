#include "adapters/bpf/datapath/pinned_program.hpp"

#include "adapters/bpf/datapath/instance.hpp"
#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/kernel_objects.hpp"

#include <cerrno>

namespace homeostat::bpf {

Result<void> pin_again(const KernelPort& kernel, int descriptor, const std::string& path) {
    const int error = kernel.pin(descriptor, path);
    if (error == 0 || error == -EEXIST) return {};
    return failure("pin again " + path + ": " + errno_text(error), -error);
}

Result<HeldProgram> hold(const PinnedProgram& program) {
    auto held = duplicate(program.descriptor);
    if (!held) return std::unexpected(held.error());
    return HeldProgram{std::move(*held), id_of_program(program.descriptor), program.version};
}

HeldProgram find_pinned(const KernelPort& kernel, const std::string& folder, std::uint32_t id) {
    for (const std::string& path : files_in(folder)) {
        Descriptor program(kernel.open_pin(path));
        if (program && id_of_program(program.get()) == id)
            return {std::move(program), id, version_of_pin(path)};
    }
    return {.descriptor = {}, .id = id, .version = {}};
}

} // namespace homeostat::bpf
