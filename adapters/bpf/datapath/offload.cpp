#include "adapters/bpf/datapath/offload.hpp"

#include "adapters/bpf/datapath/link_facts.hpp"
#include "adapters/bpf/datapath/map_entries.hpp"
#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/kernel_objects.hpp"
#include "adapters/bpf/libbpf_log.hpp"
#include "adapters/bpf/objects/object_file.hpp"
#include "adapters/bpf/objects/refusal.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace homeostat::bpf {

namespace {

constexpr std::string_view suffix = "+hw";

struct DeviceMap {
    bpf_map_info info{};
    Descriptor map;
};

// Those that the program works on.
std::vector<DeviceMap> maps_of(int program) {
    std::vector<DeviceMap> maps;
    for (const std::uint32_t id : map_ids_of(program).value_or(std::vector<std::uint32_t>{})) {
        Descriptor map(bpf_map_get_fd_by_id(id));
        const auto info = map ? info_of_map(map.get()) : failure("no map");
        if (info) maps.push_back({.info = *info, .map = std::move(map)});
    }
    return maps;
}

// The kernel keeps the beginning of a name only.
DeviceMap* find_map(std::vector<DeviceMap>& maps, std::string_view name) {
    const auto found =
        std::ranges::find(maps, name.substr(0, BPF_OBJ_NAME_LEN - 1),
                          [](const DeviceMap& map) { return std::string_view(map.info.name); });
    return found == maps.end() ? nullptr : &*found;
}

bool is_on_device(int program, unsigned ifindex) {
    const auto info = info_of_program(program);
    return info && info->ifindex == ifindex;
}

// The smallest of all programs says whether the device takes any; 0 or a negative errno.
int try_device(unsigned ifindex) {
    const bpf_insn pass[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 2},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    LIBBPF_OPTS(bpf_prog_load_opts, options);
    options.prog_ifindex = ifindex;
    const Descriptor program(
        bpf_prog_load(BPF_PROG_TYPE_XDP, "hw_pass", "GPL", pass, std::size(pass), &options));
    return program ? 0 : program.get();
}

std::string why_no_programs(unsigned ifindex, int error) {
    const std::string driver = link_facts(ifindex).value_or(LinkFacts{}).driver;
    return errno_text(error) + ": hw takes a network card that runs programs itself; this one" +
           (driver.empty() ? "" : " (driver " + driver + ")") + " takes none" + capability_hint(error);
}

// Of the maps, the first that no network card takes; "" where they may all do.
std::string why_no_map_there(const bpf_object* object) {
    const bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
        const auto type = bpf_map__type(map);
        if (type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_HASH) continue;
        return std::string("map ") + bpf_map__name(map) + " is of type " + libbpf_bpf_map_type_str(type) +
               "; a network card has array and hash maps only, none per CPU and no LRU. Give hw a program of "
               "its own, or leave hw out of xdp.mode";
    }
    return {};
}

// Puts the maps that are on the device already in the place of the object's own.
Result<void> share_maps(bpf_object* object, std::vector<DeviceMap>& there, bool resets) {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
        if (bpf_map__is_internal(map)) continue;
        const DeviceMap* before = find_map(there, bpf_map__name(map));
        if (before == nullptr) continue;
        const bool is_same = shape_of(before->info) == shape_of(map);
        if (is_same) {
            if (const int error = bpf_map__reuse_fd(map, before->map.get()); error != 0)
                return failure(std::string("share map ") + bpf_map__name(map) + ": " + errno_text(error),
                               -error);
        } else if (!resets) {
            return failure(std::string("map ") + bpf_map__name(map) +
                               " is defined differently in the program on the device, and nothing is merged "
                               "there; on_incompatible = \"reset\" lets it start anew",
                           EINVAL);
        }
    }
    return {};
}

Result<Descriptor> load_for(const ProgramObject& source, const std::string& path, unsigned ifindex,
                            int replaced, bool resets) {
    const LogCapture log;
    const ObjectFile object(bpf_object__open_mem(source.bytes.data(), source.bytes.size(), nullptr));
    if (!object) return failure(errno_text(errno) + ": " + log.last_line(), errno);
    if (const std::string why = why_no_map_there(object.get()); !why.empty()) return failure(why, EINVAL);
    auto there = maps_of(replaced);
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object.get()) {
        bpf_map__set_pin_path(map, nullptr);
        bpf_map__set_ifindex(map, ifindex);
    }
    if (auto shared = share_maps(object.get(), there, resets); !shared)
        return std::unexpected(shared.error());
    bpf_program* wanted = nullptr;
    bpf_program* each = nullptr;
    bpf_object__for_each_program(each, object.get()) {
        const bool is_wanted = bpf_program__name(each) == source.function;
        bpf_program__set_autoload(each, is_wanted);
        if (!is_wanted) continue;
        bpf_program__set_ifindex(each, ifindex);
        wanted = each;
    }
    if (const int error = bpf_object__load(object.get()); error != 0) {
        if (const int none = try_device(ifindex); none != 0)
            return failure(why_no_programs(ifindex, none), -none);
        return not_loaded("the network card takes programs, but not this one: ", object.get(), path,
                          source.function, error, log.text());
    }
    return duplicate(bpf_program__fd(wanted));
}

} // namespace

std::string offload_of(std::string_view version) { return std::string(version) + std::string(suffix); }

std::string host_form_of(std::string_view version) {
    return version.ends_with(suffix) ? std::string(version.substr(0, version.size() - suffix.size())) : "";
}

Result<OffloadedProgram> load_offloaded(const KernelPort& kernel, const InterfacePins& pins,
                                        const LoadedPrograms& programs, const std::string& program,
                                        const std::string& interface, unsigned ifindex, int replaced) {
    const std::string what = "attach to " + interface + " in mode hw: ";
    const auto host = programs.program(program);
    if (!host) return failure(what + host.error().what, host.error().number);
    const ProgramSource* const known = programs.source(program);
    if (known == nullptr)
        return failure(what + "the object of program " + program +
                           " is not known here, and for a network card it must be loaded anew; name it",
                       EINVAL);
    const ProgramSource& source = *known;
    OffloadedProgram offloaded{.program = {}, .version = offload_of(host->version)};
    const std::string pin = pins.program(offloaded.version);
    offloaded.program = Descriptor(kernel.open_pin(pin));
    if (offloaded.program && is_on_device(offloaded.program.get(), ifindex)) return offloaded;

    const auto object = read_program(source);
    if (!object) return failure(what + object.error().what, object.error().number);
    if (object->version != host->version)
        return failure(what + source.path + " is another object by now than the one that was loaded at start",
                       ESTALE);
    auto loaded = load_for(*object, source.path, ifindex, replaced, source.resets_maps);
    if (!loaded) return failure(what + loaded.error().what, loaded.error().number);
    offloaded.program = std::move(*loaded);
    // There may be one of a device that is gone.
    if (auto pinned = pin_anew(kernel, offloaded.program.get(), pin); !pinned)
        return failure(what + pinned.error().what, pinned.error().number);
    return offloaded;
}

std::optional<LoadedPrograms::Map> map_on_device(int program, std::string_view name,
                                                 const LoadedPrograms::Map& host, Descriptor& held) {
    auto maps = maps_of(program);
    DeviceMap* found = find_map(maps, name);
    if (found == nullptr) return std::nullopt;
    held = std::move(found->map);
    LoadedPrograms::Map map = host;
    map.descriptor = held.get();
    return map;
}

Result<void> copy_to_device(const KernelPort& kernel, int program, const LoadedPrograms& programs,
                            const MapEntry& entry) {
    const auto host = programs.map(entry.map);
    if (!host) return std::unexpected(host.error());
    Descriptor held;
    const auto there = map_on_device(program, entry.map, *host, held);
    if (!there) return {};
    const auto from = MapEntryPort::open(kernel, *host, entry);
    const auto to = MapEntryPort::open(kernel, *there, entry);
    if (!from) return std::unexpected(from.error());
    if (!to) return std::unexpected(to.error());
    const auto bytes = from->read();
    if (!bytes) return std::unexpected(bytes.error());
    auto written = *bytes ? to->write(**bytes) : to->clear();
    return written ? written
                   : failure("on the network card: " + written.error().what, written.error().number);
}

void forget_offloaded(const KernelPort& kernel, const InterfacePins& pins, std::string_view attached) {
    for (const std::string& path : files_in(pins.programs())) {
        const std::string version = version_of_pin(path);
        if (!host_form_of(version).empty() && version != attached) kernel.unpin(path);
    }
}

} // namespace homeostat::bpf
