// What the kernel itself says of objects that it does not take.
#include "adapters/bpf/objects/trial_load.hpp"

#include "adapters/bpf/descriptor.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <map>

namespace homeostat::bpf {
namespace {

class TrialLoadTest : public testing::Test {
  protected:
    void SetUp() override {
        if (geteuid() != 0) GTEST_SKIP() << "needs root, to load BPF programs";
    }

    static TrialProgram program(const std::string& object, const std::string& function) {
        auto trial = try_load(object_path(object), function);
        EXPECT_TRUE(trial) << trial.error().what;
        return trial && trial->programs.size() == 1 ? std::move(trial->programs.front()) : TrialProgram{};
    }

    static std::string error_of(const std::string& object) {
        const auto trial = try_load(object_path(object), "");
        return trial ? "" : trial.error().what;
    }
};

TEST_F(TrialLoadTest, TellsOfEachProgramAndMapThatWasTaken) {
    const auto trial = try_load(object_path("counting"), "");
    ASSERT_TRUE(trial) << trial.error().what;
    ASSERT_EQ(trial->maps.size(), 4U);
    EXPECT_EQ(trial->maps.front().name, "verdict_counters");
    EXPECT_EQ(trial->maps.front().kind, "percpu_array");
    EXPECT_EQ(trial->maps.front().value_bytes, 16U);
    EXPECT_EQ(trial->maps.front().max_entries, 2U);
    EXPECT_NE(trial->maps.front().id, 0U);
    ASSERT_EQ(trial->programs.size(), 2U);
    for (const TrialProgram& one : trial->programs) {
        EXPECT_FALSE(one.refusal) << one.refusal->what;
        EXPECT_EQ(one.kind, "xdp");
        EXPECT_NE(one.id, 0U);
        EXPECT_EQ(one.tag.size(), 16U);
        EXPECT_GT(one.instructions, 0U);
        EXPECT_GE(one.verified_instructions, 2U);
        EXPECT_NE(std::ranges::find(one.maps, "verdict_counters"), one.maps.end());
        EXPECT_EQ(std::ranges::find(one.maps, "limits"), one.maps.end()) << "it does not use it";
    }
    EXPECT_NE(trial->programs[0].tag, trial->programs[1].tag);
}

TEST_F(TrialLoadTest, NothingOfItStays) {
    const TrialProgram taken = program("counting", "count_pass");
    ASSERT_NE(taken.id, 0U);
    const Descriptor there(bpf_prog_get_fd_by_id(taken.id));
    EXPECT_FALSE(there) << "program " << taken.id << " is still there";
}

TEST_F(TrialLoadTest, EachRejectionHasItsLineColumnAndMessage) {
    struct Expected {
        std::string message; // begins so
        std::string text;    // of the source line, contains this; "" for none
        bool has_column = true;
    };
    const std::map<std::string, Expected> all{
        {"beyond_the_packet", {"invalid access to packet, off=100 size=4", "return data[25]"}},
        {"no_null_check", {"R0 invalid mem access 'map_value_or_null'", "return *number"}},
        {"endless", {"infinite loop detected at insn ", "if r1 != 7 goto 0b"}},
        {"too_complex", {"BPF program is too large. Processed 1000001 insn", "(1u << 30)"}},
        {"uninitialised", {"R7 !read_ok", "r0 = r7"}},
        {"not_a_helper", {"invalid func unknown#9999", "missing()"}},
        {"never_released", {"Unreleased reference id=", "return XDP_PASS"}},
        {"stack_too_large", {"combined stack size of 2 calls is ", "", false}},
        {"below_the_stack", {"invalid write to stack R10 off=-520 size=8", "r10 - 520"}},
        {"in_a_function", {"invalid access to packet, off=12 size=4", "return data[3]"}},
        {"wrong_return", {"At program exit the register R0 has ", "return 5"}}};
    for (const auto& [function, expected] : all) {
        SCOPED_TRACE(function);
        const TrialProgram refused = program("rejected", function);
        ASSERT_TRUE(refused.refusal && refused.refusal->verdict);
        const Verdict& verdict = *refused.refusal->verdict;
        EXPECT_TRUE(verdict.message.starts_with(expected.message)) << verdict.message;
        EXPECT_FALSE(verdict.advice.empty());
        EXPECT_TRUE(refused.log.contains("processed ")) << "the whole log";
        if (expected.text.empty()) continue;
        ASSERT_TRUE(verdict.at);
        EXPECT_TRUE(verdict.at->source.text.contains(expected.text)) << verdict.at->source.text;
        EXPECT_TRUE(verdict.at->source.file.ends_with("/tests/adapters/bpf/rejected.bpf.c"));
        EXPECT_GT(verdict.at->source.line, 0);
        EXPECT_GT(verdict.at->source.column, 0);
    }
}

TEST_F(TrialLoadTest, ALicenceThatTheHelperDoesNotAllowIsToldWithTheRemedy) {
    const TrialProgram refused = program("not_gpl", "");
    ASSERT_TRUE(refused.refusal);
    EXPECT_TRUE(refused.refusal->what.contains("cannot call GPL-restricted function"))
        << refused.refusal->what;
    EXPECT_TRUE(refused.refusal->what.contains("SEC(\"license\") = \"GPL\"")) << refused.refusal->what;
}

TEST_F(TrialLoadTest, AProgramThatIsTooLargeIsToldWithItsSize) {
    const TrialProgram refused = program("too_large", "");
    ASSERT_TRUE(refused.refusal);
    EXPECT_TRUE(refused.refusal->what.contains("instructions, and the kernel takes 1000000; split it"))
        << refused.refusal->what;
    EXPECT_FALSE(refused.refusal->verdict);
}

TEST_F(TrialLoadTest, AMapThatCannotBeMadeIsToldOnceAndNotForEachProgram) {
    EXPECT_EQ(error_of("map_too_large"), "object " + object_path("map_too_large") +
                                             ": map blocks (percpu_array, 4 entries of 4 and 65536 bytes) "
                                             "cannot be made: Argument list too long "
                                             "(E2BIG): a value that each CPU has of its own is at most 32768 "
                                             "bytes; make it smaller, or use a map "
                                             "that the CPUs share");
}

TEST_F(TrialLoadTest, AFunctionThatIsNotThereIsToldWithTheOneThatIsMeant) {
    const auto trial = try_load(object_path("counting"), "count_pas");
    ASSERT_FALSE(trial);
    EXPECT_EQ(trial.error().what,
              "object " + object_path("counting") + ": no program 'count_pas'; did you mean 'count_pass'?");
}

TEST_F(TrialLoadTest, AControllersProgramIsRefusedInTheSameWordsAndTellsOfTheWholeLog) {
    const auto loaded = LoadedPrograms::load({source("broken", "out_of_bounds")});
    ASSERT_TRUE(loaded) << loaded.error().what;
    const std::string& what = loaded->rejected().at("broken").what;
    EXPECT_TRUE(what.starts_with("load program broken (out_of_bounds of " + object_path("out_of_bounds") +
                                 "): the verifier rejected it: invalid access to packet"))
        << what;
    EXPECT_TRUE(what.contains("out_of_bounds.bpf.c:8:12: return data[25]")) << what;
    EXPECT_TRUE(what.ends_with("homeostat load --log -f out_of_bounds " + object_path("out_of_bounds")))
        << what;
}

TEST_F(TrialLoadTest, AControllersTwinThatIsRejectedIsNamed) {
    ProgramSource pass = source("pass", "with_twin");
    pass.twin = "other_twin";
    const auto loaded = LoadedPrograms::load({pass});
    ASSERT_TRUE(loaded) << loaded.error().what;
    const std::string& what = loaded->rejected().at("pass").what;
    EXPECT_TRUE(what.contains("the verifier rejected other_twin: invalid access to packet")) << what;
    EXPECT_TRUE(what.contains("with_twin.bpf.c:12:12: return start[100]")) << what;
    EXPECT_TRUE(what.ends_with("--log -f other_twin " + object_path("with_twin"))) << what;
}

TEST_F(TrialLoadTest, AControllersMapIsRefusedInTheSameWords) {
    const auto loaded = LoadedPrograms::load({source("large", "map_too_large")});
    ASSERT_TRUE(loaded) << loaded.error().what;
    const std::string& what = loaded->rejected().at("large").what;
    EXPECT_TRUE(what.contains("map blocks (percpu_array, 4 entries of 4 and 65536 bytes) cannot be made"))
        << what;
}

} // namespace
} // namespace homeostat::bpf
