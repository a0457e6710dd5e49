#include "adapters/bpf/datapath/foreign.hpp"

#include "adapters/bpf/kernel.hpp"

#include <cerrno>

namespace homeostat::bpf {

namespace {

Error by_id(const std::string& what, int error) {
    return {what + ": " + errno_text(error) + (error == -EPERM ? "; it takes CAP_SYS_ADMIN" : ""), -error};
}

// Links do not tell their network namespace, so two of them may look as if they were on this interface.
Result<void> find_link(const KernelPort& kernel, unsigned ifindex, ForeignProgram& foreign) {
    std::uint32_t id = 0;
    int error = 0;
    while ((error = kernel.next_link(id)) == 0) {
        Descriptor link(kernel.open_link(id));
        if (!link && link.get() == -ENOENT) continue; // it has just gone
        if (!link) return std::unexpected(by_id("open link " + std::to_string(id), link.get()));
        bpf_link_info info{};
        if (kernel.link_info(link.get(), info) != 0 || info.type != BPF_LINK_TYPE_XDP ||
            info.xdp.ifindex != ifindex || info.prog_id != foreign.shown.id)
            continue;
        if (foreign.link)
            return failure(
                "links " + std::to_string(foreign.link_id) + " and " + std::to_string(id) + " hold foreign " +
                    describe(foreign.shown) +
                    " on interfaces of this number; detach the right one with 'bpftool link detach'",
                EBUSY);
        foreign.link = std::move(link);
        foreign.link_id = id;
    }
    if (error != -ENOENT) return std::unexpected(by_id("look for the link of a foreign program", error));
    if (foreign.link) return {};
    return failure("no link holds foreign " + describe(foreign.shown) + ", and netlink must not touch it",
                   EBUSY);
}

} // namespace

std::string foreign_version(std::uint32_t program_id) { return "foreign@" + std::to_string(program_id); }

Result<ForeignProgram> find_foreign(const KernelPort& kernel, unsigned ifindex,
                                    const AttachedProgram& shown) {
    ForeignProgram foreign{
        .shown = shown, .program = Descriptor(kernel.open_program(shown.id)), .link = {}, .link_id = 0};
    if (!foreign.program)
        return std::unexpected(by_id("open foreign " + describe(shown), foreign.program.get()));
    // To put a program in its own place changes nothing, and netlink may not do even that to a link's.
    const int error =
        kernel.replace_xdp(ifindex, hook_of(shown.mode), foreign.program.get(), foreign.program.get());
    if (error == 0) return foreign;
    if (error != -EBUSY)
        return failure("ask who holds foreign " + describe(shown) + ": " + errno_text(error) +
                           capability_hint(error),
                       -error);
    if (auto found = find_link(kernel, ifindex, foreign); !found) return std::unexpected(found.error());
    return foreign;
}

Result<void> detach_foreign(const KernelPort& kernel, unsigned ifindex, const ForeignProgram& foreign) {
    const int error = foreign.link
                          ? kernel.detach_link(foreign.link.get())
                          : kernel.detach_xdp(ifindex, hook_of(foreign.shown.mode), foreign.program.get());
    if (error != 0)
        return failure("detach foreign " + describe(foreign.shown) + ": " + errno_text(error) +
                           capability_hint(error),
                       -error);
    const auto shown = attached_program(ifindex, kernel);
    if (!shown) return std::unexpected(shown.error());
    if (!*shown || (*shown)->id != foreign.shown.id) return {};
    return failure("the kernel detached foreign " + describe(foreign.shown) + " but still shows it", EIO);
}

} // namespace homeostat::bpf
