#include "adapters/bpf/datapath/pinned_program.hpp"

#include "adapters/bpf/datapath/guard.hpp"
#include "adapters/bpf/datapath/instance.hpp"
#include "adapters/bpf/datapath/offload.hpp"
#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/kernel_objects.hpp"

#include <algorithm>
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

Result<void> pin_anew(const KernelPort& kernel, int object, const std::string& path) {
    if (const int error = kernel.unpin(path); error != 0 && error != -ENOENT)
        return failure("unpin what was at " + path + ": " + errno_text(error), -error);
    if (const int error = kernel.pin(object, path); error != 0)
        return failure("pin " + path + ": " + errno_text(error), -error);
    return {};
}

bool is_in_use(std::string_view version, const AttachedVersions& attached) {
    if (std::ranges::find(attached.tc, version) != attached.tc.end()) return true;
    if (attached.xdp.empty()) return false;
    const std::string host_form = host_form_of(attached.xdp);
    const std::string& in_host = host_form.empty() ? attached.xdp : host_form;
    return version == attached.xdp || version == in_host || version == twin_of(in_host);
}

} // namespace homeostat::bpf
