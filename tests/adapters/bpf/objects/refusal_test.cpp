#include "adapters/bpf/objects/refusal.hpp"

#include "adapters/bpf/datapath/instance.hpp"
#include "adapters/bpf/kernel_port.hpp"

#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace homeostat::bpf {
namespace {

const KernelFacts machine{.missing_capabilities = {},
                          .in_user_namespace = false,
                          .lockdown = "none",
                          .release = "6.1.0",
                          .cpus = 4,
                          .page_bytes = 4096};

struct MapCase {
    const char* name;
    RefusedMap map;
    int number;
    const char* said;
};

class RefusedMap : public testing::TestWithParam<MapCase> {};

TEST_P(RefusedMap, HasItsDefinitionAndTheRemedyInItsText) {
    EXPECT_EQ(why_no_map(GetParam().map, GetParam().number, machine), GetParam().said);
}

INSTANTIATE_TEST_SUITE_P(
    Maps, RefusedMap,
    testing::Values(
        MapCase{"entries",
                {"m", BPF_MAP_TYPE_HASH, 4, 8, 4'294'967'295, 0, false},
                -E2BIG,
                "map m (hash, 4294967295 entries of 4 and 8 bytes) cannot be made: Argument list too long "
                "(E2BIG): that "
                "is more than the kernel allows for one map; lower max_entries, or make the value smaller"},
        MapCase{"per_cpu_value",
                {"m", BPF_MAP_TYPE_PERCPU_HASH, 4, 65'536, 4, 0, false},
                -E2BIG,
                "map m (percpu_hash, 4 entries of 4 and 65536 bytes) cannot be made: Argument list too long "
                "(E2BIG): a "
                "value that each CPU has of its own is at most 32768 bytes; make it smaller, or use a map "
                "that the CPUs "
                "share"},
        MapCase{"memory",
                {"m", BPF_MAP_TYPE_ARRAY, 4, 8, 1U << 30U, 0, false},
                -ENOMEM,
                "map m (array, 1073741824 entries of 4 and 8 bytes) cannot be made: Cannot allocate memory "
                "(ENOMEM): it "
                "takes 8 GiB; lower max_entries, or give the control group more memory"},
        MapCase{"memory_per_cpu",
                {"m", BPF_MAP_TYPE_PERCPU_HASH, 4, 12, 1024, 0, false},
                -ENOMEM,
                "map m (percpu_hash, 1024 entries of 4 and 12 bytes) cannot be made: Cannot allocate memory "
                "(ENOMEM): "
                "it takes 72 KiB; lower max_entries, or give the control group more memory"},
        MapCase{"no_entries",
                {"m", BPF_MAP_TYPE_HASH, 4, 8, 0, 0, false},
                -EINVAL,
                "map m (hash, 0 entries of 4 and 8 bytes) cannot be made: Invalid argument (EINVAL): "
                "max_entries is "
                "missing; give it by __uint(max_entries, N)"},
        MapCase{
            "ring",
            {"m", BPF_MAP_TYPE_RINGBUF, 0, 0, 5000, 0, false},
            -EINVAL,
            "map m (ringbuf, 5000 entries of 0 and 0 bytes) cannot be made: Invalid argument (EINVAL): the "
            "max_entries of a ring buffer are its bytes: a power of 2, and whole pages of 4096 bytes"},
        MapCase{"array_key",
                {"m", BPF_MAP_TYPE_ARRAY, 8, 8, 4, 0, false},
                -EINVAL,
                "map m (array, 4 entries of 8 and 8 bytes) cannot be made: Invalid argument (EINVAL): the "
                "key of an "
                "array is its index, of 4 bytes; give it by __type(key, __u32)"},
        MapCase{"no_key",
                {"m", BPF_MAP_TYPE_HASH, 0, 8, 4, 0, false},
                -EINVAL,
                "map m (hash, 4 entries of 0 and 8 bytes) cannot be made: Invalid argument (EINVAL): it has "
                "no key; "
                "give one by __type(key, …)"},
        MapCase{"trie",
                {"m", BPF_MAP_TYPE_LPM_TRIE, 8, 8, 4, 0, false},
                -EINVAL,
                "map m (lpm_trie, 4 entries of 8 and 8 bytes) cannot be made: Invalid argument (EINVAL): a "
                "trie takes "
                "__uint(map_flags, BPF_F_NO_PREALLOC)"},
        MapCase{"unknown_kind",
                {"m", 999, 4, 8, 4, 0, false},
                -EINVAL,
                "map m (kind 999, 4 entries of 4 and 8 bytes) cannot be made: Invalid argument (EINVAL): "
                "there is no "
                "such kind of map; use one of enum bpf_map_type"},
        MapCase{"missing_kind",
                {"m", BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 4, 0, true},
                -EINVAL,
                "map m (bloom_filter, 4 entries of 0 and 8 bytes) cannot be made: Invalid argument (EINVAL): "
                "the kernel "
                "6.1.0 has no maps of this kind; run a newer kernel, or use another"}),
    [](const auto& one) { return one.param.name; });

TEST(NotPermitted, NamesTheCapabilitiesThatAreMissing) {
    KernelFacts facts = machine;
    facts.missing_capabilities = {"CAP_BPF", "CAP_PERFMON"};
    EXPECT_EQ(why_not_permitted(-EPERM, facts),
              "Operation not permitted (EPERM); missing CAP_BPF, CAP_PERFMON: run as root or grant them");
}

TEST(NotPermitted, SaysThatRootInAUserNamespaceIsNotEnough) {
    KernelFacts facts = machine;
    facts.in_user_namespace = true;
    EXPECT_EQ(why_not_permitted(-EPERM, facts), "Operation not permitted (EPERM); the process is root in a "
                                                "user namespace of its own only: run it outside "
                                                "of that");
}

TEST(NotPermitted, SaysThatTheKernelIsLockedDown) {
    KernelFacts facts = machine;
    facts.lockdown = "confidentiality";
    EXPECT_EQ(
        why_not_permitted(-EPERM, facts),
        "Operation not permitted (EPERM); the kernel is locked down (confidentiality), which denies programs "
        "that "
        "read its memory: start it with lockdown=none, or without Secure Boot, or do without this program");
}

TEST(NotPermitted, BlamesNoCapabilityWhereNoneIsMissing) {
    const std::string said = why_not_permitted(-EPERM, machine);
    EXPECT_TRUE(said.contains("no capability is missing")) << said;
    EXPECT_TRUE(said.contains("security module")) << said;
    EXPECT_FALSE(said.contains("grant")) << said;
}

TEST(NoBpfFileSystem, IsSaidToBeMissingWithTheCommandThatMountsIt) {
    const std::string folder = testing::TempDir() + "refusal_test." + std::to_string(::getpid());
    const KernelPort kernel;
    const auto opened =
        Instance::open({.name = "test", .bpffs = folder + "/bpf", .state = folder + "/state"}, kernel);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().what, "no BPF file system is mounted for " + folder +
                                       "/bpf, where programs are pinned so that they outlive the controller; "
                                       "mount it: 'mount -t bpf bpf "
                                       "/sys/fs/bpf', or name the place of one in controller.bpffs");
    EXPECT_FALSE(std::filesystem::exists(folder)) << "nothing was made";
}

} // namespace
} // namespace homeostat::bpf
