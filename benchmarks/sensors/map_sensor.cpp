// What the map sensor adds to the kernel's own work: a per-CPU hash of 10,000 keys, read by bare batched
// look-ups, and read by the sensor, decoded, and appended to a series store as the loop does it. The two take
// turns, round by round, so that the machine's noise meets both; the medians are compared. Needs root.

#include "adapters/bpf/sensors/map_sensor.hpp"
#include "knowledge/series_store.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <vector>

using namespace homeostat;

namespace {

constexpr std::uint32_t keys = 10'000;
constexpr int rounds = 301;
constexpr double bar = 1.5; // times the bare look-ups

struct Counters {
    std::uint64_t packets;
    std::uint64_t bytes;
};

struct Table {
    bpf::Descriptor map;
    std::shared_ptr<const ObjectLayout> object;
};

FieldLayout number(const std::string& name, std::size_t offset, std::size_t size) {
    return {name, offset, size, FieldLayout::Kind::unsigned_integer, ""};
}

Table make_table(std::size_t cpus) {
    bpf::Descriptor map(
        bpf_map_create(BPF_MAP_TYPE_PERCPU_HASH, "bench", 4, sizeof(Counters), keys, nullptr));
    if (!map) {
        std::perror("make a map");
        std::exit(1);
    }
    for (std::uint32_t key = 0; key < keys; ++key) {
        std::vector<Counters> values(cpus, {key, key * 64ULL});
        if (bpf_map_update_elem(map.get(), &key, values.data(), 0) != 0) std::exit(1);
    }
    MapLayout layout{"bench",
                     MapLayout::Kind::percpu_hash,
                     {"", 4, {number("", 0, 4)}},
                     {"counters", sizeof(Counters), {number("packets", 0, 8), number("bytes", 8, 8)}},
                     keys};
    return {std::move(map),
            std::make_shared<const ObjectLayout>(ObjectLayout{
                .programs = {}, .tc_programs = {}, .maps = {layout}, .structs = {}, .enums = {}})};
}

std::size_t bare(int map, std::uint32_t batch, std::vector<std::uint32_t>& keys_read,
                 std::vector<Counters>& values_read) {
    std::uint64_t position = 0;
    std::size_t total = 0;
    for (bool first = true;; first = false) {
        std::uint32_t count = batch;
        const int error = bpf_map_lookup_batch(map, first ? nullptr : &position, &position, keys_read.data(),
                                               values_read.data(), &count, nullptr);
        total += count;
        if (error == -ENOENT) return total;
        if (error != 0) std::exit(1);
    }
}

class Loop {
  public:
    std::size_t take(const SampleBatch& batch) {
        for (const auto& [local, labels] : batch.defined) {
            if (local >= ids_.size()) ids_.resize(local + 1);
            ids_[local] = store_.define(labels).value();
        }
        std::size_t taken = 0;
        for (const auto& [local, value] : batch.samples)
            taken += store_.append(ids_[local], batch.time, value) ? 1 : 0;
        return taken;
    }

  private:
    SeriesStore store_;
    std::vector<SeriesId> ids_;
};

template <class Work> double nanoseconds_per_key(Work&& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const auto took = std::chrono::steady_clock::now() - start;
    return static_cast<double>(std::chrono::duration_cast<std::chrono::nanoseconds>(took).count()) / keys;
}

double median(std::vector<double> values) {
    std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
    return values[values.size() / 2];
}

double compare(const Table& table, std::vector<FieldMetric> fields, std::size_t cpus) {
    const std::size_t series = keys * fields.size();
    const MapSensorSpec spec{"bench", {{"", "key", "", {}}}, std::move(fields), false, false};
    std::vector<bpf::InterfaceMap> maps;
    maps.push_back({"lab0", "bench", table.object, std::move(*bpf::duplicate(table.map.get()))});
    auto sensor = bpf::MapSensor::create(SensorId{0}, spec, series, std::move(maps));
    if (!sensor) std::exit(1);

    constexpr std::uint32_t batch = 512;
    std::vector<std::uint32_t> keys_read(batch);
    std::vector<Counters> values_read(batch * cpus);
    Loop loop;
    std::vector<double> of_bare, of_sensor, of_collect, of_store;
    for (int round = 0; round < rounds; ++round) {
        const double one = nanoseconds_per_key([&] {
            if (bare(table.map.get(), batch, keys_read, values_read) != keys) std::exit(1);
        });
        Readings readings;
        const double two = nanoseconds_per_key([&] { (*sensor)->collect(at_ms(round + 1), readings); });
        const double three = nanoseconds_per_key([&] {
            if (loop.take(readings.batches.at(0)) != series) std::exit(1);
        });
        if (round == 0) continue; // which defines all series
        of_bare.push_back(one);
        of_collect.push_back(two);
        of_store.push_back(three);
        of_sensor.push_back(two + three);
    }
    const double ratio = median(of_sensor) / median(of_bare);
    std::printf("%zu series per key: bare %.1f ns/key, sensor and store %.1f ns/key (collect %.1f, store "
                "%.1f): %.2fx\n",
                series / keys, median(of_bare), median(of_sensor), median(of_collect), median(of_store),
                ratio);
    return ratio;
}

bool run() {
    const auto cpus = static_cast<std::size_t>(libbpf_num_possible_cpus());
    const Table table = make_table(cpus);
    const double one = compare(table, {{"packets", "packets_total", {}, {}}}, cpus);
    const double two =
        compare(table, {{"packets", "packets_total", {}, {}}, {"bytes", "bytes_total", {}, {}}}, cpus);
    std::printf("bar %.1fx: %s\n", bar, one <= bar && two <= bar ? "met" : "not met");
    return one <= bar && two <= bar;
}

} // namespace

int main() {
    try {
        return run() ? 0 : 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
