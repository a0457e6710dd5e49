#include "adapters/bpf/datapath/recovery.hpp"

#include "adapters/bpf/datapath/clsact.hpp"
#include "adapters/bpf/datapath/datapath.hpp"
#include "adapters/bpf/kernel.hpp"

#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <ranges>

namespace homeostat::bpf {

namespace {

// A packet that came by before the program was there may still be on its way to the guard.
Result<void> disarm(const KernelPort& kernel, Guard& guard) {
    if (const int error = kernel.wait_for_programs(); error != 0)
        return failure("the guard stays armed: wait for running programs: " + errno_text(error), -error);
    auto disarmed = guard.disarm();
    return disarmed ? disarmed
                    : failure("the guard stays armed: " + disarmed.error().what, disarmed.error().number);
}

// A filter of clsact stays with a device that is renamed, and is known by its index alone.
void take_off_guard(const KernelPort& kernel, ManagedInterface& interface, unsigned ifindex) {
    if (interface.guard && interface.guard->kind() == Guard::Kind::clsact &&
        interface.guard->ifindex() != ifindex) {
        (void)interface.guard->remove();
        interface.guard.reset();
    } else if (auto taken_off = Guard::take_off_elsewhere(kernel, interface.pins, ifindex);
               taken_off && *taken_off) {
        interface.guard.reset();
    }
    if (!interface.guard) interface.guard_duty = GuardDuty::none;
}

} // namespace

std::string take_back_all(Instance& instance, const KernelPort& kernel, const std::string& interface,
                          const std::vector<Undo>& undo) {
    const InterfacePins pins = instance.pins(interface);
    std::string failures;
    std::vector<Undo> left;
    for (const Undo& one : std::views::reverse(undo)) {
        const auto undone = take_back(kernel, pins, interface, one);
        if (undone) continue;
        failures += "; undoing failed: " + undone.error().what;
        left.push_back(one);
    }
    std::ranges::reverse(left);
    const auto noted = left.empty() ? instance.abandon() : instance.keep(interface, left);
    return failures + (noted ? "" : "; " + noted.error().what);
}

std::string disarm_guard(const KernelPort& kernel, const InterfacePins& pins, const std::string& interface) {
    auto guard = Guard::adopt(kernel, pins, ::if_nametoindex(interface.c_str()));
    if (!guard) return "; " + guard.error().what;
    if (!*guard) return "";
    const auto disarmed = disarm(kernel, **guard);
    return disarmed ? "" : "; " + disarmed.error().what;
}

Result<void> stand_down(const KernelPort& kernel, ManagedInterface& interface) {
    if (interface.guard_duty != GuardDuty::stand_down || !interface.guard) return {};
    auto disarmed = disarm(kernel, *interface.guard);
    if (disarmed) interface.guard_duty = GuardDuty::none;
    return disarmed;
}

bool is_pinned(const ManagedInterface& interface) {
    const InterfacePins& pins = interface.pins;
    const auto exists = [](const std::string& path) { return ::access(path.c_str(), F_OK) == 0; };
    if (!exists(pins.programs()) || (interface.link && !exists(pins.link()))) return false;
    if (interface.link && !interface.link->version().empty() &&
        !exists(pins.program(interface.link->version())))
        return false;
    if (interface.guard && interface.guard->kind() == Guard::Kind::tcx && !exists(pins.guard())) return false;
    return std::ranges::all_of(interface.tc, [&](const auto& one) {
        return one.second.kind() == TcLink::Kind::clsact || exists(pins.tc_link(one.first));
    });
}

Result<void> pin_again(const Instance& instance, const ManagedInterface& interface) {
    if (auto made = instance.make_folders(interface.name); !made) return made;
    if (auto pinned = interface.programs.pin_again(); !pinned) return pinned;
    if (interface.link)
        if (auto pinned = interface.link->pin_again(); !pinned) return pinned;
    if (interface.guard)
        if (auto pinned = interface.guard->pin_again(); !pinned) return pinned;
    for (const auto& [direction, link] : interface.tc)
        if (auto pinned = link.pin_again(); !pinned) return pinned;
    return {};
}

std::string take_back_unfinished(Instance& instance, const KernelPort& kernel) {
    if (!instance.unfinished()) return "";
    const Journal journal = *instance.unfinished();
    std::string failures = take_back_all(instance, kernel, journal.interface, journal.undo);
    if (failures.empty())
        failures = disarm_guard(kernel, instance.pins(journal.interface), journal.interface);
    std::string lost;
    for (const Undo& undo : journal.undo)
        if (const auto* discarded = std::get_if<DiscardNextMap>(&undo))
            lost += (lost.empty() ? "" : ", ") + discarded->map;
    return journal.interface + ": a change that was cut short was taken back" +
           (lost.empty() ? "" : "; what the new program wrote meanwhile is lost in map " + lost) +
           (failures.empty() ? "" : ", not wholly" + failures);
}

bool is_where_it_was(ManagedInterface& interface) {
    return interface.link && interface.devices != nullptr &&
           interface.devices->generation() == interface.devices_generation;
}

unsigned follow_device(const KernelPort& kernel, ManagedInterface& interface) {
    const std::uint64_t before = interface.devices_generation;
    if (interface.devices != nullptr) interface.devices_generation = interface.devices->generation();
    const unsigned ifindex = ::if_nametoindex(interface.name.c_str());
    if (interface.devices == nullptr || before != interface.devices_generation) {
        take_off_guard(kernel, interface, ifindex);
        adopt_tc(kernel, interface, ifindex);
    }
    if (interface.link && !interface.link->is_live(ifindex)) interface.link.reset();
    if (interface.link) return ifindex;
    if (auto link = XdpLink::adopt(kernel, interface.pins, ifindex)) interface.link = std::move(*link);
    if (!interface.link) (void)XdpLink::take_off_elsewhere(kernel, interface.pins, ifindex);
    return ifindex;
}

void adopt_tc(const KernelPort& kernel, ManagedInterface& interface, unsigned ifindex) {
    for (const TcDirection direction : tc_directions) {
        const auto known = interface.tc.find(direction);
        if (known != interface.tc.end() && known->second.is_live(ifindex)) continue;
        // A filter stays with a device that is renamed, and is known by its index alone.
        if (known != interface.tc.end() && known->second.kind() == TcLink::Kind::clsact &&
            known->second.ifindex() != ifindex) {
            (void)known->second.remove();
            (void)remove_clsact(kernel, interface.pins, known->second.ifindex());
        }
        if (known != interface.tc.end()) interface.tc.erase(known);
        auto link = TcLink::adopt(kernel, interface.pins, ifindex, direction);
        if (link && *link)
            interface.tc.emplace(direction, std::move(**link));
        else if (link)
            (void)TcLink::take_off_elsewhere(kernel, interface.pins, ifindex, direction);
    }
}

std::string follow_with_guard(const KernelPort& kernel, ManagedInterface& interface, unsigned ifindex) {
    if (!interface.programs.has_twins()) return "the program has no TC twin";
    if (interface.guard && interface.guard->is_live(ifindex)) return "";
    interface.guard.reset();
    auto guard = Guard::open(kernel, interface.pins, ifindex, interface.guard_kind);
    if (!guard) return guard.error().what;
    interface.guard = std::move(*guard);
    return "";
}

} // namespace homeostat::bpf
