// What moving a map's entries costs, in the kernel as we do it, and from user space entry by entry as bpftool
// and scripts do, and by batches. An entry of 8 bytes becomes one of 16, in an empty map each time. Needs
// root.
//
// The ways take turns, round by round, so that a slow spell of the machine falls on all of them; medians are
// told. Only ours may run while programs count: the others read, add and write, and lose what comes between.
#include "adapters/bpf/maps/map_migration.hpp"
#include "adapters/bpf/descriptor.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

using namespace homeostat;

namespace {

constexpr std::uint32_t keys = 100'000;
constexpr std::uint32_t batch = 1'024;
constexpr int rounds = 11;

struct OldCount {
    std::uint32_t packets;
    std::uint32_t bytes;
};

struct NewCount {
    std::uint64_t bytes;
    std::uint64_t packets;
};

[[noreturn]] void fail(const std::string& what) {
    std::perror(what.c_str());
    std::exit(1);
}

void require(bool holds, const std::string& what) {
    if (!holds) fail(what);
}

FieldLayout number(const std::string& name, std::size_t offset, std::size_t size) {
    return {name, offset, size, FieldLayout::Kind::unsigned_integer, ""};
}

struct Kind {
    const char* name;
    bpf_map_type type;
    MapLayout::Kind kind;
    std::size_t lanes; // values of a key
};

bpf::MapDefinition definition(const Kind& kind, TypeLayout value) {
    return {{"counts", kind.kind, {"", 4, {number("", 0, 4)}}, std::move(value), keys},
            static_cast<std::uint32_t>(kind.type),
            0,
            {},
            {}};
}

bpf::Descriptor make_map(const Kind& kind, std::uint32_t value_size) {
    bpf::Descriptor map(bpf_map_create(kind.type, "counts", 4, value_size, keys, nullptr));
    require(static_cast<bool>(map), "make a map");
    return map;
}

bpf::Descriptor make_old_map(const Kind& kind) {
    bpf::Descriptor map = make_map(kind, sizeof(OldCount));
    for (std::uint32_t key = 0; key < keys; ++key) {
        const std::vector<OldCount> values(kind.lanes, {key, 3});
        require(bpf_map_update_elem(map.get(), &key, values.data(), BPF_ANY) == 0, "fill the map");
    }
    return map;
}

void add(const OldCount& from, NewCount& to) {
    to.packets += from.packets;
    to.bytes += from.bytes;
}

void move_one_by_one(const Kind& kind, int from, int to) {
    std::vector<OldCount> old(kind.lanes);
    std::vector<NewCount> sums(kind.lanes);
    std::uint32_t key = 0;
    for (const std::uint32_t* before = nullptr; bpf_map_get_next_key(from, before, &key) == 0;
         before = &key) {
        require(bpf_map_lookup_elem(from, &key, old.data()) == 0, "look up");
        if (bpf_map_lookup_elem(to, &key, sums.data()) != 0) std::ranges::fill(sums, NewCount{});
        for (std::size_t lane = 0; lane < kind.lanes; ++lane) add(old[lane], sums[lane]);
        require(bpf_map_update_elem(to, &key, sums.data(), BPF_ANY) == 0, "update");
    }
}

// Into a map that is known to be empty: not even reading what is there.
void move_by_batches(const Kind& kind, int from, int to) {
    std::vector<std::uint32_t> batch_keys(batch);
    std::vector<OldCount> old(batch * kind.lanes);
    std::vector<NewCount> sums(batch * kind.lanes);
    std::uint32_t position = 0;
    std::uint32_t* begin = nullptr;
    for (int error = 0; error == 0; begin = &position) {
        std::uint32_t count = batch;
        error = bpf_map_lookup_batch(from, begin, &position, batch_keys.data(), old.data(), &count, nullptr);
        require(error == 0 || error == -ENOENT, "batch look-up");
        std::ranges::fill(sums, NewCount{});
        for (std::size_t i = 0; i < count * kind.lanes; ++i) add(old[i], sums[i]);
        if (count == 0) break;
        require(bpf_map_update_batch(to, batch_keys.data(), sums.data(), &count, nullptr) == 0,
                "batch update");
    }
}

std::int64_t now_ns() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

double median(std::vector<double> all) {
    std::ranges::sort(all);
    return all[all.size() / 2];
}

// Nanoseconds an entry, of the three ways, and milliseconds to prepare ours.
struct Figures {
    std::vector<double> kernel, one_by_one, batches, prepare_ms;
};

void check(const Kind& kind, int map) {
    for (const std::uint32_t key : {0U, keys / 2, keys - 1}) {
        std::vector<NewCount> values(kind.lanes);
        require(bpf_map_lookup_elem(map, &key, values.data()) == 0, "look up");
        require(values.back().packets == key && values.back().bytes == 3, "wrong sums");
    }
}

double per_entry(std::int64_t begin_ns) { return static_cast<double>(now_ns() - begin_ns) / keys; }

void measure(const Kind& kind, int old, const bpf::MigrateMap& plan, Figures& figures) {
    const bpf::Descriptor merged = make_map(kind, sizeof(NewCount));
    const std::int64_t prepare_ns = now_ns();
    auto migration =
        bpf::MapMigration::prepare(old, merged.get(), plan, BPF_OBJECT_FOLDER "/map_merge.bpf.o");
    require(migration.has_value(), migration ? "" : migration.error().what);
    figures.prepare_ms.push_back(static_cast<double>(now_ns() - prepare_ns) / 1e6);
    const auto report = migration->run();
    require(report.has_value(), report ? "" : report.error().what);
    figures.kernel.push_back(static_cast<double>(report->took_ns) / keys);
    check(kind, merged.get());

    const bpf::Descriptor one_by_one = make_map(kind, sizeof(NewCount));
    const std::int64_t one_by_one_ns = now_ns();
    move_one_by_one(kind, old, one_by_one.get());
    figures.one_by_one.push_back(per_entry(one_by_one_ns));
    check(kind, one_by_one.get());

    const bpf::Descriptor batches = make_map(kind, sizeof(NewCount));
    const std::int64_t batches_ns = now_ns();
    move_by_batches(kind, old, batches.get());
    figures.batches.push_back(per_entry(batches_ns));
    check(kind, batches.get());
}

} // namespace

int main() {
    const auto cpus = static_cast<std::size_t>(libbpf_num_possible_cpus());
    const std::array kinds{
        Kind{"hash", BPF_MAP_TYPE_HASH, MapLayout::Kind::hash, 1},
        Kind{"per-CPU hash", BPF_MAP_TYPE_PERCPU_HASH, MapLayout::Kind::percpu_hash, cpus}};
    std::printf("%-14s %10s %12s %10s %8s %8s %12s\n", "ns an entry", "in kernel", "one by one", "batches",
                "ratio", "ratio", "prepare, ms");
    for (const Kind& kind : kinds) {
        const auto compared = bpf::compare_maps(
            definition(kind, {"", sizeof(OldCount), {number("packets", 0, 4), number("bytes", 4, 4)}}),
            definition(kind, {"", sizeof(NewCount), {number("bytes", 0, 8), number("packets", 8, 8)}}),
            bpf::MergeRule{bpf::Merge::sum, ""});
        const auto* plan = std::get_if<bpf::MigrateMap>(&compared);
        require(plan != nullptr, "compare");
        const bpf::Descriptor old = make_old_map(kind);
        Figures figures;
        for (int round = 0; round < rounds; ++round) measure(kind, old.get(), *plan, figures);
        const double ours = median(figures.kernel);
        std::printf("%-14s %10.0f %12.0f %10.0f %8.2f %8.2f %12.2f\n", kind.name, ours,
                    median(figures.one_by_one), median(figures.batches), median(figures.one_by_one) / ours,
                    median(figures.batches) / ours, median(figures.prepare_ms));
    }
}
