#include "adapters/bpf/datapath/datapath.hpp"

#include "adapters/bpf/datapath/change.hpp"
#include "adapters/bpf/datapath/clsact.hpp"
#include "adapters/bpf/datapath/holdings.hpp"
#include "adapters/bpf/datapath/map_entries.hpp"
#include "adapters/bpf/datapath/map_handover.hpp"
#include "adapters/bpf/datapath/offload.hpp"
#include "adapters/bpf/datapath/recovery.hpp"
#include "adapters/bpf/datapath/undo.hpp"
#include "adapters/bpf/kernel.hpp"

#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>

namespace homeostat::bpf {

namespace {

namespace fs = std::filesystem;

Result<void> clear_device(const KernelPort& kernel, const InterfacePins& pins, DeviceHoldings& device) {
    if (device.link)
        if (auto removed = device.link->remove(); !removed) return removed;
    for (auto& [direction, link] : device.tc)
        if (auto removed = link.remove(); !removed) return removed;
    if (device.guard)
        if (auto removed = device.guard->remove(); !removed) return removed;
    return remove_clsact(kernel, pins, device.ifindex);
}

// Detaches what is attached, to whatever device, and removes all pins of the interface. Links of a device
// that is gone hold nothing.
Result<void> clear_interface(const KernelPort& kernel, const InterfacePins& pins,
                             const std::string& interface) {
    auto held = find_holdings(kernel, pins, interface);
    if (!held) return std::unexpected(held.error());
    for (DeviceHoldings& device : held->devices)
        if (auto cleared = clear_device(kernel, pins, device); !cleared) return cleared;
    const unsigned ifindex = ::if_nametoindex(interface.c_str());
    if (auto removed = remove_clsact(kernel, pins, ifindex); !removed) return removed;
    for (const TcDirection direction : tc_directions)
        if (auto off = TcLink::take_off_elsewhere(kernel, pins, ifindex, direction); !off) return off;
    if (auto off = XdpLink::take_off_elsewhere(kernel, pins, ifindex); !off)
        return std::unexpected(off.error());
    if (auto off = Guard::take_off_elsewhere(kernel, pins, ifindex); !off)
        return std::unexpected(off.error());
    std::vector<std::string> left = files_in(pins.programs());
    std::ranges::move(files_in(pins.maps()), std::back_inserter(left));
    std::ranges::move(pins.clsacts(), std::back_inserter(left)); // of devices that are gone
    for (const TcDirection direction : tc_directions) left.push_back(pins.tc_link(direction));
    if (auto discarded = XdpLink::discard_next(kernel, pins); !discarded) return discarded;
    for (const std::string& path : {pins.link(), pins.guard()}) left.push_back(path);
    for (const std::string& path : left)
        if (const int error = kernel.unpin(path); error != 0 && error != -ENOENT)
            return failure("unpin " + path + ": " + errno_text(error), -error);
    return {};
}

// "lab0: detached program guard@0123456789ab (id 17, drv)"
std::string tell_detached(const std::string& interface, const DeviceHoldings& device,
                          const std::string& version, std::uint32_t id, const std::string& where) {
    return interface + ": detached program " + (version.empty() ? "?" : version) + " (id " +
           std::to_string(id) + ", " + where + ")" +
           (device.name == interface ? "" : " from " + device.name + ", as its device is called now");
}

bool is_waiting(const ManagedInterface& interface, const MapReader& reader) {
    return std::ranges::find(interface.waiting_readers, reader.handoff, &MapReader::handoff) !=
           interface.waiting_readers.end();
}

AttachedTc read_tc(const ManagedInterface& interface, const TcLink& link) {
    const std::uint32_t id = link.shown_id();
    if (id != 0 && (id != link.program_id() || link.version().empty()))
        return {std::string(foreign_prefix) + program_name(id), id};
    return {
        interface.programs.name_of(link.program_id()).value_or(std::string(outdated_prefix) + link.version()),
        link.program_id()};
}

Result<void> clear_of(const Instance& instance, const KernelPort& kernel, const std::string& name) {
    if (auto cleared = clear_interface(kernel, instance.pins(name), name); !cleared)
        return failure(name + ": " + cleared.error().what, cleared.error().number);
    return {};
}

// Nothing of the interface is the instance's any more.
Result<void> release(Instance& instance, const KernelPort& kernel, const std::string& name) {
    if (auto cleared = clear_of(instance, kernel, name); !cleared) return cleared;
    std::error_code error;
    fs::remove_all(instance.pins(name).folder(), error);
    fs::remove(instance.definitions_path(name), error);
    return instance.commit(name, std::nullopt);
}

// What an owner does before all else, as it is told.
std::vector<std::string> begin_with(Instance& instance, const KernelPort& kernel) {
    std::vector<std::string> told;
    if (!instance.dropped().empty()) told.push_back(instance.dropped());
    if (std::string taken_back = take_back_unfinished(instance, kernel); !taken_back.empty())
        told.push_back(std::move(taken_back));
    return told;
}

// What the instance has attached to one interface, as it is told when that is taken away; none where nothing
// is attached.
Result<std::vector<std::string>> lines_of(const Instance& instance, const KernelPort& kernel,
                                          const std::string& name) {
    const auto held = find_holdings(kernel, instance.pins(name), name);
    if (!held) return std::unexpected(held.error());
    std::vector<std::string> lines;
    for (const DeviceHoldings& device : held->devices) {
        if (device.link)
            lines.push_back(tell_detached(name, device, device.link->version(), device.link->program_id(),
                                          std::string(to_text(device.link->mode()))));
        for (const auto& [direction, tc] : device.tc)
            lines.push_back(tell_detached(name, device, tc.version(), tc.program_id(),
                                          "TC " + std::string(to_text(direction))));
    }
    if (lines.empty() && !held->away.empty())
        lines.push_back(name + ": detached it from its device, which is in another network namespace");
    return lines;
}

// The interfaces for which something is pinned that a person means by this name: the one that is called so,
// and those whose device is called so by now.
Result<std::vector<std::string>> interfaces_meant(const Instance& instance, const KernelPort& kernel,
                                                  const std::string& name) {
    std::vector<std::string> meant;
    for (const std::string& pinned : instance.pinned_interfaces()) {
        const auto held = find_holdings(kernel, instance.pins(pinned), pinned);
        if (!held) return std::unexpected(held.error());
        const bool is_on_it = std::ranges::any_of(
            held->devices, [&](const DeviceHoldings& device) { return device.name == name; });
        if (pinned == name || is_on_it) meant.push_back(pinned);
    }
    return meant;
}

} // namespace

Result<std::vector<std::string>> detach_interfaces(const InstancePlace& place,
                                                   const std::vector<std::string>& interfaces,
                                                   const KernelPort& kernel) {
    auto instance = Instance::open(place, kernel);
    if (!instance) return std::unexpected(instance.error());
    std::vector<std::string> told = begin_with(*instance, kernel);
    for (const std::string& wanted : interfaces) {
        const auto meant = interfaces_meant(*instance, kernel, wanted);
        if (!meant) return std::unexpected(meant.error());
        if (meant->empty()) told.push_back(wanted + ": nothing of instance " + place.name + " is attached");
        for (const std::string& name : *meant) {
            auto lines = lines_of(*instance, kernel, name);
            if (!lines) return std::unexpected(lines.error());
            if (auto released = release(*instance, kernel, name); !released)
                return std::unexpected(released.error());
            if (lines->empty()) lines->push_back(name + ": nothing was attached; what was pinned is removed");
            std::ranges::move(*lines, std::back_inserter(told));
        }
    }
    // An instance that has nothing any more leaves no trace.
    if (instance->pinned_interfaces().empty())
        if (auto removed = instance->remove(); !removed) return std::unexpected(removed.error());
    return told;
}

Result<std::vector<std::string>> detach_instance(const InstancePlace& place, const KernelPort& kernel) {
    std::error_code error;
    if (!fs::exists(place.state + "/" + place.name, error) &&
        !fs::exists(place.bpffs + "/" + place.name, error))
        return std::vector<std::string>{};
    auto instance = Instance::open(place, kernel);
    if (!instance) return std::unexpected(instance.error());
    std::vector<std::string> told = begin_with(*instance, kernel);
    for (const std::string& name : instance->pinned_interfaces()) {
        auto lines = lines_of(*instance, kernel, name);
        if (!lines) return std::unexpected(lines.error());
        if (auto cleared = clear_of(*instance, kernel, name); !cleared)
            return std::unexpected(cleared.error());
        std::ranges::move(*lines, std::back_inserter(told));
    }
    if (auto removed = instance->remove(); !removed) return std::unexpected(removed.error());
    return told;
}

Result<std::unique_ptr<XdpDatapath>> XdpDatapath::open(DatapathOptions options,
                                                       const std::vector<ProgramSource>& programs,
                                                       const std::vector<std::string>& interfaces) {
    std::unique_ptr<XdpDatapath> datapath(new XdpDatapath(std::move(options)));
    auto instance = Instance::open(datapath->options_.place, datapath->options_.kernel);
    if (!instance) return std::unexpected(instance.error());
    datapath->instance_ = std::move(*instance);
    datapath->notes_ = begin_with(*datapath->instance_, datapath->options_.kernel);
    if (auto watch = DeviceWatch::open())
        datapath->devices_ = std::move(*watch);
    else
        datapath->notes_.push_back("changes of programs will take longer: " + watch.error().what);
    if (!datapath->options_.leaves_others)
        if (auto swept = datapath->sweep(interfaces); !swept) return std::unexpected(swept.error());
    for (const std::string& name : interfaces) {
        auto interface = datapath->open_interface(name, programs);
        if (!interface) return std::unexpected(interface.error());
        datapath->rejected_.insert(interface->programs.rejected().begin(),
                                   interface->programs.rejected().end());
        datapath->interfaces_.push_back(std::move(*interface));
    }
    if (datapath->options_.anchored) datapath->hold_anchors();
    return datapath;
}

// Interfaces that were managed before, and are no longer.
Result<void> XdpDatapath::sweep(const std::vector<std::string>& interfaces) {
    std::set<std::string> gone;
    for (const auto& [name, interface] : instance_->manifest().interfaces) gone.insert(name);
    for (std::string& name : instance_->pinned_interfaces()) gone.insert(std::move(name));
    for (const std::string& name : interfaces) gone.erase(name);
    for (const std::string& name : gone) {
        if (auto released = release(*instance_, options_.kernel, name); !released) return released;
        notes_.push_back(name + ": no longer managed, so it was detached");
    }
    return {};
}

Result<ManagedInterface> XdpDatapath::open_interface(const std::string& name,
                                                     const std::vector<ProgramSource>& programs) {
    if (auto made = instance_->make_folders(name); !made) return std::unexpected(made.error());
    const InterfacePins pins = instance_->pins(name);
    const unsigned ifindex = ::if_nametoindex(name.c_str());
    auto link = XdpLink::adopt(options_.kernel, pins, ifindex);
    if (!link) return std::unexpected(link.error());
    AttachedVersions attached{.xdp = *link ? (*link)->version() : "", .tc = {}};
    auto tc = tc_links(options_.kernel, pins, ifindex);
    if (!tc) return std::unexpected(tc.error());
    for (const auto& [direction, one] : *tc) attached.tc.push_back(one.version());
    remove_old_maps(options_.kernel, pins,
                    [&](std::string_view version) { return is_in_use(version, attached); });
    auto loaded = LoadedPrograms::load(programs, LoadedPrograms::Pinning{&options_.kernel, pins,
                                                                         instance_->definitions_path(name),
                                                                         attached, options_.leaves_others});
    if (!loaded) return std::unexpected(loaded.error());
    ManagedInterface interface{.name = name,
                               .pins = pins,
                               .programs = std::move(*loaded),
                               .link = std::move(*link),
                               .messages = &messages_,
                               .devices = devices_ ? &*devices_ : nullptr,
                               .guard = std::nullopt,
                               .guard_kind = options_.guard_kind,
                               .tc = std::move(*tc),
                               .owned = {},
                               .attached_unix_ms = 0};
    if (const auto known = instance_->manifest().interfaces.find(name);
        known != instance_->manifest().interfaces.end()) {
        interface.owned = known->second.owned;
        interface.attached_unix_ms = known->second.attached_unix_ms;
        interface.tc_attached_unix_ms = known->second.tc_attached_unix_ms;
    }
    for (const auto& [direction, one] : interface.tc)
        if (!one.version().empty())
            notes_.push_back(name + ": goes on with " + one.version() + " at TC " +
                             std::string(to_text(direction)) + ", which was attached");
    if (interface.link)
        notes_.push_back(interface.link->version().empty()
                             ? name + ": somebody put another program into the link of ours"
                             : name + ": goes on with " + interface.link->version() + ", which was attached");
    if (instance_->unfinished()) return interface; // it needs the guard and the pins as they are
    auto guard = Guard::adopt(options_.kernel, pins, ifindex);
    if (!guard) return failure(name + ": " + guard.error().what, guard.error().number);
    if (*guard) {
        interface.guard = std::move(*guard);
        interface.guard_duty = GuardDuty::stand_down; // it may be armed
    }
    // Versions that nobody can want back, and maps for programs that are not loaded any more.
    for (const std::string& path : files_in(pins.maps())) {
        const std::string pin = version_of_pin(path);
        if (pin.ends_with("+next") && !interface.programs.is_next(pin.substr(0, pin.size() - 5)))
            options_.kernel.unpin(path);
    }
    for (const std::string& path : files_in(pins.programs())) {
        const std::string version = version_of_pin(path);
        if (!interface.programs.knows_version(version) && !is_in_use(version, attached))
            options_.kernel.unpin(path);
    }
    return interface;
}

void XdpDatapath::hold_anchors() {
    std::vector<int> programs;
    for (const ManagedInterface& interface : interfaces_)
        for (const auto& [name, program] : interface.programs.all())
            if (program.kind == ProgramKind::xdp) programs.push_back(program.descriptor);
    auto held = Anchors::hold(programs);
    if (held)
        anchors_ = std::move(*held);
    else
        notes_.push_back("changes of programs will take milliseconds: " + held.error().what);
}

Result<std::vector<InterfaceMap>> XdpDatapath::maps_named(std::string_view name) {
    std::vector<InterfaceMap> maps;
    for (ManagedInterface& interface : interfaces_) {
        const auto map = interface.programs.map(name);
        if (!map) continue;
        const auto& staged = interface.programs.staged();
        const auto handoff = std::make_shared<MapHandoff>();
        interface.readers.push_back({std::string(name), handoff});
        interface.card_read.reset();
        if (const auto found = staged.find(name); found != staged.end() && found->second.plan) {
            interface.waiting_readers.push_back({std::string(name), handoff});
            maps.push_back({interface.name, std::string(name), map->object, Descriptor(), handoff});
            continue;
        }
        auto descriptor = duplicate(map->descriptor);
        if (!descriptor) return std::unexpected(descriptor.error());
        maps.push_back({interface.name, std::string(name), map->object, std::move(*descriptor), handoff});
    }
    return maps;
}

// The maps of the program in the network card, and those of the host when it is no longer there.
void XdpDatapath::hand_to_readers(ManagedInterface& interface) {
    const bool on_card = interface.link && interface.link->mode() == XdpMode::hw;
    const std::uint32_t program = on_card ? interface.link->program_id() : 0;
    if (interface.card_read == program || (!interface.card_read && !on_card)) return;
    for (const MapReader& reader : interface.readers) {
        const auto host = interface.programs.map(reader.map);
        if (!host || (!on_card && is_waiting(interface, reader))) continue;
        Descriptor held;
        if (on_card && map_on_device(interface.link->program(), reader.map, *host, held))
            reader.handoff->give(std::move(held));
        else if (auto descriptor = duplicate(host->descriptor))
            reader.handoff->give(std::move(*descriptor));
    }
    interface.card_read = program;
}

ActualInterface XdpDatapath::read_back(ManagedInterface& interface) const {
    ActualInterface actual;
    const unsigned ifindex = follow_device(options_.kernel, interface);
    actual.present = ifindex != 0;
    actual.up = actual.present && is_up(interface.name);
    actual.index = ifindex;
    hand_to_readers(interface);
    auto shown = attached_program(ifindex, options_.kernel);
    // Ours is live; in the network card, it may have company.
    const bool is_offloaded = interface.link && interface.link->mode() == XdpMode::hw;
    if ((!shown || is_offloaded) && interface.link)
        shown = AttachedProgram{interface.link->program_id(), interface.link->mode()};
    if (actual.present && shown && *shown) {
        const auto [id, mode] = **shown;
        std::string name = std::string(foreign_prefix) + program_name(id);
        if (interface.link && interface.link->program_id() == id) {
            const std::string& version = interface.link->version();
            auto known = interface.programs.name_of(id);
            if (!known && is_offloaded) known = interface.programs.name_of_version(host_form_of(version));
            if (known || !version.empty()) name = known.value_or(std::string(outdated_prefix) + version);
        }
        actual.xdp = AttachedXdp{std::move(name), mode, id};
    }
    std::erase_if(interface.tc, [&](const auto& one) { return !one.second.is_live(ifindex); });
    for (const auto& [direction, link] : interface.tc) actual.tc.emplace(direction, read_tc(interface, link));
    actual.pinned = is_pinned(interface);
    for (const auto& [entry, wanted] : interface.owned) {
        auto map = interface.programs.map(entry.map);
        Descriptor held;
        if (map && is_offloaded)
            map = map_on_device(interface.link->program(), entry.map, *map, held).value_or(*map);
        const auto port =
            map ? MapEntryPort::open(options_.kernel, *map, entry) : std::unexpected(map.error());
        const auto bytes = port ? port->read() : std::unexpected(port.error());
        if (bytes && *bytes) actual.entries.emplace(entry, port->decode(**bytes, wanted));
    }
    return actual;
}

ActualState XdpDatapath::read_back() {
    ActualState state;
    // First of all what is to leave a device that got the name of another interface.
    for (ManagedInterface& interface : interfaces_)
        if (!is_where_it_was(interface)) follow_device(options_.kernel, interface);
    for (ManagedInterface& interface : interfaces_) {
        (void)stand_down(options_.kernel, interface); // where that fails, the next time tries again
        state.emplace(interface.name, read_back(interface));
    }
    return state;
}

Outcome XdpDatapath::apply(const Transaction& transaction) {
    Outcome outcome;
    outcome.id = transaction.id;
    outcome.interface = transaction.interface;
    const std::int64_t start = monotonic_ns();
    const auto found = std::ranges::find(interfaces_, transaction.interface, &ManagedInterface::name);
    if (found == interfaces_.end()) {
        outcome.error = "interface " + transaction.interface + " is not managed";
        outcome.done_monotonic_ns = monotonic_ns();
        return outcome;
    }
    Change change(options_.kernel, *instance_, *found, options_.map_merger, outcome.notes);
    const auto done = change.run(transaction.steps);
    outcome.ok = done.has_value();
    outcome.gap = change.gap();
    if (!done) outcome.error = done.error().what;
    const std::int64_t end = monotonic_ns();
    outcome.done_monotonic_ns = change.accepted_ns() != 0 ? change.accepted_ns() : end;
    outcome.actual = read_back(*found);
    outcome.took_ns = monotonic_ns() - start;
    return outcome;
}

XdpDatapath::~XdpDatapath() {
    for (ManagedInterface& interface : interfaces_) (void)stand_down(options_.kernel, interface);
}

Result<void> XdpDatapath::detach_all() {
    interfaces_.clear();
    anchors_ = Anchors();
    instance_.reset(); // gives up the lock
    auto detached = detach_instance(options_.place, options_.kernel);
    return detached ? Result<void>{} : std::unexpected(detached.error());
}

} // namespace homeostat::bpf
