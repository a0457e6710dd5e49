#include "adapters/bpf/datapath/observed.hpp"

#include "adapters/bpf/datapath/datapath.hpp"
#include "adapters/bpf/datapath/tc_link.hpp"
#include "adapters/bpf/datapath/xdp_link.hpp"
#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/kernel_objects.hpp"
#include "adapters/bpf/objects/object_layout.hpp"

#include <bpf/bpf.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>

namespace homeostat::bpf {

namespace {

// The kernel keeps this much of a program's or map's name.
std::string in_kernel(const std::string& name) { return name.substr(0, BPF_OBJ_NAME_LEN - 1); }

// Its name in the configuration, by the function's name in the kernel.
std::string name_of(std::uint32_t id, ProgramKind kind, const std::vector<ProgramSource>& sources) {
    const std::string shown = program_name(id);
    for (const ProgramSource& source : sources) {
        const std::string function =
            source.function.empty() ? source.layout->only_program().value_or("") : source.function;
        if (source.layout->kind_of(function) == kind && !shown.empty() && in_kernel(function) == shown)
            return source.name;
    }
    return std::string(foreign_prefix) + shown;
}

// The first one at that side that the configuration names.
std::optional<AttachedTc> attached_tc(unsigned ifindex, TcDirection direction,
                                      const std::vector<ProgramSource>& sources) {
    const KernelPort kernel;
    std::vector<std::uint32_t> programs;
    kernel.query_tcx(ifindex, hook_of(direction), programs); // a kernel without TCX has none
    std::vector<Filter> filters;
    kernel.query_filters(ifindex, hook_of(direction), filters);
    for (const Filter& filter : filters)
        if (filter.program_id != 0) programs.push_back(filter.program_id);
    for (const std::uint32_t id : programs)
        if (std::string name = name_of(id, ProgramKind::tc, sources); !name.starts_with(foreign_prefix))
            return AttachedTc{std::move(name), id};
    return std::nullopt;
}

Result<std::vector<std::uint32_t>> map_ids_by_id(std::uint32_t program_id) {
    const Descriptor program(bpf_prog_get_fd_by_id(program_id));
    if (!program)
        return failure("open program " + std::to_string(program_id) + " by id: " + errno_text(errno) +
                           (errno == EPERM ? "; it takes CAP_SYS_ADMIN" : ""),
                       errno);
    auto ids = bpf::map_ids_of(program.get());
    if (ids) return ids;
    return failure("ask for the maps of program " + std::to_string(program_id) + ": " +
                       errno_text(ids.error().number),
                   ids.error().number);
}

Result<Descriptor> open_map(std::uint32_t program_id, const MapLayout& layout) {
    const auto ids = map_ids_by_id(program_id);
    if (!ids) return std::unexpected(ids.error());
    for (const std::uint32_t id : *ids) {
        Descriptor map(bpf_map_get_fd_by_id(id));
        const auto info = map ? info_of_map(map.get()) : failure("no map");
        if (!info || in_kernel(layout.name) != info->name) continue;
        if (map_kind(info->type) != layout.kind || info->key_size != layout.key.size ||
            info->value_size != layout.value.size)
            return failure("map " + layout.name + " of program " + std::to_string(program_id) +
                           " has another type or other sizes than in the object file");
        return map;
    }
    return failure("program " + std::to_string(program_id) + " has no map " + layout.name, ENOENT);
}

} // namespace

ObservedDatapath::ObservedDatapath(std::vector<ProgramSource> programs, std::vector<std::string> interfaces)
    : programs_(std::move(programs)), interfaces_(std::move(interfaces)) {}

ActualState ObservedDatapath::read_back() {
    ActualState state;
    for (const std::string& name : interfaces_) {
        ActualInterface& actual = state[name];
        const unsigned ifindex = ::if_nametoindex(name.c_str());
        if (ifindex == 0) continue;
        actual.present = true;
        actual.index = ifindex;
        actual.up = is_up(name);
        if (const auto shown = attached_program(ifindex); shown && *shown)
            actual.xdp =
                AttachedXdp{name_of((*shown)->id, ProgramKind::xdp, programs_), (*shown)->mode, (*shown)->id};
        for (const TcDirection direction : tc_directions)
            if (auto tc = attached_tc(ifindex, direction, programs_))
                actual.tc.emplace(direction, std::move(*tc));
    }
    return state;
}

Outcome ObservedDatapath::apply(const Transaction& transaction) {
    Outcome outcome;
    outcome.id = transaction.id;
    outcome.interface = transaction.interface;
    outcome.error = "in shadow nothing is changed";
    outcome.actual = read_back()[transaction.interface];
    outcome.done_monotonic_ns = monotonic_ns();
    return outcome;
}

Result<std::unique_ptr<ObservedMapSensor>>
ObservedMapSensor::create(SensorId id, const MapSensorSpec& spec, std::size_t series_max,
                          const std::vector<ProgramSource>& programs,
                          const std::vector<std::string>& interfaces) {
    std::unique_ptr<ObservedMapSensor> sensor(new ObservedMapSensor());
    const auto having = std::ranges::find_if(
        programs, [&](const ProgramSource& source) { return source.layout->map(spec.map) != nullptr; });
    if (having == programs.end())
        return failure("sensor of map " + spec.map + ": no declared program has this map");
    std::vector<InterfaceMap> maps;
    for (const std::string& interface : interfaces) {
        maps.push_back({interface, spec.map, having->layout, Descriptor()});
        sensor->sources_.push_back({interface, 0, ""});
    }
    sensor->layout_ = *having->layout->map(spec.map);
    auto inner = MapSensor::create(id, spec, series_max, std::move(maps));
    if (!inner) return std::unexpected(inner.error());
    sensor->sensor_ = std::move(*inner);
    return sensor;
}

void ObservedMapSensor::collect(Instant now, Readings& out) {
    std::string errors;
    bool any = false;
    for (Source& source : sources_) {
        follow(source);
        any = any || source.error.empty();
        if (!source.error.empty())
            errors += (errors.empty() ? "" : "; ") + source.interface + ": " + source.error;
    }
    sensor_->collect(now, out);
    SampleBatch& batch = out.batches.back();
    if (!any && batch.error.empty()) batch.error = errors;
}

// Looks again whenever another program is attached, and as long as there is nothing to read.
void ObservedMapSensor::follow(Source& source) {
    const unsigned ifindex = ::if_nametoindex(source.interface.c_str());
    const auto shown = attached_program(ifindex);
    const std::uint32_t id = ifindex != 0 && shown && *shown ? (*shown)->id : 0;
    if (id != 0 && id == source.program_id) return;
    source.program_id = 0;
    source.error.clear();
    Descriptor descriptor;
    if (ifindex == 0)
        source.error = "there is no such interface";
    else if (!shown)
        source.error = shown.error().what;
    else if (id == 0)
        source.error = "no XDP program is attached";
    else if (auto map = open_map(id, layout_); map) {
        descriptor = std::move(*map);
        source.program_id = id;
    } else
        source.error = map.error().what;
    sensor_->read_from(source.interface, std::move(descriptor));
}

void ObservedRingSensor::collect(Instant now, Readings& out) {
    SampleBatch batch;
    batch.sensor = id_;
    batch.time = now;
    batch.error = "ring buffers are not read in shadow: that would take the records from their reader";
    out.batches.push_back(std::move(batch));
}

} // namespace homeostat::bpf
