#include "adapters/bpf/datapath/map_handover.hpp"

#include "adapters/bpf/datapath/map_entries.hpp"
#include "adapters/bpf/kernel.hpp"

#include <algorithm>
#include <cerrno>

namespace homeostat::bpf {

namespace {

AttachedVersions attached_to(const ManagedInterface& interface) {
    AttachedVersions attached{.xdp = interface.link ? interface.link->version() : "", .tc = {}};
    for (const auto& [direction, link] : interface.tc) attached.tc.push_back(link.version());
    return attached;
}

// The old map, as one whose entries are set by name.
LoadedPrograms::Map map_before(const LoadedPrograms::Map& now, const StagedMap& staged) {
    return {.descriptor = staged.before.get(),
            .object = now.object,
            .layout = &staged.layout_before,
            .shape = staged.shape_before};
}

std::string told(const std::string& interface, const std::string& map, const MigrationReport& report) {
    std::string text = interface + ": map " + map + ": " + std::to_string(report.entries) +
                       (report.entries == 1 ? " entry was" : " entries were") +
                       " carried over into its new definition";
    if (report.evicted != 0) text += "; the new map had no room for " + std::to_string(report.evicted);
    return text;
}

Result<void> empty_array(const KernelPort& kernel, const LoadedPrograms::Map& map) {
    for (std::uint32_t key = 0; key < map.layout->max_entries; ++key) {
        const auto port = MapEntryPort::open(kernel, map, {map.layout->name, std::to_string(key)});
        auto cleared = port ? port->clear() : std::unexpected(port.error());
        if (!cleared) return cleared;
    }
    return {};
}

Result<void> empty_hash(const KernelPort& kernel, const LoadedPrograms::Map& map) {
    const auto fail = [&](int error) {
        return failure("empty map " + map.layout->name + ": " + errno_text(error), -error);
    };
    Bytes key(map.layout->key.size);
    Bytes next(map.layout->key.size);
    int error = kernel.next_key(map.descriptor, nullptr, next.data());
    while (error == 0) {
        key.swap(next);
        error = kernel.next_key(map.descriptor, key.data(), next.data());
        const int deleted = kernel.delete_entry(map.descriptor, key.data());
        if (deleted != 0 && deleted != -ENOENT) return fail(deleted);
    }
    return error == -ENOENT ? Result<void>{} : fail(error);
}

Result<void> renew(const KernelPort& kernel, ManagedInterface& interface, const std::string& name) {
    const auto map = interface.programs.map(name);
    if (!map) return std::unexpected(map.error());
    if (auto emptied = map->layout->is_array() ? empty_array(kernel, *map) : empty_hash(kernel, *map);
        !emptied)
        return emptied;
    for (const auto& [entry, value] : interface.owned) {
        if (entry.map != name) continue;
        const auto port = MapEntryPort::open(kernel, *map, entry);
        if (!port) return std::unexpected(port.error());
        const auto bytes = port->encode(value);
        if (!bytes) return std::unexpected(bytes.error());
        if (auto written = port->write(*bytes); !written) return written;
    }
    const int error = kernel.pin(map->descriptor, interface.pins.next_map(name));
    if (error != 0 && error != -EEXIST)
        return failure("pin " + interface.pins.next_map(name) + ": " + errno_text(error), -error);
    return {};
}

} // namespace

Result<MapHandover> MapHandover::prepare(const KernelPort& kernel, ManagedInterface& interface,
                                         const std::string& merger) {
    MapHandover handover(kernel, interface);
    for (const auto& [name, staged] : interface.programs.staged()) {
        if (staged.took_place) continue;
        One one{.map = name, .migration = std::nullopt};
        if (staged.plan) {
            const auto map = interface.programs.map(name);
            if (!map) return std::unexpected(map.error());
            if (merger.empty())
                return failure("migrate map " + name +
                               ": there is no map_merge.bpf.o; put it into a folder of controller.objects");
            auto prepared = MapMigration::prepare(staged.before.get(), map->descriptor, *staged.plan, merger);
            if (!prepared) return std::unexpected(prepared.error());
            one.migration = std::move(*prepared);
        }
        handover.maps_.push_back(std::move(one));
    }
    return handover;
}

Result<void> MapHandover::run(const Note& note, std::vector<std::string>& notes) {
    if (maps_.empty()) return {};
    if (const int error = kernel_->wait_for_programs(); error != 0)
        return failure("wait for the last packets of the old program: " + errno_text(error), -error);
    for (One& one : maps_)
        if (auto merged = merge(one, note, notes); !merged) return merged;
    for (const One& one : maps_)
        if (auto done = take_place(one.map, note); !done) return done;
    return {};
}

// Nobody writes the old map any more. What is set is the same in both maps: adding would double it.
Result<void> MapHandover::set_owned_aside(const std::string& name, const Note& note) {
    const auto now = interface_->programs.map(name);
    if (!now) return std::unexpected(now.error());
    const LoadedPrograms::Map before = map_before(*now, interface_->programs.staged().find(name)->second);
    for (const auto& [entry, value] : interface_->owned) {
        if (entry.map != name) continue;
        const auto port = MapEntryPort::open(*kernel_, before, entry);
        if (!port) return std::unexpected(port.error());
        const auto bytes = port->read();
        if (!bytes) return std::unexpected(bytes.error());
        if (!*bytes) continue;
        if (auto noted = note(RestoreEntry{name, port->key(), *bytes, false}); !noted) return noted;
        if (auto cleared = port->clear(); !cleared) return cleared;
    }
    return {};
}

Result<void> MapHandover::merge(One& one, const Note& note, std::vector<std::string>& notes) {
    StagedMap& staged = interface_->programs.staged().find(one.map)->second;
    if (!one.migration) {
        notes.push_back(interface_->name + ": map " + one.map + " starts anew: " + staged.why);
        return {};
    }
    if (auto aside = set_owned_aside(one.map, note); !aside) return aside;
    if (auto noted = note(DiscardNextMap{one.map}); !noted) return noted;
    staged.is_spoiled = true;
    if (const int error = kernel_->begin_merge(); error != 0)
        return failure("migrate map " + one.map + ": " + errno_text(error), -error);
    const auto report = one.migration->run();
    if (!report) return std::unexpected(report.error());
    notes.push_back(told(interface_->name, one.map, *report));
    return {};
}

Result<void> MapHandover::take_place(const std::string& map, const Note& note) {
    const InterfacePins& pins = interface_->pins;
    // One that is there says to whoever takes this back that the pins were renamed.
    int error = kernel_->unpin(pins.old_map(map));
    if (error != 0 && error != -ENOENT)
        return failure("unpin " + pins.old_map(map) + ": " + errno_text(error), -error);
    if (auto noted = note(RestoreMapPins{map}); !noted) return noted;
    error = kernel_->rename_pin(pins.map(map), pins.old_map(map));
    if (error == 0) error = kernel_->rename_pin(pins.next_map(map), pins.map(map));
    if (error != 0) return failure("rename the pins of map " + map + ": " + errno_text(error), -error);
    interface_->programs.staged().find(map)->second.took_place = true;
    return {};
}

Result<void> renew_spoiled_maps(const KernelPort& kernel, ManagedInterface& interface) {
    const auto is_spoiled = [](const auto& one) { return one.second.is_spoiled; };
    if (std::ranges::none_of(interface.programs.staged(), is_spoiled)) return {};
    if (const int error = kernel.wait_for_programs(); error != 0)
        return failure("wait for the last packets of a program: " + errno_text(error), -error);
    for (auto& [name, staged] : interface.programs.staged()) {
        if (!staged.is_spoiled) continue;
        if (auto renewed = renew(kernel, interface, name); !renewed) return renewed;
        staged.is_spoiled = false;
    }
    return {};
}

void finish_handover(const KernelPort& kernel, ManagedInterface& interface) {
    const auto is_done = [](const auto& one) { return one.second.took_place; };
    if (std::ranges::none_of(interface.programs.staged(), is_done)) return;
    const AttachedVersions attached = attached_to(interface);
    remove_old_maps(kernel, interface.pins, [&](std::string_view version) {
        return interface.programs.knows_version(version) || is_in_use(version, attached);
    });
    for (MapReader& reader : interface.waiting_readers) {
        const auto map = interface.programs.map(reader.map);
        if (!map) continue;
        if (auto descriptor = duplicate(map->descriptor)) reader.handoff->give(std::move(*descriptor));
    }
    interface.waiting_readers.clear();
    interface.card_read.reset();
    interface.programs.staged().clear();
}

void remove_old_maps(const KernelPort& kernel, const InterfacePins& pins,
                     const std::function<bool(std::string_view version)>& wanted) {
    std::vector<std::string> maps = files_in(pins.maps());
    std::erase_if(maps, [](const std::string& path) { return !path.ends_with("+old"); });
    if (maps.empty()) return;
    for (const std::string& path : files_in(pins.programs()))
        if (!wanted(version_of_pin(path)) && kernel.unpin(path) != 0) return;
    for (const std::string& path : maps) kernel.unpin(path);
}

} // namespace homeostat::bpf
