#include "adapters/bpf/map_migration.hpp"

#include "adapters/bpf/descriptor.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <latch>
#include <random>
#include <thread>

namespace homeostat::bpf {
namespace {

constexpr std::uint32_t keys_per_packet = 64; // as in flows.bpf.h

struct OldCount { // as in flows_old.bpf.c
    std::uint64_t packets;
    std::uint32_t bytes;
    std::uint16_t small;
    std::uint8_t tiny;
    std::int8_t balance;
};
static_assert(sizeof(OldCount) == 16);

struct NewCount { // as in flows_new.bpf.c
    std::int16_t balance;
    std::uint8_t tiny;
    std::uint8_t padding;
    std::uint16_t small;
    std::uint64_t bytes;
    std::uint64_t drops;
    std::uint64_t packets;
};
static_assert(sizeof(NewCount) == 32);

struct OldFlow {
    std::uint32_t packets;
    std::uint32_t bytes;
};

struct NewFlow {
    std::uint64_t bytes;
    std::uint64_t packets;
};

struct OldState {
    std::uint64_t seen;
    std::array<std::uint8_t, 6> address;
    std::uint16_t port;
    std::uint64_t twice;
};
static_assert(sizeof(OldState) == 24);

struct NewState {
    std::uint16_t port;
    std::array<std::uint8_t, 6> address;
    std::uint32_t added;
    std::uint64_t twice;
    std::uint64_t seen;
};
static_assert(sizeof(NewState) == 32);

const std::size_t cpus = static_cast<std::size_t>(libbpf_num_possible_cpus());
const std::string merger = HOMEOSTAT_BINARY_DIR "/bpf/map_merge.bpf.o";
const MergeRule sum{Merge::sum, ""};
constexpr int wide = 1'000'000 + keys_per_packet; // entries

// A version of the program, loaded, with its maps.
class Version {
  public:
    explicit Version(const std::string& object) : layout_(*read_layout(object_path(object))) {
        object_.reset(bpf_object__open(object_path(object).c_str()));
        if (!object_) throw std::runtime_error("open " + object);
    }

    Version& resize(const char* map, std::uint32_t entries) {
        bpf_map__set_max_entries(find(map), entries);
        return *this;
    }

    Version& load() {
        if (const int error = bpf_object__load(object_.get()); error != 0)
            throw std::runtime_error("load: " + std::string(std::strerror(-error)));
        return *this;
    }

    MapDefinition definition(const char* map) const {
        MapDefinition definition = read_definition(find(map), bpf_object__btf(object_.get()), layout_);
        definition.layout.max_entries = bpf_map__max_entries(find(map));
        return definition;
    }

    int map(const char* name) const { return bpf_map__fd(find(name)); }
    int program(const char* name) const {
        return bpf_program__fd(bpf_object__find_program_by_name(object_.get(), name));
    }

    template <class Value> void put(const char* name, std::uint32_t key, const std::vector<Value>& values) {
        ASSERT_EQ(bpf_map_update_elem(map(name), &key, values.data(), BPF_ANY), 0) << name << " " << key;
    }
    // One for each CPU of a per-CPU map; empty where there is no entry.
    template <class Value> std::vector<Value> get(const char* name, std::uint32_t key) const {
        std::vector<Value> values(definition(name).layout.per_cpu() ? cpus : 1);
        if (bpf_map_lookup_elem(map(name), &key, values.data()) != 0) values.clear();
        return values;
    }

  private:
    struct Close {
        void operator()(bpf_object* object) const { bpf_object__close(object); }
    };
    bpf_map* find(const char* name) const { return bpf_object__find_map_by_name(object_.get(), name); }

    ObjectLayout layout_;
    std::unique_ptr<bpf_object, Close> object_;
};

MigrateMap plan_of(const Version& from, const Version& to, const char* map, const MergeRule& rule) {
    const CarryOver compared = compare_maps(from.definition(map), to.definition(map), rule);
    if (const auto* refused = std::get_if<RefuseMap>(&compared)) throw std::runtime_error(refused->reason);
    return std::get<MigrateMap>(compared);
}

Result<MigrationReport> migrate(const Version& from, const Version& to, const char* map,
                                const MergeRule& rule) {
    auto prepared = MapMigration::prepare(from.map(map), to.map(map), plan_of(from, to, map, rule), merger);
    if (!prepared) return std::unexpected(prepared.error());
    return prepared->run();
}

OldCount old_count(std::uint32_t key, std::size_t cpu) {
    return {(std::uint64_t{1} << 40) + key + cpu, 0xffff'fff0U + static_cast<std::uint32_t>(cpu),
            static_cast<std::uint16_t>(60'000 + key % 100 + cpu), static_cast<std::uint8_t>(200 + cpu),
            static_cast<std::int8_t>(-100 + static_cast<int>(key % 10))};
}

class MapMigrationTest : public testing::Test {
  protected:
    Version old_{"flows_old"};
    Version new_{"flows_new"};

    void load() {
        old_.load();
        new_.load();
    }
};

struct KindOfMap {
    const char* map;
    bool array;
    bool per_cpu;
};

class EveryKind : public MapMigrationTest, public testing::WithParamInterface<KindOfMap> {};

INSTANTIATE_TEST_SUITE_P(
    Maps, EveryKind,
    testing::Values(KindOfMap{"count_array", true, false}, KindOfMap{"count_cpu_array", true, true},
                    KindOfMap{"count_hash", false, false}, KindOfMap{"count_cpu_hash", false, true},
                    KindOfMap{"count_lru", false, false}, KindOfMap{"count_lru_cpu", false, true}),
    [](const auto& instance) { return std::string(instance.param.map); });

// Fields of 1, 2, 4 and 8 bytes, moved and grown; a third of the keys is in the new map already.
TEST_P(EveryKind, SumsAreExactOnEachCpuAndMissingKeysAreCreated) {
    load();
    const auto [map, array, per_cpu] = GetParam();
    const std::size_t lanes = per_cpu ? cpus : 1;
    const std::uint32_t keys = array ? 1024 : 300;
    for (std::uint32_t key = 0; key < keys; ++key) {
        std::vector<OldCount> values;
        for (std::size_t cpu = 0; cpu < lanes; ++cpu) values.push_back(old_count(key, cpu));
        old_.put(map, key, values);
        if (key % 3 == 0) new_.put(map, key, std::vector<NewCount>(lanes, {-5, 55, 0, 6'000, 1'000, 77, 9}));
    }
    const auto report = migrate(old_, new_, map, sum);
    ASSERT_TRUE(report) << report.error().what;
    EXPECT_EQ(report->entries, keys);
    EXPECT_EQ(report->created, array ? 0 : 200u);
    EXPECT_EQ(report->evicted, 0u);
    EXPECT_EQ(report->newer, 0u);
    for (std::uint32_t key = 0; key < keys; ++key) {
        const auto values = new_.get<NewCount>(map, key);
        const auto before = old_.get<OldCount>(map, key);
        ASSERT_EQ(values.size(), lanes) << key;
        const bool was_there = key % 3 == 0;
        for (std::size_t cpu = 0; cpu < lanes; ++cpu) {
            const OldCount from = old_count(key, cpu);
            EXPECT_EQ(std::memcmp(&before[cpu], &from, sizeof from), 0) << "the old map was changed";
            const auto& to = values[cpu];
            EXPECT_EQ(to.packets, from.packets + (was_there ? 9 : 0));
            EXPECT_EQ(to.bytes, std::uint64_t{from.bytes} + (was_there ? 1'000 : 0));
            EXPECT_EQ(to.small, static_cast<std::uint16_t>(from.small + (was_there ? 6'000 : 0)));
            EXPECT_EQ(to.tiny, static_cast<std::uint8_t>(from.tiny + (was_there ? 55 : 0)));
            EXPECT_EQ(to.padding, 0) << "an overflow went beyond the field";
            EXPECT_EQ(to.balance, from.balance - (was_there ? 5 : 0));
            EXPECT_EQ(to.drops, was_there ? 77u : 0u);
        }
    }
}

// As on a machine with more possible CPUs than are online: here the last one counts as offline.
TEST_F(MapMigrationTest, ValuesOfOfflineCpusAreMergedFromAnotherCpu) {
    load();
    auto lists = read_cpus();
    ASSERT_TRUE(lists) << lists.error().what;
    ASSERT_GT(lists->online.size(), 1u) << "needs two CPUs";
    lists->offline.push_back(lists->online.back());
    lists->online.pop_back();
    std::vector<OldCount> values;
    for (std::size_t cpu = 0; cpu < cpus; ++cpu) values.push_back(old_count(7, cpu));
    for (const auto* map : {"count_cpu_array", "count_cpu_hash", "count_lru_cpu"}) {
        old_.put(map, 7, values);
        auto prepared = MapMigration::prepare(old_.map(map), new_.map(map), plan_of(old_, new_, map, sum),
                                              merger, *lists);
        ASSERT_TRUE(prepared) << prepared.error().what;
        const auto report = prepared->run();
        ASSERT_TRUE(report) << report.error().what;
        EXPECT_EQ(report->entries, map == std::string("count_cpu_array") ? 1024u : 1u);
        for (std::size_t cpu = 0; cpu < cpus; ++cpu)
            EXPECT_EQ(new_.get<NewCount>(map, 7).at(cpu).packets, values[cpu].packets) << map;
    }
}

TEST_F(MapMigrationTest, OfStatesTheNewerStandsAndASecondTimeChangesNothing) {
    load();
    old_.put<OldState>("states", 1, {{100, {1, 2, 3, 4, 5, 6}, 80, 200}}); // only in the old map
    old_.put<OldState>("states", 2, {{100, {1, 2, 3, 4, 5, 6}, 80, 200}}); // newer in the new map
    old_.put<OldState>("states", 3, {{100, {1, 2, 3, 4, 5, 6}, 80, 200}}); // older in the new map
    old_.put<OldState>("states", 4, {{100, {1, 2, 3, 4, 5, 6}, 80, 200}}); // as new in the new map
    new_.put<NewState>("states", 2, {{443, {9, 9, 9, 9, 9, 9}, 7, 202, 101}});
    new_.put<NewState>("states", 3, {{443, {9, 9, 9, 9, 9, 9}, 7, 198, 99}});
    new_.put<NewState>("states", 4, {{443, {9, 9, 9, 9, 9, 9}, 7, 200, 100}});
    const NewState moved{80, {1, 2, 3, 4, 5, 6}, 0, 200, 100};
    NewState replaced = moved;
    replaced.added = 7; // the old version does not know it
    for (int round = 0; round < 2; ++round) {
        const auto report = migrate(old_, new_, "states", {Merge::newest, "seen"});
        ASSERT_TRUE(report) << report.error().what;
        EXPECT_EQ(report->entries, 4u);
        EXPECT_EQ(report->created, round == 0 ? 1u : 0u);
        EXPECT_EQ(report->newer, round == 0 ? 2u : 4u);
        const auto is = [&](std::uint32_t key, const NewState& wanted) {
            return std::memcmp(new_.get<NewState>("states", key).data(), &wanted, 12) == 0 &&
                   std::memcmp(&new_.get<NewState>("states", key).data()->twice, &wanted.twice, 16) == 0;
        };
        EXPECT_TRUE(is(1, moved));
        EXPECT_TRUE(is(2, {443, {9, 9, 9, 9, 9, 9}, 7, 202, 101}));
        EXPECT_TRUE(is(3, replaced));
        EXPECT_TRUE(is(4, {443, {9, 9, 9, 9, 9, 9}, 7, 200, 100}));
    }
}

TEST_F(MapMigrationTest, OfStatesPerCpuEachCpuIsJudgedByItsOwnStamp) {
    load();
    std::vector<OldState> from(cpus, {100, {1, 1, 1, 1, 1, 1}, 80, 200});
    std::vector<NewState> to(cpus, {443, {2, 2, 2, 2, 2, 2}, 7, 2, 1});
    to.back().seen = 101;
    old_.put("cpu_states", 5, from);
    new_.put("cpu_states", 5, to);
    const auto report = migrate(old_, new_, "cpu_states", {Merge::newest, "seen"});
    ASSERT_TRUE(report) << report.error().what;
    const auto merged = new_.get<NewState>("cpu_states", 5);
    for (std::size_t cpu = 0; cpu < cpus; ++cpu) {
        EXPECT_EQ(merged[cpu].seen, cpu + 1 < cpus ? 100u : 101u);
        EXPECT_EQ(merged[cpu].port, cpu + 1 < cpus ? 80u : 443u);
        EXPECT_EQ(merged[cpu].address[5], cpu + 1 < cpus ? 1u : 2u);
    }
}

TEST_F(MapMigrationTest, EntriesThatDoNotFitAreRefusedBeforeAnythingChanges) {
    new_.resize("count_hash", 9);
    load();
    for (std::uint32_t key = 0; key < 10; ++key) old_.put<OldCount>("count_hash", key, {old_count(key, 0)});
    const auto prepared = MapMigration::prepare(old_.map("count_hash"), new_.map("count_hash"),
                                                plan_of(old_, new_, "count_hash", sum), merger);
    ASSERT_FALSE(prepared);
    EXPECT_EQ(prepared.error().what,
              "migrate map count_hash: its 10 entries do not fit into the new map's 9; raise max_entries");
    const std::uint32_t* none = nullptr;
    std::uint32_t key = 0;
    EXPECT_EQ(bpf_map_get_next_key(new_.map("count_hash"), none, &key), -ENOENT) << "nothing was moved";
}

TEST_F(MapMigrationTest, ANewMapThatIsFullEndsItWithTheReason) {
    new_.resize("count_hash", 10);
    load();
    for (std::uint32_t key = 0; key < 10; ++key) old_.put<OldCount>("count_hash", key, {old_count(key, 0)});
    new_.put<NewCount>("count_hash", 99, {{}});
    const auto report = migrate(old_, new_, "count_hash", sum);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().what,
              "migrate map count_hash: entry 10: Argument list too long (E2BIG): the new "
              "map is full with 10; raise max_entries");
}

TEST_F(MapMigrationTest, AMapThatIsNotAsItsDefinitionSaysIsRefused) {
    load();
    const auto prepared = MapMigration::prepare(old_.map("states"), new_.map("count_hash"),
                                                plan_of(old_, new_, "count_hash", sum), merger);
    ASSERT_FALSE(prepared);
    EXPECT_EQ(prepared.error().what,
              "migrate map count_hash: the map has 1024 entries of 4 and 24 bytes, not "
              "1024 entries of 4 and 16 bytes as its definition");
}

TEST_F(MapMigrationTest, AMissingOrForeignMergerIsToldByName) {
    load();
    const auto plan = plan_of(old_, new_, "count_hash", sum);
    const auto error = [&](const std::string& path) {
        const auto prepared =
            MapMigration::prepare(old_.map("count_hash"), new_.map("count_hash"), plan, path);
        return prepared ? "" : prepared.error().what;
    };
    EXPECT_EQ(
        error("/nowhere/map_merge.bpf.o"),
        "migrate map count_hash: open object /nowhere/map_merge.bpf.o: No such file or directory (ENOENT)");
    EXPECT_EQ(error(object_path("counting")),
              "migrate map count_hash: object " + object_path("counting") + " is not our map_merge");
}

TEST_F(MapMigrationTest, ACpuOnWhichTheProcessMayNotRunIsToldBeforeAnythingChanges) {
    load();
    const auto prepared =
        MapMigration::prepare(old_.map("count_cpu_hash"), new_.map("count_cpu_hash"),
                              plan_of(old_, new_, "count_cpu_hash", sum), merger, {{0, 4'000}, {}});
    ASSERT_FALSE(prepared);
    EXPECT_EQ(prepared.error().what,
              "migrate map count_cpu_hash: run on CPU 4000: Invalid argument (EINVAL); "
              "it is offline, or the process's cpuset leaves it out");
}

TEST_F(MapMigrationTest, TheCallingThreadStaysOnItsCpus) {
    load();
    cpu_set_t before, after;
    sched_getaffinity(0, sizeof before, &before);
    ASSERT_TRUE(migrate(old_, new_, "count_cpu_array", sum));
    sched_getaffinity(0, sizeof after, &after);
    EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

TEST(MigrationObstacle, NamesWhatTheKernelLacksAndTheReleaseThatHasIt) {
    EXPECT_EQ(
        migration_obstacle({}, false, "5.10.0-30-amd64"),
        "Linux 5.10.0-30-amd64 has no BPF programs of type syscall; migrating a map's entries needs Linux "
        "5.14");
    EXPECT_EQ(migration_obstacle({true, false, false}, false, "5.14"),
              "Linux 5.14 has no helper bpf_for_each_map_elem; migrating a map's entries needs Linux 5.14");
    EXPECT_EQ(migration_obstacle({true, true, false}, true, "5.15"),
              "Linux 5.15 has no helper bpf_map_lookup_percpu_elem; migrating a per-CPU map while CPUs are "
              "offline needs Linux 5.19");
    EXPECT_EQ(migration_obstacle({true, true, false}, false, "5.15"), "");
}

TEST(CpuList, IsReadAsTheKernelWritesIt) {
    EXPECT_EQ(parse_cpu_list("0"), (std::vector<unsigned>{0}));
    EXPECT_EQ(parse_cpu_list("0-2,5,7-8"), (std::vector<unsigned>{0, 1, 2, 5, 7, 8}));
    EXPECT_EQ(parse_cpu_list(""), std::vector<unsigned>{});
    for (const auto* wrong : {"x", "1-", "3-1", "1,,2", "1,", "0-99999999"})
        EXPECT_FALSE(parse_cpu_list(wrong)) << wrong;
}

// ---- under load

// Packets run through the active program on every CPU, one thread on each, and each thread keeps count of
// what it sent.
class Traffic {
  public:
    using Sent = std::vector<std::uint32_t>; // packets by their first key

    Traffic(int dispatcher, std::uint32_t first_keys_max)
        : sent_(cpus, Sent(first_keys_max)), started_(static_cast<std::ptrdiff_t>(cpus)) {
        for (std::size_t cpu = 0; cpu < cpus; ++cpu)
            threads_.emplace_back([this, cpu, dispatcher](const std::stop_token& stop) {
                cpu_set_t one;
                CPU_ZERO(&one);
                CPU_SET(cpu, &one);
                sched_setaffinity(0, sizeof one, &one);
                std::minstd_rand random(static_cast<unsigned>(cpu + 1));
                std::uniform_int_distribution<std::uint32_t> key(
                    0, static_cast<std::uint32_t>(sent_[cpu].size()) - 1);
                for (std::uint64_t packets = 0; !stop.stop_requested(); ++packets) {
                    std::array<std::byte, 64> packet{};
                    const std::uint32_t first = key(random);
                    std::memcpy(packet.data(), &first, sizeof first);
                    if (run_program(dispatcher, packet) == XDP_PASS)
                        ++sent_[cpu][first];
                    else
                        ++failed_;
                    total_.fetch_add(1);
                    total_.notify_all();
                    if (packets == 0) started_.count_down();
                }
            });
        started_.wait();
    }

    void wait_for_more(std::uint64_t packets) {
        const std::uint64_t wanted = total_ + packets;
        for (std::uint64_t seen = total_; seen < wanted; seen = total_) total_.wait(seen);
    }
    std::uint64_t total() const { return total_; }
    std::uint64_t failed() const { return failed_; }

    std::vector<Sent> stop() {
        for (auto& thread : threads_) thread.request_stop();
        for (auto& thread : threads_) thread.join();
        return std::move(sent_);
    }

  private:
    std::vector<Sent> sent_; // by CPU
    std::latch started_;
    std::atomic<std::uint64_t> total_ = 0;
    std::atomic<std::uint64_t> failed_ = 0;
    std::vector<std::jthread> threads_;
};

// Calls `visit` with each key and its values, one for each CPU of a per-CPU map. Returns how many there are.
template <class Value>
std::size_t for_each_entry(int map, std::size_t lanes,
                           const std::function<void(std::uint32_t, std::span<const Value>)>& visit) {
    constexpr std::uint32_t batch = 4096;
    std::vector<std::uint32_t> keys(batch);
    std::vector<Value> values(batch * lanes);
    std::uint32_t position = 0;
    std::size_t entries = 0;
    for (int error = 0; error == 0;) {
        std::uint32_t count = batch;
        error = bpf_map_lookup_batch(map, entries == 0 ? nullptr : &position, &position, keys.data(),
                                     values.data(), &count, nullptr);
        if (error != 0 && error != -ENOENT) throw std::runtime_error("batch look-up");
        for (std::uint32_t i = 0; i < count; ++i)
            visit(keys[i], std::span<const Value>(values).subspan(i * lanes, lanes));
        entries += count;
    }
    return entries;
}

void set_active(const Version& dispatcher, int program) {
    const std::uint32_t key = 0;
    ASSERT_EQ(bpf_map_update_elem(dispatcher.map("active"), &key, &program, BPF_ANY), 0);
}

long resident_kib_max() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

// A million entries, whose 8 bytes become 16: 64 and 72 MB of kernel memory, and per CPU 8 and 16 MB more.
// All keys but a few are there before; while two CPUs send packets of 64 keys each, programs are exchanged
// and the old counts merged.
class UnderLoad : public MapMigrationTest {
  protected:
    void run(const char* map, const char* program, std::size_t lanes) {
        old_.resize(map, wide);
        new_.resize(map, wide);
        load();
        fill(map, lanes);
        auto prepared =
            MapMigration::prepare(old_.map(map), new_.map(map), plan_of(old_, new_, map, sum), merger);
        ASSERT_TRUE(prepared) << prepared.error().what;

        Version dispatcher("active_program");
        dispatcher.load();
        set_active(dispatcher, old_.program(program));
        Traffic traffic(dispatcher.program("run_active"), 1'000'000);
        traffic.wait_for_more(2'000);
        const long resident_before_kib = resident_kib_max();
        set_active(dispatcher, new_.program(program));
        ASSERT_TRUE(wait_for_running_programs());
        const std::uint64_t before = traffic.total();
        std::uint64_t steps = 0;
        const auto report = prepared->run([&](std::uint64_t done, std::uint64_t total) {
            ++steps;
            EXPECT_LE(done, total);
        });
        const std::uint64_t meanwhile = traffic.total() - before;
        traffic.wait_for_more(2'000);
        const std::uint64_t failed = traffic.failed();
        const auto sent = traffic.stop();

        ASSERT_TRUE(report) << report.error().what;
        EXPECT_EQ(failed, 0u);
        EXPECT_GE(report->entries, 1'000'000u);
        EXPECT_GT(meanwhile, 0u) << "no packet came while the map was merged";
        EXPECT_EQ(report->evicted, 0u);
        EXPECT_LT(resident_kib_max() - resident_before_kib, 8 * 1024) << "memory grew with the entries";
        EXPECT_LT(report->took_ns, 60'000'000'000) << "not linear any more: some 0.3 s on an idle machine";
        std::printf("%s: %.0f ns an entry; %lu packets of 64 keys meanwhile; progress told %lu times\n", map,
                    static_cast<double>(report->took_ns) / static_cast<double>(report->entries),
                    static_cast<unsigned long>(meanwhile), static_cast<unsigned long>(steps));
        check(map, lanes, sent);
    }

    static OldFlow filled(std::uint32_t key, std::size_t lane) {
        if (key >= 1'000'000) return {};
        return {key + static_cast<std::uint32_t>(lane), 4'000'000'000U + key % 1'000};
    }

    void fill(const char* map, std::size_t lanes) {
        constexpr std::uint32_t batch = 50'000;
        std::vector<std::uint32_t> keys(batch);
        std::vector<OldFlow> values(batch * lanes);
        for (std::uint32_t first = 0; first < 1'000'000; first += batch) {
            for (std::uint32_t i = 0; i < batch; ++i) keys[i] = first + i;
            for (std::size_t i = 0; i < values.size(); ++i) values[i] = filled(keys[i / lanes], i % lanes);
            std::uint32_t count = batch;
            ASSERT_EQ(bpf_map_update_batch(old_.map(map), keys.data(), values.data(), &count, nullptr), 0);
        }
    }

    // What each CPU's packets and the fill make of a key.
    void check(const char* map, std::size_t lanes, const std::vector<Traffic::Sent>& sent) {
        std::vector<std::vector<std::uint64_t>> wanted(lanes, std::vector<std::uint64_t>(wide));
        for (std::size_t cpu = 0; cpu < cpus; ++cpu)
            for (std::size_t first = 0; first < sent[cpu].size(); ++first)
                for (std::uint32_t i = 0; sent[cpu][first] != 0 && i < keys_per_packet; ++i)
                    wanted[lanes == 1 ? 0 : cpu][first + i] += sent[cpu][first];
        std::size_t wrong = 0, seen = 0;
        for_each_entry<NewFlow>(new_.map(map), lanes,
                                [&](std::uint32_t key, std::span<const NewFlow> values) {
                                    ++seen;
                                    for (std::size_t lane = 0; lane < lanes; ++lane) {
                                        const OldFlow from = filled(key, lane);
                                        const std::uint64_t more = wanted[lane][key];
                                        wrong += values[lane].packets != from.packets + more ? 1 : 0;
                                        wrong += values[lane].bytes != from.bytes + 3 * more ? 1 : 0;
                                    }
                                });
        EXPECT_EQ(wrong, 0u) << "of " << seen;
        EXPECT_GE(seen, 1'000'000u);
    }
};

// The old counts are merged hundreds of times, so that programs and merger meet at the same number often.
TEST_F(UnderLoad, AddingToANumberThatOtherCpusAddToLosesNothing) {
    load();
    for (std::uint32_t key = 0; key < keys_per_packet; ++key) old_.put<OldFlow>("flows", key, {{1'000, 1}});
    auto prepared = MapMigration::prepare(old_.map("flows"), new_.map("flows"),
                                          plan_of(old_, new_, "flows", sum), merger);
    ASSERT_TRUE(prepared) << prepared.error().what;
    Traffic traffic(new_.program("count_shared"), 1);
    constexpr std::uint64_t times = 2'000;
    for (std::uint64_t i = 0; i < times; ++i) {
        const auto report = prepared->run();
        ASSERT_TRUE(report) << report.error().what;
    }
    std::uint64_t packets = 0;
    for (const auto& sent : traffic.stop()) packets += sent[0];
    for (std::uint32_t key = 0; key < keys_per_packet; ++key) {
        EXPECT_EQ(new_.get<NewFlow>("flows", key).at(0).packets, packets + 1'000 * times) << key;
        EXPECT_EQ(new_.get<NewFlow>("flows", key).at(0).bytes, 3 * packets + times) << key;
    }
}

TEST_F(UnderLoad, AddingOnACpuWhosePlainCountersAreInterruptsWorkLosesNothing) {
    old_.load();
    Version interrupting("interrupting");
    interrupting.load();
    for (std::uint32_t key = 0; key < keys_per_packet; ++key) {
        old_.put("cpu_flows", key, std::vector<OldFlow>(cpus, {1'000, 1}));
        interrupting.put("cpu_flows", key, std::vector<NewFlow>(cpus));
    }
    auto prepared = MapMigration::prepare(old_.map("cpu_flows"), interrupting.map("cpu_flows"),
                                          plan_of(old_, interrupting, "cpu_flows", sum), merger);
    ASSERT_TRUE(prepared) << prepared.error().what;
    const std::array<std::byte, 64> packet{};
    ASSERT_EQ(run_program(interrupting.program("start_ticking"), packet), std::uint32_t{XDP_PASS});
    constexpr std::uint64_t times = 1'000;
    for (std::uint64_t i = 0; i < times; ++i) {
        const auto report = prepared->run();
        ASSERT_TRUE(report) << report.error().what;
    }
    interrupting.put<std::uint64_t>("stopped", 0, {1});
    ASSERT_TRUE(wait_for_running_programs());
    const std::uint64_t ticks = interrupting.get<std::uint64_t>("ticks", 0).at(0);
    EXPECT_GT(ticks, times) << "too few interrupts to tell";
    for (std::uint32_t key = 0; key < keys_per_packet; ++key) {
        NewFlow all{};
        for (const NewFlow& one : interrupting.get<NewFlow>("cpu_flows", key)) {
            all.packets += one.packets;
            all.bytes += one.bytes;
        }
        EXPECT_EQ(all.packets, ticks + 1'000 * cpus * times) << key;
        EXPECT_EQ(all.bytes, 3 * ticks + cpus * times) << key;
    }
}

TEST_F(UnderLoad, AMillionEntriesOfAHashAreMergedAndNoUpdateIsLost) { run("flows", "count_shared", 1); }

TEST_F(UnderLoad, AMillionEntriesPerCpuAreMergedAndNoUpdateOfAPlainCounterIsLost) {
    run("cpu_flows", "count_per_cpu", cpus);
}

} // namespace
} // namespace homeostat::bpf
