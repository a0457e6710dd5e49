#include "adapters/bpf/datapath/tc_link.hpp"

#include "adapters/bpf/datapath/clsact.hpp"
#include "adapters/bpf/datapath/tcx.hpp"
#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/kernel_objects.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

namespace homeostat::bpf {

namespace {

constexpr std::uint32_t preference = 2; // of a clsact filter; the guard has 1

std::string place_text(TcDirection direction, const std::string& interface) {
    return "TC " + std::string(to_text(direction)) + " of " + interface;
}

} // namespace

Hook hook_of(TcDirection direction) {
    return direction == TcDirection::ingress ? Hook::tcx_ingress : Hook::tcx_egress;
}

Filter TcLink::filter() const { return filter_of(pins_, preference); }

std::string TcLink::where() const { return "TC " + std::string(to_text(direction_)); }

Result<TcLink> TcLink::attach(const KernelPort& kernel, const InterfacePins& pins,
                              const PinnedProgram& program, const Place& place) {
    TcLink link(kernel, pins, place.ifindex, place.direction, place.kind.value_or(Kind::tcx));
    if (auto created = link.create(program.descriptor, place); !created)
        return failure("attach to " + place_text(place.direction, place.interface) + ": " +
                           created.error().what,
                       created.error().number);
    auto held = hold(program);
    auto shown = held ? link.verify(held->id) : std::unexpected(held.error());
    if (shown) {
        link.held_ = std::move(*held);
        return link;
    }
    // What is not as it was meant must not stay.
    const auto removed = link.remove();
    return failure(shown.error().what + (removed ? "" : "; and " + removed.error().what),
                   shown.error().number);
}

Result<void> TcLink::create(int program, const Place& place) {
    if (kind_ == Kind::clsact) return create_filter(program);
    const bool has_guard =
        place.direction == TcDirection::ingress && place.guard != nullptr && place.guard->is_live(ifindex_);
    const int behind = has_guard ? place.guard->link() : -1;
    const int created = kernel_->create_link(program, ifindex_, hook_of(direction_), behind);
    if (created == -EINVAL && !place.kind) { // Linux before 6.6 has no TCX
        kind_ = Kind::clsact;
        return create_filter(program);
    }
    if (created < 0) return failure(errno_text(created) + capability_hint(created), -created);
    link_ = Descriptor(created);
    auto pinned =
        pin_anew(*kernel_, created, pins_.tc_link(direction_)); // there may be one of a device that is gone
    if (!pinned) kernel_->detach_link(created);                 // else with its descriptor, only later
    return pinned;
}

Result<void> TcLink::create_filter(int program) {
    if (auto made = ensure_clsact(*kernel_, pins_, ifindex_, program); !made) return made;
    const int error = kernel_->add_filter(ifindex_, hook_of(direction_), filter(), program);
    if (error == 0) return {};
    return failure("add a filter of preference " + std::to_string(preference) + ": " + errno_text(error) +
                       capability_hint(error),
                   -error);
}

Result<std::optional<TcLink>> TcLink::adopt(const KernelPort& kernel, const InterfacePins& pins,
                                            unsigned ifindex, TcDirection direction) {
    if (ifindex == 0) return std::nullopt;
    TcLink link(kernel, pins, ifindex, direction, Kind::tcx);
    link.link_ = Descriptor(kernel.open_pin(pins.tc_link(direction)));
    if (!link.link_) {
        if (link.link_.get() != -ENOENT)
            return failure("open the pin " + pins.tc_link(direction) + ": " + errno_text(link.link_.get()),
                           -link.link_.get());
        link.kind_ = Kind::clsact;
    }
    const auto there = link.is_there();
    if (!there) return std::unexpected(there.error());
    if (!*there) return std::nullopt;
    link.held_ = find_pinned(kernel, pins.programs(), link.shown_id());
    return link;
}

Result<void> TcLink::take_off_elsewhere(const KernelPort& kernel, const InterfacePins& pins, unsigned ifindex,
                                        TcDirection direction) {
    TcLink link(kernel, pins, ifindex, direction, Kind::tcx);
    link.link_ = Descriptor(kernel.open_pin(pins.tc_link(direction)));
    return is_tcx_elsewhere(kernel, link.link_, ifindex, hook_of(direction)) ? link.remove() : Result<void>{};
}

Result<bool> TcLink::is_there() const {
    const Hook hook = hook_of(direction_);
    const auto there = kind_ == Kind::clsact ? has_filter(*kernel_, ifindex_, hook, filter())
                                             : is_tcx_on(*kernel_, link_, ifindex_, hook);
    return there ? there
                 : failure("ask what is at " + where() + ": " + there.error().what, there.error().number);
}

// What cannot be asked at the moment is taken to be as it was.
bool TcLink::is_live(unsigned ifindex) const { return ifindex == ifindex_ && is_there().value_or(true); }

std::uint32_t TcLink::shown_id() const {
    if (kind_ == Kind::clsact) {
        Filter there = filter();
        return kernel_->find_filter(ifindex_, hook_of(direction_), there) == 0 ? there.program_id : 0;
    }
    bpf_link_info info{};
    return kernel_->link_info(link_.get(), info) == 0 ? info.prog_id : 0;
}

Result<void> TcLink::require_ours() const {
    const std::uint32_t id = shown_id();
    if (!held_.version.empty() && id == held_.id) return {};
    const std::string name = program_name(id);
    return failure(where() + " holds program " + std::to_string(id) +
                       (name.empty() ? "" : " (" + name + ")") +
                       " in our place, which we did not put there: detach it, or stop whoever did",
                   EPERM);
}

Result<void> TcLink::put(int program, int old_program) {
    const int error = kind_ == Kind::tcx
                          ? kernel_->update_link(link_.get(), program, old_program)
                          : kernel_->add_filter(ifindex_, hook_of(direction_), filter(), program);
    if (error == 0) return {};
    // The kernel says EPERM not only where privileges are missing, but also where the link's program is
    // another one than expected.
    if (error == -EPERM)
        if (auto ours = require_ours(); !ours) return ours;
    return failure("update " + where() + ": " + errno_text(error) +
                       (error == -ENOLINK ? ": the interface is gone" : capability_hint(error)),
                   -error);
}

Result<void> TcLink::update(const PinnedProgram& program) {
    if (held_.version.empty() || program.version == held_.version || kind_ == Kind::clsact)
        if (auto ours = require_ours(); !ours) return ours;
    if (program.version == held_.version) return {};
    auto before = duplicate(held_.descriptor.get());
    if (!before) return std::unexpected(before.error());
    if (auto done = put(program.descriptor, before->get()); !done) return done;
    const auto shown = verify(id_of_program(program.descriptor));
    const auto back = shown ? Result<void>{} : put(before->get(), program.descriptor);
    if (shown || !back) {
        auto held = hold(program);
        if (!held) return std::unexpected(held.error());
        held_ = std::move(*held);
    }
    if (shown) return {};
    return failure(shown.error().what + (back ? "" : "; and going back failed: " + back.error().what),
                   shown.error().number);
}

Result<void> TcLink::pin_again() const {
    if (!held_.version.empty())
        if (auto pinned = bpf::pin_again(*kernel_, held_.descriptor.get(), pins_.program(held_.version));
            !pinned)
            return pinned;
    if (kind_ == Kind::clsact) return {}; // a filter has none
    return bpf::pin_again(*kernel_, link_.get(), pins_.tc_link(direction_));
}

Result<void> TcLink::remove() {
    if (kind_ == Kind::clsact) {
        const int error = kernel_->remove_filter(ifindex_, hook_of(direction_), filter());
        if (error == 0 || error == -ENOENT) return {};
        return failure("remove the filter at " + where() + ": " + errno_text(error), -error);
    }
    return remove_tcx(*kernel_, link_, pins_.tc_link(direction_), "the link at " + where());
}

Result<void> TcLink::verify(std::uint32_t program_id) const {
    bool is_shown = false;
    if (kind_ == Kind::clsact) {
        Filter there = filter();
        is_shown =
            kernel_->find_filter(ifindex_, hook_of(direction_), there) == 0 && there.program_id == program_id;
    } else {
        std::vector<std::uint32_t> programs;
        if (const int error = kernel_->query_tcx(ifindex_, hook_of(direction_), programs); error != 0)
            return failure("ask for the programs at " + where() + ": " + errno_text(error), -error);
        is_shown = std::ranges::find(programs, program_id) != programs.end();
    }
    if (is_shown) return {};
    return failure("the kernel accepted program " + std::to_string(program_id) + " at " + where() +
                       " but does not show it",
                   EIO);
}

Result<std::map<TcDirection, TcLink>> tc_links(const KernelPort& kernel, const InterfacePins& pins,
                                               unsigned ifindex) {
    std::map<TcDirection, TcLink> links;
    for (const TcDirection direction : tc_directions) {
        auto link = TcLink::adopt(kernel, pins, ifindex, direction);
        if (!link) return std::unexpected(link.error());
        if (*link) links.emplace(direction, std::move(**link));
    }
    return links;
}

} // namespace homeostat::bpf
