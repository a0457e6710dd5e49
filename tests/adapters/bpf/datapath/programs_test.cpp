#include "adapters/bpf/datapath/programs.hpp"

#include "tests/adapters/bpf/objects.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

namespace homeostat::bpf {
namespace {

TEST(PinnedProgram, IsInUseWhereItIsAttachedOrStandsInForWhatIs) {
    const AttachedVersions nothing;
    const AttachedVersions host{.xdp = "guard@1", .tc = {"count@2"}};
    const AttachedVersions card{.xdp = "guard@1+hw", .tc = {}};
    struct Case {
        const char* version;
        bool by_host;
        bool by_card;
    };
    for (const auto& [version, by_host, by_card] :
         {Case{"guard@1", true, true}, Case{"guard@1+tc", true, true}, Case{"guard@1+hw", false, true},
          Case{"count@2", true, false}, Case{"guard@2", false, false}, Case{"guard", false, false},
          Case{"+tc", false, false}, Case{"", false, false}}) {
        EXPECT_FALSE(is_in_use(version, nothing)) << version;
        EXPECT_EQ(is_in_use(version, host), by_host) << version;
        EXPECT_EQ(is_in_use(version, card), by_card) << version;
    }
}

TEST(LoadedProgramsTest, NothingOfAnObjectIsLoadedButTheFunctionThatIsAskedFor) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root, to load BPF programs";
    const auto loaded = LoadedPrograms::load({source("pass", "with_twin")});
    ASSERT_TRUE(loaded) << loaded.error().what;
    EXPECT_TRUE(loaded->program("pass")) << "the verifier would reject a program that is not asked for";
}

} // namespace
} // namespace homeostat::bpf
