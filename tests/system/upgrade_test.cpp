// A controller that finds the program of an older object attached, whose maps are defined differently.

#include "tests/system/controller.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <linux/capability.h>

#include <cstdint>
#include <filesystem>

namespace homeostat::system_test {

namespace {

namespace fs = std::filesystem;

using testing::HasSubstr;

constexpr std::string_view merged = "maps.counts.merge = \"sum\"\nmaps.limits.merge = \"sum\"\n";

class Upgrade : public InLab {
  protected:
    // Version is "old" or "new".
    std::string config(const std::string& version, std::string_view rules) const {
        fs::create_directories(folder_.path() / "objects");
        fs::copy_file(HOMEOSTAT_BINARY_DIR "/tests/bpf/carry_" + version + ".bpf.o",
                      folder_.path() / "objects/count.bpf.o", fs::copy_options::overwrite_existing);
        return folder_.write("c.toml",
                             "version = 1\n[controller]\nobjects = [\"objects\", \"" HOMEOSTAT_BINARY_DIR
                             "/bpf\"]\ncontrol = \"none\"\nbpffs = \"" +
                                 bpffs() + "\"\nstate = \"" + (folder_.path() / "state").string() +
                                 "\"\n[[program]]\nname = \"count\"\nobject = \"count.bpf.o\"\n" +
                                 std::string(rules) +
                                 "[[interface]]\nname = \"lab0\"\nxdp.program = \"count\"\n"
                                 "maps.limits.1 = { pps = 5 }\n");
    }

    Child start(const std::string& config) const {
        // With the three capabilities alone.
        std::vector<int> others;
        for (int capability = 0; capability <= CAP_LAST_CAP; ++capability)
            if (capability != CAP_BPF && capability != CAP_NET_ADMIN && capability != CAP_PERFMON)
                others.push_back(capability);
        return Child::start({homeostat(), "run", "-c", config}, {.in = &host(), .without = others});
    }

    // In the map of the program that is attached, whose last field they are.
    std::uint64_t packets() const {
        const bpf::Descriptor map(bpf_obj_get((bpffs() + "/default/lab0/maps/counts").c_str()));
        bpf_map_info info{};
        std::uint32_t size = sizeof info;
        if (!map || bpf_obj_get_info_by_fd(map.get(), &info, &size) != 0) return 0;
        const std::size_t words = info.value_size / 8;
        std::vector<std::uint64_t> values(words * static_cast<std::size_t>(libbpf_num_possible_cpus()));
        const std::uint32_t key = 0;
        if (bpf_map_lookup_elem(map.get(), &key, values.data()) != 0) return 0;
        std::uint64_t sum = 0;
        for (std::size_t i = words - 1; i < values.size(); i += words) sum += values[i];
        return sum;
    }

    void TearDown() override {
        const Finished detached =
            run_to_end({homeostat(), "detach", "-c", (folder_.path() / "c.toml").string()}, {.in = &host()});
        EXPECT_EQ(detached.code, 0) << detached.errors;
    }
};

TEST_F(Upgrade, IsRefusedWithTheReasonUntilTheConfigurationSaysHowThenCountersGoOn) {
    Child first = start(config("old", ""));
    first.await_error("count runs as program");
    send(7, 0, 0);
    EXPECT_TRUE(eventually([&] { return packets() == 7; }));
    first.signal(SIGTERM);
    EXPECT_EQ(first.wait(), 0);
    const std::uint32_t before = attached_id();
    ASSERT_NE(before, 0u) << "it stays";

    Child refused = start(config("new", ""));
    EXPECT_EQ(refused.wait(), 1);
    EXPECT_THAT(refused.errors(),
                HasSubstr("map counts cannot be carried over: value field 'packets' was at offset "
                          "0 and is 8"));
    EXPECT_THAT(refused.errors(), HasSubstr("In [[program]] count, maps.counts.merge = "));
    EXPECT_EQ(attached_id(), before);

    Child second = start(config("new", merged));
    second.await_error("map counts: 2 entries were carried over into its new definition");
    second.await_error("count runs as program");
    EXPECT_NE(attached_id(), before);
    send(3, 0, 0);
    EXPECT_TRUE(eventually([&] { return packets() == 10; })) << packets();
    second.signal(SIGTERM);
    EXPECT_EQ(second.wait(), 0);
}

} // namespace
} // namespace homeostat::system_test
