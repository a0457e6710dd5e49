#include "adapters/bpf/xdp_link.hpp"

#include "adapters/bpf/kernel.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include <cerrno>

namespace homeostat::bpf {

namespace {

std::uint32_t attach_flag(XdpMode mode) {
    switch (mode) {
    case XdpMode::skb:
        return XDP_FLAGS_SKB_MODE;
    case XdpMode::drv:
        return XDP_FLAGS_DRV_MODE;
    case XdpMode::hw:
        return XDP_FLAGS_HW_MODE;
    }
    return 0;
}

// Link creation carries no message of the kernel's, so the known causes are told by number.
std::string known_cause(int number, XdpMode mode, unsigned ifindex) {
    switch (number) {
    case EEXIST:
    case EBUSY:
        if (const auto there = attached_program(ifindex); there && *there)
            return describe(**there) + " is already attached";
        return "another program is already attached";
    case ERANGE:
        return "the MTU is too large for a program without multi-buffer support; lower the MTU, or build the "
               "program as SEC(\"xdp.frags\")";
    case EOPNOTSUPP:
    case EINVAL:
        if (mode == XdpMode::hw)
            return "hw takes a NIC that offloads programs, and a program that was loaded for it";
        if (mode == XdpMode::drv)
            return "the driver has no native XDP, or not with the interface's features (such as LRO, or "
                   "being part of a bond)";
        return "the interface does not take this program";
    case ENODEV:
        return "the interface is gone";
    default:
        return {};
    }
}

std::string reason(int error, const std::string& cause) {
    return errno_text(error) + (cause.empty() ? "" : ": " + cause) + capability_hint(error);
}

} // namespace

Result<std::optional<AttachedProgram>> attached_program(unsigned ifindex) {
    LIBBPF_OPTS(bpf_xdp_query_opts, shown);
    if (const int error = bpf_xdp_query(static_cast<int>(ifindex), 0, &shown); error != 0)
        return failure(
            "ask for the program on interface " + std::to_string(ifindex) + ": " + errno_text(error), -error);
    switch (shown.attach_mode) {
    case XDP_ATTACHED_DRV:
        return AttachedProgram{shown.prog_id, XdpMode::drv};
    case XDP_ATTACHED_SKB:
        return AttachedProgram{shown.prog_id, XdpMode::skb};
    case XDP_ATTACHED_HW:
        return AttachedProgram{shown.prog_id, XdpMode::hw};
    case XDP_ATTACHED_MULTI:
        if (shown.drv_prog_id != 0) return AttachedProgram{shown.drv_prog_id, XdpMode::drv};
        if (shown.skb_prog_id != 0) return AttachedProgram{shown.skb_prog_id, XdpMode::skb};
        return AttachedProgram{shown.hw_prog_id, XdpMode::hw};
    default:
        return std::nullopt;
    }
}

std::string program_name(std::uint32_t program_id) {
    const Descriptor program(bpf_prog_get_fd_by_id(program_id));
    if (!program) return {};
    bpf_prog_info info{};
    std::uint32_t size = sizeof info;
    return bpf_obj_get_info_by_fd(program.get(), &info, &size) == 0 ? info.name : "";
}

std::string describe(const AttachedProgram& program) {
    const std::string name = program_name(program.id);
    return "program " + std::to_string(program.id) + (name.empty() ? "" : " (" + name + ")") + " in mode " +
           std::string(to_text(program.mode));
}

Result<XdpLink> XdpLink::attach(int program, const std::string& interface, unsigned ifindex, XdpMode mode) {
    LIBBPF_OPTS(bpf_link_create_opts, options);
    options.flags = attach_flag(mode);
    const int link = bpf_link_create(program, static_cast<int>(ifindex), BPF_XDP, &options);
    if (link < 0)
        return failure("attach to " + interface + " in mode " + std::string(to_text(mode)) + ": " +
                           reason(link, known_cause(-link, mode, ifindex)),
                       -link);
    return XdpLink(Descriptor(link));
}

Result<void> XdpLink::update(int program, int old_program) {
    LIBBPF_OPTS(bpf_link_update_opts, options);
    options.flags = BPF_F_REPLACE;
    options.old_prog_fd = static_cast<std::uint32_t>(old_program);
    const int error = bpf_link_update(link_.get(), program, &options);
    if (error == 0) return {};
    // The kernel says EPERM also where the link's program is another one than expected.
    std::string cause;
    if (error == -EPERM && missing_capabilities().empty())
        cause = "the link's program is no longer the one that we attached; somebody else changed it";
    if (error == -ENOLINK) cause = "the interface is gone";
    return failure("update link: " + reason(error, cause), -error);
}

Result<void> XdpLink::detach() {
    const int error = bpf_link_detach(link_.get());
    if (error != 0) return failure("detach link: " + errno_text(error) + capability_hint(error), -error);
    link_ = Descriptor();
    return {};
}

Result<XdpLink::Target> XdpLink::target() const {
    bpf_link_info info{};
    std::uint32_t size = sizeof info;
    if (const int error = bpf_obj_get_info_by_fd(link_.get(), &info, &size); error != 0)
        return failure("ask about a link: " + errno_text(error), -error);
    return Target{info.xdp.ifindex, info.prog_id};
}

} // namespace homeostat::bpf
