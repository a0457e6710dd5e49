#include "adapters/bpf/datapath/guard.hpp"

#include "adapters/bpf/datapath/clsact.hpp"
#include "adapters/bpf/datapath/pinned_program.hpp"
#include "adapters/bpf/datapath/tcx.hpp"
#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/kernel_objects.hpp"

#include <algorithm>
#include <cerrno>

namespace homeostat::bpf {

namespace {

// return TCX_NEXT (-1, which to clsact is TC_ACT_UNSPEC): on to the next program.
Result<Descriptor> load_pass() {
    const bpf_insn program[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = -1},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
    };
    const int loaded =
        bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "tc_pass", "GPL", program, std::size(program), nullptr);
    if (loaded < 0)
        return failure("load the passing program of a guard: " + errno_text(loaded) + capability_hint(loaded),
                       -loaded);
    return Descriptor(loaded);
}

} // namespace

std::string twin_of(std::string_view version) { return std::string(version) + "+tc"; }
bool is_twin(std::string_view version) { return version.ends_with("+tc"); }

Filter Guard::filter() const { return filter_of(pins_, 1); }

Result<std::optional<Guard>> Guard::adopt(const KernelPort& kernel, const InterfacePins& pins,
                                          unsigned ifindex) {
    if (ifindex == 0) return std::nullopt;
    auto pass = load_pass();
    if (!pass) return std::unexpected(pass.error());
    Guard guard(kernel, pins, ifindex, Kind::tcx);
    guard.pass_ = std::move(*pass);
    guard.link_ = Descriptor(kernel.open_pin(pins.guard()));
    if (!guard.link_) {
        if (guard.link_.get() != -ENOENT)
            return failure("open the pin " + pins.guard() + ": " + errno_text(guard.link_.get()),
                           -guard.link_.get());
        guard.kind_ = Kind::clsact;
    }
    const auto there = guard.is_there();
    if (!there) return std::unexpected(there.error());
    return *there ? std::optional(std::move(guard)) : std::nullopt;
}

Result<bool> Guard::take_off_elsewhere(const KernelPort& kernel, const InterfacePins& pins,
                                       unsigned ifindex) {
    Guard guard(kernel, pins, ifindex, Kind::tcx);
    guard.link_ = Descriptor(kernel.open_pin(pins.guard()));
    if (!is_tcx_elsewhere(kernel, guard.link_, ifindex, Hook::tcx_ingress)) return false;
    if (auto removed = guard.remove(); !removed) return std::unexpected(removed.error());
    return true;
}

Result<bool> Guard::is_there() const {
    const auto there = kind_ == Kind::clsact ? has_filter(*kernel_, ifindex_, Hook::tcx_ingress, filter())
                                             : is_tcx_on(*kernel_, link_, ifindex_, Hook::tcx_ingress);
    return there ? there : failure("ask for the guard: " + there.error().what, there.error().number);
}

// What cannot be asked at the moment is taken to be as it was.
bool Guard::is_live(unsigned ifindex) const { return ifindex == ifindex_ && is_there().value_or(true); }

Result<Guard> Guard::open(const KernelPort& kernel, const InterfacePins& pins, unsigned ifindex,
                          std::optional<Kind> kind) {
    auto there = adopt(kernel, pins, ifindex);
    if (!there) return std::unexpected(there.error());
    if (*there) return std::move(**there);
    auto pass = load_pass();
    if (!pass) return std::unexpected(pass.error());
    Guard guard(kernel, pins, ifindex, Kind::tcx);
    guard.pass_ = std::move(*pass);
    if (kind != Kind::clsact) {
        const int link = kernel.create_link(guard.pass_.get(), ifindex, Hook::tcx_ingress);
        if (link >= 0) {
            guard.link_ = Descriptor(link);
            // There may be one of a device that is gone.
            if (auto pinned = pin_anew(kernel, link, pins.guard()); !pinned) {
                kernel.detach_link(link); // else with its descriptor, only later
                return failure("the guard: " + pinned.error().what, pinned.error().number);
            }
            return guard;
        }
        if (kind || link != -EINVAL)
            return failure("attach the guard to TCX ingress: " + errno_text(link) + capability_hint(link),
                           -link);
    }
    guard.kind_ = Kind::clsact;
    if (auto made = ensure_clsact(kernel, pins, ifindex, guard.pass_.get()); !made)
        return std::unexpected(made.error());
    if (auto held = guard.hold(guard.pass_.get()); !held) return std::unexpected(held.error());
    return guard;
}

Result<void> Guard::hold(int program) {
    const int error = kind_ == Kind::tcx
                          ? kernel_->update_link(link_.get(), program, -1)
                          : kernel_->add_filter(ifindex_, Hook::tcx_ingress, filter(), program);
    if (error == 0) return {};
    const std::string cause = kind_ == Kind::clsact ? obstacle() : "";
    return failure("put a program in the guard: " + errno_text(error) + cause + capability_hint(error),
                   -error);
}

// A classifier of another kind, or for one protocol only, has the preference to itself.
std::string Guard::obstacle() const {
    std::vector<Filter> filters;
    kernel_->query_filters(ifindex_, Hook::tcx_ingress, filters);
    for (const Filter& one : filters)
        if (one.priority == filter().priority && one.handle != filter().handle)
            return ": foreign " + describe(one) + " is in its place";
    return "";
}

Result<void> Guard::require_first_filter() const {
    std::vector<Filter> filters;
    if (const int error = kernel_->query_filters(ifindex_, Hook::tcx_ingress, filters); error != 0)
        return failure("ask for the filters of the clsact qdisc: " + errno_text(error), -error);
    for (const Filter& one : filters) {
        if (one.handle == 0 || one.chain != 0) continue;
        if (one.priority == filter().priority && one.handle == filter().handle) return {};
        return failure("foreign " + describe(one) + " sees packets before the guard", EBUSY);
    }
    return failure("the guard is not there", ENOENT);
}

// Whoever stands before the guard may let packets through that it would drop.
Result<void> Guard::require_first(int program) const {
    std::vector<std::uint32_t> programs;
    const int error = kernel_->query_tcx(ifindex_, Hook::tcx_ingress, programs);
    if (kind_ == Kind::clsact) {
        if (error != 0 || programs.empty()) return require_first_filter();
        return failure(
            "program " + std::to_string(programs.front()) + " at TCX sees packets before the guard", EBUSY);
    }
    if (error != 0) return failure("ask for the programs at TCX ingress: " + errno_text(error), -error);
    const std::uint32_t id = id_of_program(program);
    if (!programs.empty() && programs.front() == id) return {};
    return failure(programs.empty() ? "the guard is not there"
                                    : "foreign program " + std::to_string(programs.front()) +
                                          " at TCX sees packets before the guard",
                   EBUSY);
}

Result<void> Guard::arm(int twin) {
    if (auto held = hold(twin); !held) return held;
    return require_first(twin);
}

void Guard::arm_for(std::string_view version) {
    const Descriptor twin(kernel_->open_pin(pins_.program(twin_of(version))));
    if (twin) (void)arm(twin.get());
}

Result<void> Guard::disarm() { return hold(pass_.get()); }

Result<void> Guard::pin_again() const {
    if (kind_ == Kind::clsact) return {}; // a filter has none
    return bpf::pin_again(*kernel_, link_.get(), pins_.guard());
}

Result<void> Guard::remove() {
    if (kind_ == Kind::clsact) {
        const int error = kernel_->remove_filter(ifindex_, Hook::tcx_ingress, filter());
        if (error == 0 || error == -ENOENT) return remove_clsact(*kernel_, pins_, ifindex_);
        return failure("remove the guard's filter: " + errno_text(error), -error);
    }
    return remove_tcx(*kernel_, link_, pins_.guard(), "the guard");
}

} // namespace homeostat::bpf
