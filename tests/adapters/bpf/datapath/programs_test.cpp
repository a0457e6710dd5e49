#include "adapters/bpf/datapath/programs.hpp"

#include "tests/adapters/bpf/objects.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

namespace homeostat::bpf {
namespace {

TEST(LoadedProgramsTest, NothingOfAnObjectIsLoadedButTheFunctionThatIsAskedFor) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root, to load BPF programs";
    const auto loaded = LoadedPrograms::load({source("pass", "with_twin")});
    ASSERT_TRUE(loaded) << loaded.error().what;
    EXPECT_TRUE(loaded->program("pass")) << "the verifier would reject a program that is not asked for";
}

} // namespace
} // namespace homeostat::bpf
