#include "adapters/bpf/grace_period.hpp"
#include "tests/adapters/bpf/maps/flows.hpp"

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <initializer_list>
#include <thread>

namespace homeostat::bpf {
namespace {

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

// How many stay is the kernel's matter; what stays is whole.
TEST_F(MapMigrationTest, AFullLruMapIsMergedAsFarAsTheNewOneKeepsIt) {
    load();
    for (std::uint32_t key = 0; key < 4'000; ++key) old_.put<OldCount>("count_lru", key, {old_count(key, 0)});
    const auto report = migrate(old_, new_, "count_lru", sum);
    ASSERT_TRUE(report) << report.error().what;
    EXPECT_GT(report->entries, 500u);
    EXPECT_EQ(report->created, report->entries);
    std::size_t kept = 0;
    for (std::uint32_t key = 0; key < 4'000; ++key) {
        const auto values = new_.get<NewCount>("count_lru", key);
        kept += values.size();
        for (const NewCount& value : values) EXPECT_EQ(value.packets, old_count(key, 0).packets);
    }
    EXPECT_GT(kept, 0u);
    EXPECT_LE(kept, report->entries);
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

// On a thread of its own, since both are the thread's.
void with_capabilities(std::initializer_list<unsigned> kept, const std::function<void()>& work) {
    std::jthread([&] {
        __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
        std::array<__user_cap_data_struct, 2> sets{};
        for (const unsigned capability : kept) sets[capability / 32].effective |= 1U << capability % 32;
        for (auto& set : sets) set.permitted = set.effective;
        ASSERT_EQ(::syscall(SYS_capset, &header, sets.data()), 0);
        work();
    });
}

void with_syscall_refused(std::uint32_t number, std::uint32_t error, const std::function<void()>& work) {
    std::jthread([&] {
        std::array<sock_filter, 4> filter{sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
                                          sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
                                          sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
                                          sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
        const sock_fprog program{filter.size(), filter.data()};
        ASSERT_EQ(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        ASSERT_EQ(::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
        work();
    });
}

TEST_F(MapMigrationTest, TheControllersOwnCapabilitiesAreEnough) {
    load();
    for (std::uint32_t key = 0; key < 10; ++key)
        old_.put("count_cpu_hash", key, std::vector<OldCount>(cpus, old_count(key, 0)));
    with_capabilities({CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON}, [&] {
        EXPECT_TRUE(wait_for_running_programs());
        const auto report = migrate(old_, new_, "count_cpu_hash", sum);
        ASSERT_TRUE(report) << report.error().what;
        EXPECT_EQ(report->created, 10u);
    });
}

TEST_F(MapMigrationTest, AMissingCapabilityIsTold) {
    load();
    with_capabilities({CAP_NET_ADMIN, CAP_PERFMON}, [&] {
        const auto report = migrate(old_, new_, "count_hash", sum);
        ASSERT_FALSE(report);
        EXPECT_EQ(report.error().what, "migrate map count_hash: load object " + merger +
                                           ": Operation not permitted (EPERM); missing CAP_BPF: run as root "
                                           "or grant them");
    });
}

TEST(WaitForRunningPrograms, AlsoWorksWhereTheKernelRefusesAGlobalMembarrier) {
    with_syscall_refused(SYS_membarrier, EINVAL, [] {
        EXPECT_EQ(::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0), -1);
        const auto waited = wait_for_running_programs();
        EXPECT_TRUE(waited) << waited.error().what;
    });
    with_capabilities({}, [] {
        with_syscall_refused(SYS_membarrier, EINVAL, [] {
            const auto waited = wait_for_running_programs();
            ASSERT_FALSE(waited);
            EXPECT_EQ(waited.error().what, "wait for running programs: update a map of maps: Operation not "
                                           "permitted (EPERM); missing CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON: "
                                           "run as root or grant them");
        });
    });
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

} // namespace
} // namespace homeostat::bpf
