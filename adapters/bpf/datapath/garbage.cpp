#include "adapters/bpf/datapath/garbage.hpp"

#include "adapters/bpf/datapath/clsact.hpp"
#include "adapters/bpf/datapath/holdings.hpp"
#include "adapters/bpf/datapath/recovery.hpp"
#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/kernel_objects.hpp"

#include <net/if.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <set>

namespace homeostat::bpf {

namespace {

namespace fs = std::filesystem;

class Search {
  public:
    Search(const KernelPort& kernel, Garbage& garbage) : kernel_(kernel), garbage_(garbage) {}

    Result<void> look_at(const InterfacePins& pins, const std::string& interface) {
        const auto held = find_holdings(kernel_, pins, interface);
        if (!held) return std::unexpected(held.error());
        for (const std::string& moved : tell_moved(*held, interface)) garbage_.notes.push_back(moved);
        if (!held->away.empty()) return {}; // nobody here can tell what works there
        const bool is_there = ::if_nametoindex(interface.c_str()) != 0;
        const std::string nobody = held->has_program() ? ""
                                   : is_there          ? "nothing is attached to " + interface
                                                       : "there is no interface " + interface;
        const std::string elsewhere =
            is_there ? "it is not on " + interface + " any more" : "there is no interface " + interface;
        if (!held->has_link()) add_pin(pins.link(), "link", elsewhere);
        add_pin(pins.next_link(), "link", "a switch that was cut short left it");
        for (const TcDirection direction : tc_directions)
            if (!held->has_tc(direction)) add_pin(pins.tc_link(direction), "link", elsewhere);
        look_at_guards(pins, *held, elsewhere);
        return look_at_programs(pins, held->versions(), nobody);
    }

  private:
    void add(const std::string& path, const std::string& what, const std::string& why) {
        garbage_.orphans.push_back({path, what, why});
    }

    void add_pin(const std::string& path, const std::string& what, const std::string& why) {
        std::error_code error;
        if (fs::exists(path, error)) add(path, what, why);
    }

    // And at the qdiscs that were made for them and for TC programs.
    void look_at_guards(const InterfacePins& pins, const Holdings& held, const std::string& elsewhere) {
        bool has_guard = false;
        std::set<std::string> marks;
        for (const DeviceHoldings& device : held.devices) {
            const bool is_filter = device.guard && device.guard->kind() == Guard::Kind::clsact;
            if (device.guard && !device.has_program())
                add(pins.guard(), "guard",
                    "nothing is attached to " + device.name +
                        (is_filter ? "; it is a filter of the clsact qdisc" : ""));
            has_guard = has_guard || device.guard.has_value();
            const bool has_filter = std::ranges::any_of(
                device.tc, [](const auto& one) { return one.second.kind() == TcLink::Kind::clsact; });
            if (has_filter || (is_filter && device.has_program())) marks.insert(pins.clsact(device.ifindex));
        }
        if (!has_guard) add_pin(pins.guard(), "guard", elsewhere);
        for (const std::string& mark : pins.clsacts())
            if (!marks.contains(mark)) add(mark, "qdisc", "no filter of ours is on it");
    }

    // And at the maps that they work on.
    Result<void> look_at_programs(const InterfacePins& pins, const AttachedVersions& attached,
                                  const std::string& nobody) {
        std::set<std::uint32_t> used;
        for (const std::string& path : files_in(pins.programs())) {
            if (!is_in_use(version_of_pin(path), attached)) {
                add(path, "program", nobody.empty() ? "it is not attached" : nobody);
                continue;
            }
            const Descriptor program(kernel_.open_pin(path));
            auto maps = program ? map_ids_of(program.get())
                                : failure("open " + path + ": " + errno_text(program.get()));
            if (!maps) return std::unexpected(maps.error());
            used.insert(maps->begin(), maps->end());
        }
        for (const std::string& path : files_in(pins.maps())) {
            const Descriptor map(kernel_.open_pin(path));
            if (!map) return failure("open " + path + ": " + errno_text(map.get()), -map.get());
            if (!used.contains(id_of_map(map.get())))
                add(path, "map", nobody.empty() ? "the attached program does not use it" : nobody);
        }
        return {};
    }

    const KernelPort& kernel_;
    Garbage& garbage_;
};

Result<void> remove_one(const KernelPort& kernel, const Instance& instance, const Orphan& orphan) {
    const std::string interface = version_of_pin(fs::path(orphan.path).parent_path());
    const InterfacePins pins = instance.pins(interface);
    const unsigned ifindex = ::if_nametoindex(interface.c_str());
    if (orphan.path == pins.next_link()) return XdpLink::discard_next(kernel, pins);
    if (orphan.what == "guard") {
        auto held = find_holdings(kernel, pins, interface);
        if (!held) return std::unexpected(held.error());
        for (DeviceHoldings& device : held->devices)
            if (device.guard && !device.has_program())
                if (auto removed = device.guard->remove(); !removed) return removed;
    }
    if (orphan.what == "qdisc")
        if (auto removed = remove_clsact(kernel, pins, ifindex); !removed) return removed;
    if (const int error = kernel.unpin(orphan.path); error != 0 && error != -ENOENT)
        return failure("unpin " + orphan.path + ": " + errno_text(error), -error);
    return {};
}

// The guard and the link first: what they hold is in use until then.
Result<void> remove_all(const KernelPort& kernel, Instance& instance, const std::vector<Orphan>& orphans) {
    for (const Orphan& orphan : orphans)
        if (auto removed = remove_one(kernel, instance, orphan); !removed) return removed;
    for (const std::string& interface : instance.pinned_interfaces()) {
        const InterfacePins pins = instance.pins(interface);
        std::error_code error;
        for (const std::string& folder : {pins.programs(), pins.maps(), pins.folder()})
            fs::remove(folder, error);
        if (fs::exists(pins.folder(), error)) continue;
        fs::remove(instance.definitions_path(interface), error);
        if (auto committed = instance.commit(interface, std::nullopt); !committed) return committed;
    }
    return instance.pinned_interfaces().empty() ? instance.remove() : Result<void>{};
}

Orphan forgotten_pin(const std::string& path) {
    const std::string folder = fs::path(path).parent_path().filename();
    const std::string name = fs::path(path).filename();
    const std::string what = folder == "programs"          ? "program"
                             : folder == "maps"            ? "map"
                             : name == "guard"             ? "guard"
                             : name.starts_with("clsact@") ? "qdisc"
                                                           : "link";
    return {path, what, "the network namespace that it worked in is gone"};
}

// What is written down that is void, before anything is looked at.
std::vector<Orphan> void_records(const InstancePlace& place, const std::vector<std::string>& forgotten,
                                 const std::string& dropped) {
    std::vector<Orphan> found;
    for (const std::string& path : forgotten) found.push_back(forgotten_pin(path));
    if (!dropped.empty())
        found.push_back({place.state + "/" + place.name + "/journal", "change",
                         "it was cut short before the machine was started anew"});
    return found;
}

Orphan unfinished_change(const InstancePlace& place, const Journal& journal) {
    return {place.state + "/" + place.name + "/journal", "change",
            "on " + journal.interface + ", which was cut short"};
}

Result<void> search(const InstancePlace& place, const KernelPort& kernel, Garbage& found) {
    Search search(kernel, found);
    for (const std::string& interface : pinned_interfaces(place))
        if (auto looked = search.look_at(InterfacePins(place, interface), interface); !looked) return looked;
    return {};
}

// Without owning the instance, which would write down who does.
Result<Garbage> look_for_garbage(const InstancePlace& place, const KernelPort& kernel) {
    const auto records = read_records(place);
    if (!records) return std::unexpected(records.error());
    if (!records->owner.empty())
        return failure("instance " + place.name + ": a controller owns this instance (process " +
                           records->owner + "); stop it before",
                       EBUSY);
    const auto forgotten = pins_to_forget(place, records->manifest, kernel);
    if (!forgotten) return std::unexpected(forgotten.error());
    Garbage found{.orphans = void_records(place, *forgotten, records->dropped), .notes = {}};
    if (!forgotten->empty()) return found;
    if (records->journal) found.orphans.push_back(unfinished_change(place, *records->journal));
    if (auto searched = search(place, kernel, found); !searched) return std::unexpected(searched.error());
    return found;
}

} // namespace

Result<Garbage> collect_garbage(const InstancePlace& place, bool remove, const KernelPort& kernel) {
    std::error_code error;
    if (!fs::exists(place.state + "/" + place.name, error) &&
        !fs::exists(place.bpffs + "/" + place.name, error))
        return Garbage{};
    if (!remove) return look_for_garbage(place, kernel);
    auto instance = Instance::open(place, kernel);
    if (!instance) return std::unexpected(instance.error());
    std::vector<Orphan> gone = void_records(place, instance->forgotten(), instance->dropped());
    if (instance->unfinished()) {
        Orphan change = unfinished_change(place, *instance->unfinished());
        change.why = take_back_unfinished(*instance, kernel);
        if (instance->unfinished()) return failure(change.why + "; 'homeostat detach' undoes everything");
        gone.push_back(std::move(change));
    }
    Garbage found;
    if (auto searched = search(place, kernel, found); !searched) return std::unexpected(searched.error());
    if (auto removed = remove_all(kernel, *instance, found.orphans); !removed)
        return std::unexpected(removed.error());
    found.orphans.insert(found.orphans.begin(), gone.begin(), gone.end());
    return found;
}

Result<void> collect_since(const Garbage& before, const InstancePlace& place, const std::string& interface,
                           const KernelPort& kernel) {
    Garbage found;
    Search search(kernel, found);
    if (auto looked = search.look_at(InterfacePins(place, interface), interface); !looked) return looked;
    std::erase_if(found.orphans, [&](const Orphan& orphan) {
        return std::ranges::find(before.orphans, orphan.path, &Orphan::path) != before.orphans.end();
    });
    if (found.orphans.empty()) return {};
    auto instance = Instance::open(place, kernel);
    if (!instance) return std::unexpected(instance.error());
    return instance->unfinished() ? Result<void>{} : remove_all(kernel, *instance, found.orphans);
}

} // namespace homeostat::bpf
