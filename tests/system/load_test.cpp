// What `homeostat load` says of objects, and with which code it ends.

#include "tests/system/child.hpp"
#include "tests/system/files.hpp"
#include "tests/system/kernel.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>

#include <filesystem>

namespace homeostat::system_test {

namespace {

namespace json = boost::json;
using testing::HasSubstr;
using testing::Not;

std::string object(const std::string& name) {
    return std::string(HOMEOSTAT_BINARY_DIR) + "/tests/bpf/" + name + ".bpf.o";
}

Finished load(std::vector<std::string> words, const Where& where = {}) {
    words.insert(words.begin(), {homeostat(), "load"});
    return run_to_end(std::move(words), where);
}

class Load : public testing::Test {
  protected:
    void SetUp() override {
        if (const std::string reason = reason_to_skip(); !reason.empty()) GTEST_SKIP() << reason;
    }
};

TEST_F(Load, OfAnObjectThatTheKernelTakesTellsItsMapsAndProgramsAndAttachesNothing) {
    const std::set<std::string> before = pins();
    const Finished finished = load({object("counting")});
    EXPECT_EQ(finished.code, 0) << finished.errors;
    EXPECT_THAT(finished.out, HasSubstr("map verdict_counters: percpu_array, id "));
    EXPECT_THAT(finished.out, HasSubstr("2 entries, key of 4 bytes, value of 16 bytes\n"));
    EXPECT_THAT(finished.out, HasSubstr("program count_pass: xdp, id "));
    EXPECT_THAT(finished.out, HasSubstr("maps verdict_counters"));
    EXPECT_THAT(finished.out, HasSubstr("the kernel took 2 of 2 programs; nothing was attached"));
    EXPECT_EQ(pins(), before);
}

TEST_F(Load, OfTheShippedObjectsTakesAll) {
    for (const std::string name : {"xdp_counter.bpf.o", "xdp_guard.bpf.o"}) {
        const Finished finished = load({std::string(HOMEOSTAT_BINARY_DIR) + "/bpf/" + name});
        EXPECT_EQ(finished.code, 0) << finished.out << finished.errors;
    }
}

TEST_F(Load, OfARejectedProgramTellsTheVerdictAndOnRequestTheWholeLog) {
    const Finished finished = load({object("rejected"), "--function", "no_null_check"});
    EXPECT_EQ(finished.code, 1);
    EXPECT_THAT(finished.out, HasSubstr("program no_null_check: xdp, refused: the verifier rejected it: R0 "
                                        "invalid mem access 'map_value_or_null'\n  at "));
    EXPECT_THAT(finished.out, HasSubstr("rejected.bpf.c:26:12: return *number == 0"));
    EXPECT_THAT(finished.out, HasSubstr("\n  r0 holds map_value_or_null("));
    EXPECT_THAT(finished.out, HasSubstr("\n  compare the pointer with NULL before it is used\n"));
    EXPECT_THAT(finished.out, Not(HasSubstr("processed ")));
    EXPECT_THAT(finished.out, HasSubstr("--log prints the verifier's whole log"));

    const Finished whole = load({object("rejected"), "-f", "no_null_check", "--log"});
    EXPECT_EQ(whole.code, 1);
    EXPECT_THAT(whole.out, HasSubstr("the verifier's log of no_null_check:\n"));
    EXPECT_THAT(whole.out, HasSubstr("\nprocessed 7 insns"));
}

TEST_F(Load, AsJsonIsOneObjectWithTheVerdictInItsParts) {
    const Finished finished = load({object("rejected"), "-f", "never_released", "--json"});
    EXPECT_EQ(finished.code, 1);
    EXPECT_EQ(finished.errors, "");
    const json::object told = json::parse(finished.out).as_object();
    EXPECT_EQ(told.at("maps").as_array().size(), 2U);
    const json::object& program = told.at("programs").as_array().at(0).as_object();
    EXPECT_EQ(program.at("name").as_string(), "never_released");
    EXPECT_FALSE(program.at("taken").as_bool());
    EXPECT_FALSE(program.contains("log"));
    const json::object& verdict = program.at("verdict").as_object();
    EXPECT_EQ(verdict.at("at").at("line").to_number<int>(), 54);
    EXPECT_EQ(verdict.at("acquired").at("line").to_number<int>(), 52);
    EXPECT_EQ(verdict.at("registers").as_array().at(0).at("name").as_string(), "r0");

    const json::object taken =
        json::parse(load({object("counting"), "-f", "count_drop", "--json"}).out).as_object();
    const json::object& loaded = taken.at("programs").as_array().at(0).as_object();
    EXPECT_TRUE(loaded.at("taken").as_bool());
    EXPECT_GT(loaded.at("id").to_number<std::uint32_t>(), 0U);
    EXPECT_EQ(loaded.at("tag").as_string().size(), 16U);
    EXPECT_GT(loaded.at("verified_instructions").to_number<std::uint32_t>(), 1U);
    EXPECT_EQ(loaded.at("maps").as_array().at(0).as_string(), "verdict_counters");
}

TEST_F(Load, WithoutCapabilitiesNamesThem) {
    const Finished finished = load({object("counting")}, {.without = {CAP_BPF, CAP_SYS_ADMIN, CAP_PERFMON}});
    EXPECT_EQ(finished.code, 1);
    EXPECT_THAT(
        finished.errors,
        HasSubstr(
            "counting.bpf.o: Operation not permitted (EPERM); missing CAP_BPF, CAP_PERFMON: run as root "
            "or grant them\n"));
}

TEST(LoadNames, ThatAreNoObjectsAreToldForWhatTheyAre) {
    const Folder folder;
    const std::string text = folder.write("text", "hello\n");
    const std::string empty = folder.write("empty", "");
    EXPECT_EQ(load({folder.path().string()}).errors,
              "homeostat load: object " + folder.path().string() + ": a folder; name an object file in it\n");
    EXPECT_EQ(load({empty}).errors, "homeostat load: object " + empty + ": not an ELF file: it is empty\n");
    EXPECT_EQ(load({text}).errors,
              "homeostat load: object " + text + ": not an ELF file: it is a text file\n");
    const Finished absent = load({"/nowhere/a.o"});
    EXPECT_EQ(absent.code, 1);
    EXPECT_EQ(absent.errors, "homeostat load: object /nowhere/a.o: No such file or directory (ENOENT)\n");
    const Finished told = load({text, "--json"});
    EXPECT_EQ(told.errors, "");
    EXPECT_THAT(json::parse(told.out).at("error").as_string().c_str(), HasSubstr("it is a text file"));
}

TEST(LoadNames, AreNeededAndOneOfThemOnly) {
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{}, {"a.o", "b.o"}, {"a.o", "--function="}, {"a.o", "--all"}}) {
        const Finished finished = load(words);
        EXPECT_EQ(finished.code, 2);
        EXPECT_EQ(finished.out, "");
        EXPECT_THAT(finished.errors, HasSubstr("Try 'homeostat load --help'."));
    }
}

// A controller says the same of them before it touches anything.
TEST(LoadNames, ThatAreNoObjectsAreRefusedInAConfigurationToo) {
    const Folder folder;
    folder.write("text.o", "hello\n");
    std::filesystem::create_directory(folder.path() / "folder.o");
    const auto refusal = [&](const std::string& name) {
        const std::string config = folder.write(
            "c.toml", "version = 1\n[controller]\nobjects = [\".\"]\n[[program]]\nname = \"p\"\nobject = \"" +
                          name +
                          "\"\n[[interface]]\nname = \"lo\"\nxdp.program = \"p\"\nxdp.mode = \"skb\"\n");
        const Finished finished = run_to_end({homeostat(), "check", "-c", config});
        EXPECT_EQ(finished.code, 1);
        return finished.out + finished.errors;
    };
    EXPECT_THAT(refusal("text.o"), HasSubstr("text.o: not an ELF file: it is a text file"));
    EXPECT_THAT(refusal("folder.o"), HasSubstr("folder.o: a folder; name an object file in it"));
    EXPECT_THAT(refusal(""), HasSubstr("'object' is empty"));
    std::filesystem::copy(object("unknown_section"), folder.path() / "misspelt.o");
    EXPECT_THAT(refusal("misspelt.o"), HasSubstr("did you mean SEC(\"xdp\")?"));
}

} // namespace

} // namespace homeostat::system_test
