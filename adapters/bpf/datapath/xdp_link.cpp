#include "adapters/bpf/datapath/xdp_link.hpp"

#include "adapters/bpf/datapath/outlook.hpp"
#include "adapters/bpf/kernel.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include <algorithm>
#include <cerrno>

namespace homeostat::bpf {

namespace {

// Link creation carries no message of the kernel's.
std::string known_cause(int number, XdpMode mode, unsigned ifindex) {
    if (number == EEXIST || number == EBUSY)
        if (const auto there = attached_program(ifindex); there && *there)
            return describe(**there) + " is already attached";
    return cause_of_refusal(number, link_facts(ifindex).value_or(LinkFacts{}), mode);
}

std::string reason(int error, const std::string& cause) {
    return errno_text(error) + (cause.empty() ? "" : ": " + cause) + capability_hint(error);
}

} // namespace

Hook hook_of(XdpMode mode) {
    switch (mode) {
    case XdpMode::skb:
        return Hook::xdp_skb;
    case XdpMode::drv:
        return Hook::xdp_drv;
    case XdpMode::hw:
        return Hook::xdp_hw;
    }
    return Hook::xdp_skb;
}

bool coexist(XdpMode a, XdpMode b) { return (a == XdpMode::hw) != (b == XdpMode::hw); }

std::vector<AttachedProgram> attached_programs(const bpf_xdp_query_opts& shown) {
    std::vector<AttachedProgram> programs;
    const auto add = [&](std::uint32_t id, XdpMode mode, std::uint8_t alone) {
        // Alone, a program may be told of by its mode only.
        const std::uint32_t known = id == 0 && shown.attach_mode == alone ? shown.prog_id : id;
        if (known != 0) programs.push_back({known, mode});
    };
    add(shown.drv_prog_id, XdpMode::drv, XDP_ATTACHED_DRV);
    add(shown.skb_prog_id, XdpMode::skb, XDP_ATTACHED_SKB);
    add(shown.hw_prog_id, XdpMode::hw, XDP_ATTACHED_HW);
    return programs;
}

Result<std::vector<AttachedProgram>> attached_programs(unsigned ifindex, const KernelPort& kernel) {
    LIBBPF_OPTS(bpf_xdp_query_opts, shown);
    if (const int error = kernel.query_xdp(ifindex, shown); error != 0)
        return failure(
            "ask for the program on interface " + std::to_string(ifindex) + ": " + errno_text(error), -error);
    return attached_programs(shown);
}

Result<std::optional<AttachedProgram>> attached_program(unsigned ifindex, const KernelPort& kernel) {
    const auto all = attached_programs(ifindex, kernel);
    if (!all) return std::unexpected(all.error());
    return all->empty() ? std::nullopt : std::optional(all->front());
}

std::string describe(const AttachedProgram& program) {
    const std::string name = program_name(program.id);
    const std::string_view known = name == "xdp_dispatcher" ? ", the dispatcher of libxdp" : "";
    return "program " + std::to_string(program.id) +
           (name.empty() ? "" : " (" + name + std::string(known) + ")") + " in mode " +
           std::string(to_text(program.mode));
}

Result<XdpLink> XdpLink::create(const KernelPort& kernel, const InterfacePins& pins,
                                const PinnedProgram& program, const std::string& interface, unsigned ifindex,
                                XdpMode mode, AttachMessages* messages) {
    if (messages != nullptr) messages->forget();
    Descriptor created(kernel.create_link(program.descriptor, ifindex, hook_of(mode)));
    if (!created) {
        const int error = -created.get();
        const std::string said = messages != nullptr ? messages->newest() : "";
        const std::string known = known_cause(error, mode, ifindex);
        const std::string cause =
            said.empty() ? known : "the kernel says '" + said + "'" + (known.empty() ? "" : "; " + known);
        return failure("attach to " + interface + " in mode " + std::string(to_text(mode)) + ": " +
                           reason(error, cause),
                       error);
    }
    XdpLink link(kernel, pins, std::move(created), ifindex, mode);
    auto held = hold(program);
    if (!held) return std::unexpected(held.error());
    link.held_ = std::move(*held);
    return link;
}

Result<XdpLink> XdpLink::attach(const KernelPort& kernel, const InterfacePins& pins,
                                const PinnedProgram& program, const std::string& interface, unsigned ifindex,
                                XdpMode mode, std::int64_t* accepted_ns, AttachMessages* messages) {
    auto link = create(kernel, pins, program, interface, ifindex, mode, messages);
    const std::int64_t accepted = monotonic_ns();
    if (!link) return link;
    if (const int error = kernel.unpin(pins.link()); error != 0 && error != -ENOENT)
        return failure("remove the pin of the link before: " + errno_text(error), -error);
    if (const int error = kernel.pin(link->link_.get(), pins.link()); error != 0)
        return failure("pin the link at " + pins.link() + ": " + errno_text(error), -error);
    if (auto shown = link->verify(program.descriptor); !shown) {
        // What is not as it was meant must not stay.
        const auto removed = link->remove();
        return failure(shown.error().what + (removed ? "" : "; and " + removed.error().what),
                       shown.error().number);
    }
    if (accepted_ns != nullptr) *accepted_ns = accepted;
    return link;
}

// Until it is pinned, the new link goes with its process; then discard_next() finds it, until it has the
// place of the old one, which goes with its process from there on.
Result<XdpLink> XdpLink::attach_beside(const KernelPort& kernel, const InterfacePins& pins,
                                       const PinnedProgram& program, const std::string& interface,
                                       unsigned ifindex, XdpMode mode, std::int64_t* accepted_ns,
                                       AttachMessages* messages) {
    auto link = create(kernel, pins, program, interface, ifindex, mode, messages);
    const std::int64_t accepted = monotonic_ns();
    if (!link) return link;
    const auto placed = [&]() -> Result<void> {
        if (auto shown = link->verify(program.descriptor); !shown) return shown;
        if (const int error = kernel.pin(link->link_.get(), pins.next_link()); error != 0)
            return failure("pin the link at " + pins.next_link() + ": " + errno_text(error), -error);
        if (const int error = kernel.rename_pin(pins.next_link(), pins.link()); error != 0)
            return failure("rename " + pins.next_link() + ": " + errno_text(error), -error);
        return {};
    }();
    if (!placed) {
        const auto detached = link->detach();
        kernel.unpin(pins.next_link());
        return failure(placed.error().what + (detached ? "" : "; and " + detached.error().what),
                       placed.error().number);
    }
    if (accepted_ns != nullptr) *accepted_ns = accepted;
    return link;
}

Result<void> XdpLink::discard_next(const KernelPort& kernel, const InterfacePins& pins) {
    const Descriptor next(kernel.open_pin(pins.next_link()));
    if (next.get() == -ENOENT) return {};
    int error = next ? kernel.detach_link(next.get()) : next.get();
    if (error == 0 || error == -ENOLINK) error = kernel.unpin(pins.next_link());
    if (error == 0) return {};
    return failure("detach the link of " + pins.next_link() + ": " + errno_text(error), -error);
}

Result<std::optional<XdpLink>> XdpLink::adopt(const KernelPort& kernel, const InterfacePins& pins,
                                              unsigned ifindex) {
    Descriptor pinned(kernel.open_pin(pins.link()));
    if (!pinned && pinned.get() != -ENOENT)
        return failure("open the pin " + pins.link() + ": " + errno_text(pinned.get()), -pinned.get());
    if (!pinned || ifindex == 0) return std::nullopt;
    XdpLink link(kernel, pins, std::move(pinned), ifindex, XdpMode::skb);
    bpf_link_info info{};
    if (const int error = kernel.link_info(link.link_.get(), info); error != 0)
        return failure("ask about a link: " + errno_text(error), -error);
    if (info.xdp.ifindex != ifindex) return std::nullopt;
    const auto shown = attached_programs(ifindex, kernel);
    if (!shown) return std::unexpected(shown.error());
    const auto there = std::ranges::find(*shown, info.prog_id, &AttachedProgram::id);
    if (there == shown->end()) return std::nullopt;
    link.mode_ = there->mode;
    link.held_ = find_pinned(kernel, pins.programs(), info.prog_id);
    return link;
}

Result<bool> XdpLink::take_off_elsewhere(const KernelPort& kernel, const InterfacePins& pins,
                                         unsigned ifindex) {
    const Descriptor link(kernel.open_pin(pins.link()));
    bpf_link_info info{};
    if (!link || kernel.link_info(link.get(), info) != 0 || info.xdp.ifindex == 0) return false;
    LIBBPF_OPTS(bpf_xdp_query_opts, shown);
    if (info.xdp.ifindex == ifindex) {
        if (kernel.query_xdp(ifindex, shown) != 0) return false;
        for (const std::uint32_t id : {shown.prog_id, shown.drv_prog_id, shown.skb_prog_id, shown.hw_prog_id})
            if (id == info.prog_id) return false;
    }
    if (find_pinned(kernel, pins.programs(), info.prog_id).descriptor)
        if (const int error = kernel.detach_link(link.get()); error != 0 && error != -ENOLINK)
            return failure("detach a link from a device that is no longer managed: " + errno_text(error),
                           -error);
    if (const int error = kernel.unpin(pins.link()); error != 0 && error != -ENOENT)
        return failure("unpin " + pins.link() + ": " + errno_text(error), -error);
    return true;
}

bool XdpLink::is_live(unsigned ifindex) const {
    if (ifindex != ifindex_) return false;
    bpf_link_info info{};
    const auto shown = attached_programs(ifindex, *kernel_);
    // What cannot be asked at the moment is taken to be as it was.
    if (!shown || kernel_->link_info(link_.get(), info) != 0) return true;
    return info.xdp.ifindex == ifindex &&
           std::ranges::find(*shown, info.prog_id, &AttachedProgram::id) != shown->end();
}

std::string XdpLink::other_program(std::uint32_t id) const {
    const std::string name = program_name(id);
    return "the link holds program " + std::to_string(id) + (name.empty() ? "" : " (" + name + ")") +
           ", no longer " + std::to_string(held_.id) +
           " that we attached: somebody else changed it; detach it, or stop whoever did";
}

Result<void> XdpLink::require_ours() const {
    bpf_link_info info{};
    if (const int error = kernel_->link_info(link_.get(), info); error != 0)
        return failure("ask about a link: " + errno_text(error), -error);
    if (!held_.version.empty() && info.prog_id == held_.id) return {};
    return failure(other_program(info.prog_id), EPERM);
}

Result<void> XdpLink::update(const PinnedProgram& program, std::int64_t* accepted_ns) {
    if (held_.version.empty() || program.version == held_.version) return require_ours();
    auto held = duplicate(program.descriptor); // before anything is changed
    if (!held) return std::unexpected(held.error());
    const int error = kernel_->update_link(link_.get(), program.descriptor, held_.descriptor.get());
    const std::int64_t accepted = monotonic_ns();
    if (error != 0) {
        // The kernel says EPERM not only where privileges are missing, but also where the link's program is
        // another one than expected.
        if (error == -EPERM)
            if (auto ours = require_ours(); !ours) return ours;
        return failure("update link: " + reason(error, error == -ENOLINK ? "the interface is gone" : ""),
                       -error);
    }
    const auto shown = verify(program.descriptor);
    const int back =
        shown ? 0 : kernel_->update_link(link_.get(), held_.descriptor.get(), program.descriptor);
    if (shown || back != 0) {
        held_ = {std::move(*held), id_of_program(program.descriptor), program.version};
    }
    if (!shown)
        return failure(shown.error().what + (back == 0 ? "" : "; and going back failed: " + errno_text(back)),
                       shown.error().number);
    if (accepted_ns != nullptr) *accepted_ns = accepted;
    return {};
}

Result<void> XdpLink::detach() {
    const int detached = kernel_->detach_link(link_.get());
    return detached == 0 ? Result<void>{} : failure("detach link: " + reason(detached, {}), -detached);
}

Result<void> XdpLink::pin_again() const {
    if (!held_.version.empty())
        if (auto pinned = bpf::pin_again(*kernel_, held_.descriptor.get(), pins_.program(held_.version));
            !pinned)
            return pinned;
    return bpf::pin_again(*kernel_, link_.get(), pins_.link());
}

Result<void> XdpLink::remove() {
    if (auto detached = detach(); !detached) return detached;
    if (const int error = kernel_->unpin(pins_.link()); error != 0 && error != -ENOENT)
        return failure("unpin the link: " + errno_text(error), -error);
    link_ = Descriptor();
    return {};
}

Result<void> XdpLink::verify(int program) const {
    const std::uint32_t id = id_of_program(program);
    const auto shown = attached_programs(ifindex_, *kernel_);
    if (!shown) return std::unexpected(shown.error());
    bpf_link_info info{};
    if (const int error = kernel_->link_info(link_.get(), info); error != 0)
        return failure("ask about a link: " + errno_text(error), -error);
    const bool is_shown = std::ranges::any_of(
        *shown, [&](const AttachedProgram& one) { return one.id == id && one.mode == mode_; });
    if (is_shown && info.prog_id == id && info.xdp.ifindex == ifindex_) return {};
    if (is_shown)
        return failure("the kernel shows program " + std::to_string(id) + " but its link holds program " +
                           std::to_string(info.prog_id) + " on the interface with index " +
                           std::to_string(info.xdp.ifindex),
                       EIO);
    return failure("the kernel accepted program " + std::to_string(id) + " in mode " +
                       std::string(to_text(mode_)) + " but shows " +
                       (shown->empty() ? "none" : describe(shown->front())),
                   EIO);
}

} // namespace homeostat::bpf
