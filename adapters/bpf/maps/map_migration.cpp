#include "adapters/bpf/maps/map_migration.hpp"

#include "adapters/bpf/descriptor.hpp"
#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/kernel_objects.hpp"
#include "adapters/bpf/libbpf_log.hpp"
#include "adapters/bpf/objects/verdict.hpp"
#include "bpf/map_merge.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <fstream>
#include <future>
#include <iterator>
#include <optional>

namespace homeostat::bpf {

namespace {

static_assert(field_moves_max == MAP_MERGE_MOVES_MAX);

constexpr std::chrono::milliseconds progress_period{100};
constexpr unsigned cpus_max = 8192;
constexpr std::string_view cpu_folder = "/sys/devices/system/cpu/";

// Moves the calling thread.
Result<void> move_to_cpu(unsigned cpu) {
    cpu_set_t one[cpus_max / CPU_SETSIZE];
    CPU_ZERO_S(sizeof one, one);
    CPU_SET_S(cpu, sizeof one, one);
    if (::sched_setaffinity(0, sizeof one, one) == 0) return {};
    return failure("run on CPU " + std::to_string(cpu) + ": " + errno_text(errno) +
                       (errno == EINVAL ? "; it is offline, or the process's cpuset leaves it out" : ""),
                   errno);
}

// On a thread that ends with the call, so that the calling one stays where it is.
template <class Work> Result<void> on_own_thread(const Work& work) {
    return std::async(std::launch::async, work).get();
}

std::optional<std::string> read_line(const std::string& path) {
    std::ifstream file(path);
    std::string line;
    if (!std::getline(file, line)) return std::nullopt;
    return line;
}

map_merge_move to_kernel(const FieldMove& move) {
    return {static_cast<__u32>(move.from_offset), static_cast<__u32>(move.to_offset),
            static_cast<__u16>(move.from_size), static_cast<__u16>(move.to_size), move.is_signed ? 1U : 0U};
}

map_merge_plan to_kernel(const MigrateMap& plan) {
    map_merge_plan out{};
    out.rule = plan.merge == Merge::sum ? MAP_MERGE_SUM : MAP_MERGE_NEWEST;
    out.count = static_cast<__u32>(plan.moves.size());
    out.stamp = to_kernel(plan.stamp);
    std::ranges::transform(plan.moves, std::begin(out.moves),
                           [](const FieldMove& move) { return to_kernel(move); });
    return out;
}

Result<void> check_map(int descriptor, const MapLayout& expected) {
    const auto info = info_of_map(descriptor);
    if (!info)
        return failure("ask for the map's sizes: " + errno_text(info.error().number), info.error().number);
    if (info->key_size == expected.key.size && info->value_size == expected.value.size &&
        info->max_entries == expected.max_entries)
        return {};
    const auto text = [](std::size_t key, std::size_t value, std::size_t entries) {
        return std::to_string(entries) + " entries of " + std::to_string(key) + " and " +
               std::to_string(value) + " bytes";
    };
    return failure("the map has " + text(info->key_size, info->value_size, info->max_entries) + ", not " +
                       text(expected.key.size, expected.value.size, expected.max_entries) +
                       " as its definition",
                   EINVAL);
}

KernelFeatures probe_features() {
    const auto helper = [](bpf_func_id id) {
        return libbpf_probe_bpf_helper(BPF_PROG_TYPE_SYSCALL, id, nullptr) == 1;
    };
    return {libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SYSCALL, nullptr) == 1,
            helper(BPF_FUNC_for_each_map_elem), helper(BPF_FUNC_map_lookup_percpu_elem)};
}

std::string why_no_merger(int error, bool cpus_are_offline, const LogCapture& log) {
    if (const std::string hint = capability_hint(error); !hint.empty()) return errno_text(error) + hint;
    utsname names{};
    ::uname(&names);
    if (std::string why = migration_obstacle(probe_features(), cpus_are_offline, names.release); !why.empty())
        return why;
    const auto verdict = read_verdict(verifier_log(log.text()));
    return errno_text(error) + ": " + (verdict ? to_text(*verdict) : log.last_line());
}

Result<std::uint32_t> run_program(const bpf_object* object, const char* name) {
    const bpf_program* program = bpf_object__find_program_by_name(object, name);
    LIBBPF_OPTS(bpf_test_run_opts, options);
    if (const int error = bpf_prog_test_run_opts(bpf_program__fd(program), &options); error != 0)
        return failure(std::string("run ") + name + ": " + errno_text(error) + capability_hint(error),
                       -error);
    return options.retval;
}

int state_map(const bpf_object* object) {
    const bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object) {
        if (std::string_view(bpf_map__name(map)).ends_with(".bss")) return bpf_map__fd(map);
    }
    return -1;
}

Result<map_merge_run> read_run(const bpf_object* object) {
    const std::uint32_t key = 0;
    map_merge_run run{};
    if (const int error = bpf_map_lookup_elem(state_map(object), &key, &run); error != 0)
        return failure("read the merger's state: " + errno_text(error), -error);
    return run;
}

Result<void> write_run(const bpf_object* object, const map_merge_run& run) {
    const std::uint32_t key = 0;
    if (const int error = bpf_map_update_elem(state_map(object), &key, &run, BPF_ANY); error != 0)
        return failure("set the merger's state: " + errno_text(error), -error);
    return {};
}

} // namespace

void MapMigration::CloseObject::operator()(bpf_object* object) const { bpf_object__close(object); }

Result<std::vector<unsigned>> parse_cpu_list(std::string_view text) {
    const auto damaged = [&] { return failure("CPU list '" + std::string(text) + "': expected 0-3,5"); };
    std::vector<unsigned> cpus;
    const char* const end = text.data() + text.size();
    for (const char* at = text.data(); at != end;) {
        unsigned first = 0;
        const auto [after_first, bad_first] = std::from_chars(at, end, first);
        if (bad_first != std::errc{}) return damaged();
        unsigned last = first;
        at = after_first;
        if (at != end && *at == '-') {
            const auto [after_last, bad_last] = std::from_chars(at + 1, end, last);
            if (bad_last != std::errc{}) return damaged();
            at = after_last;
        }
        if (last < first || last >= cpus_max) return damaged();
        for (unsigned cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
        if (at == end) break;
        if (*at != ',' || at + 1 == end) return damaged();
        ++at;
    }
    return cpus;
}

Result<CpuLists> read_cpus() {
    const auto read = [](const char* name) -> Result<std::vector<unsigned>> {
        const std::string path = std::string(cpu_folder) + name;
        const auto line = read_line(path);
        if (!line) return failure("read " + path + ": there is no such list; mount sysfs", ENOENT);
        auto cpus = parse_cpu_list(*line);
        if (!cpus) return failure("read " + path + ": " + cpus.error().what, EINVAL);
        return cpus;
    };
    const auto possible = read("possible");
    if (!possible) return std::unexpected(possible.error());
    auto online = read("online");
    if (!online) return std::unexpected(online.error());
    CpuLists lists{std::move(*online), {}};
    std::ranges::set_difference(*possible, lists.online, std::back_inserter(lists.offline));
    return lists;
}

std::string migration_obstacle(const KernelFeatures& has, bool cpus_are_offline, std::string_view release) {
    const std::string kernel = "Linux " + std::string(release);
    const std::string needed = "; migrating a map's entries needs Linux 5.14";
    if (!has.syscall_programs) return kernel + " has no BPF programs of type syscall" + needed;
    if (!has.for_each_map_elem) return kernel + " has no helper bpf_for_each_map_elem" + needed;
    if (cpus_are_offline && !has.lookup_percpu_elem)
        return kernel + " has no helper bpf_map_lookup_percpu_elem; migrating a per-CPU map while CPUs are "
                        "offline needs Linux 5.19";
    return {};
}

Result<MapMigration> MapMigration::prepare(int from, int to, const MigrateMap& plan,
                                           const std::string& merger) {
    const auto cpus = read_cpus();
    if (!cpus)
        return failure("migrate map " + plan.from.name + ": " + cpus.error().what, cpus.error().number);
    return prepare(from, to, plan, merger, *cpus);
}

Result<MapMigration> MapMigration::prepare(int from, int to, const MigrateMap& plan,
                                           const std::string& merger, const CpuLists& cpus) {
    MapMigration migration;
    migration.plan_ = plan;
    if (plan.from.per_cpu()) migration.cpus_ = cpus;
    const auto prepared = [&]() -> Result<void> {
        if (auto checked = check_map(from, plan.from); !checked) return checked;
        if (auto checked = check_map(to, plan.to); !checked) return checked;
        if (auto loaded = migration.load(from, to, merger); !loaded) return loaded;
        if (auto room = migration.check_room(); !room) return room;
        return on_own_thread([&]() -> Result<void> {
            for (const unsigned cpu : migration.cpus_.online)
                if (auto moved = move_to_cpu(cpu); !moved) return moved;
            return {};
        });
    }();
    if (!prepared)
        return failure("migrate map " + plan.from.name + ": " + prepared.error().what,
                       prepared.error().number);
    return migration;
}

Result<void> MapMigration::load(int from, int to, const std::string& merger) {
    const LogCapture log;
    object_.reset(bpf_object__open_file(merger.c_str(), nullptr));
    if (!object_) return failure("open object " + merger + ": " + errno_text(errno), errno);
    const auto find = [&](const char* name) { return bpf_object__find_map_by_name(object_.get(), name); };
    bpf_map* const fresh = find("fresh_value");
    bpf_map* const settings = find(".rodata.plan");
    bpf_program* const offline = bpf_object__find_program_by_name(object_.get(), "merge_offline_cpu");
    if (fresh == nullptr || settings == nullptr || offline == nullptr || find("from_entries") == nullptr ||
        find("to_entries") == nullptr)
        return failure("object " + merger + " is not our map_merge", EINVAL);

    const map_merge_plan plan = to_kernel(plan_);
    int error = bpf_map__reuse_fd(find("from_entries"), from);
    if (error == 0) error = bpf_map__reuse_fd(find("to_entries"), to);
    if (error == 0) error = bpf_map__set_value_size(fresh, static_cast<std::uint32_t>(plan_.to.value.size));
    if (error == 0) error = bpf_map__set_initial_value(settings, &plan, sizeof plan);
    if (error == 0) error = bpf_program__set_autoload(offline, !cpus_.offline.empty());
    if (error != 0) return failure("set up object " + merger + ": " + errno_text(error), -error);
    error = bpf_object__load(object_.get());
    if (error == 0) return {};
    return failure("load object " + merger + ": " + why_no_merger(error, !cpus_.offline.empty(), log),
                   -error);
}

Result<void> MapMigration::check_room() {
    const auto counted = run_program(object_.get(), "count_entries");
    if (!counted) return std::unexpected(counted.error());
    entries_ = *counted;
    if (entries_ <= plan_.to.max_entries) return {};
    return failure("its " + std::to_string(entries_) + " entries do not fit into the new map's " +
                       std::to_string(plan_.to.max_entries) + "; raise max_entries",
                   E2BIG);
}

Result<void> MapMigration::run_all() const {
    const auto run_once = [&](const char* program) -> Result<void> {
        const auto ran = run_program(object_.get(), program);
        if (!ran) return std::unexpected(ran.error());
        const auto run = read_run(object_.get());
        if (!run) return std::unexpected(run.error());
        if (run->error == 0 && *ran == 0) return {};
        const int error = run->error == 0 ? -EINVAL : static_cast<int>(run->error);
        return failure("entry " + std::to_string(run->visited) + ": " + errno_text(error) +
                           (error == -E2BIG ? ": the new map is full with " +
                                                  std::to_string(plan_.to.max_entries) + "; raise max_entries"
                                            : ""),
                       -error);
    };
    if (!plan_.from.per_cpu()) return run_once("merge_this_cpu");
    for (const unsigned cpu : cpus_.online) {
        if (auto moved = move_to_cpu(cpu); !moved) return moved;
        if (auto ran = run_once("merge_this_cpu"); !ran) return ran;
    }
    for (const unsigned cpu : cpus_.offline) {
        auto run = read_run(object_.get());
        if (!run) return std::unexpected(run.error());
        run->cpu = cpu;
        if (auto set = write_run(object_.get(), *run); !set) return set;
        if (auto ran = run_once("merge_offline_cpu"); !ran) return ran;
    }
    return {};
}

Result<MigrationReport> MapMigration::run(const MigrationProgress& progress) {
    const std::int64_t begin_ns = monotonic_ns();
    const auto fail = [&](const Error& error) {
        return failure("migrate map " + plan_.from.name + ": " + error.what, error.number);
    };
    if (auto reset = write_run(object_.get(), {}); !reset) return fail(reset.error());
    const std::uint64_t runs =
        plan_.from.per_cpu() ? cpus_.online.size() + cpus_.offline.size() : std::size_t{1};
    auto done = std::async(std::launch::async, [this] { return run_all(); });
    while (done.wait_for(progress_period) == std::future_status::timeout) {
        if (!progress) continue;
        // The old map may have got entries since they were counted.
        if (const auto run = read_run(object_.get()))
            progress(std::min<std::uint64_t>(run->visited, entries_ * runs), entries_ * runs);
    }
    if (const auto merged = done.get(); !merged) return fail(merged.error());
    const auto run = read_run(object_.get());
    if (!run) return fail(run.error());
    return MigrationReport{run->visited / runs, run->created, run->newer, run->evicted,
                           monotonic_ns() - begin_ns};
}

} // namespace homeostat::bpf
