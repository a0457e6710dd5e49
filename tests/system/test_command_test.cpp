// homeostat test: on what is shipped, on what its help shows, on tests that fail, and on files that are
// wrong.

#include "tests/system/child.hpp"
#include "tests/system/files.hpp"

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace homeostat::system_test {

namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class TestCommand : public testing::Test {
  protected:
    Finished test(std::vector<std::string> words) const {
        words.insert(words.begin(), {homeostat(), "test"});
        return run_to_end(std::move(words), {.folder = folder_.path()});
    }

    Folder folder_;
};

const std::string shipped = HOMEOSTAT_SOURCE_DIR "/configs/policies/udp-flood.test.toml";

// The lines of the help that are indented, after the one that has these words.
std::string block_after(const std::string& help, const std::string& words) {
    std::istringstream lines(help.substr(help.find(words)));
    std::string line;
    std::getline(lines, line);
    std::string block;
    while (std::getline(lines, line) && (line.empty() || line.starts_with("  "))) block += line + "\n";
    return block;
}

TEST_F(TestCommand, TheExampleOfItsHelpPasses) {
    const std::string help = test({"--help"}).out;
    folder_.write("flood.test.toml", block_after(help, "A test document,"));
    folder_.write("flood.toml", block_after(help, "and flood.toml:"));
    const Finished finished = test({"flood.test.toml"});
    EXPECT_EQ(finished.code, 0) << finished.out << finished.errors;
    EXPECT_THAT(finished.out, HasSubstr("1 passed, 0 failed, 0 skipped"));
}

TEST_F(TestCommand, TheShippedTestsPassAndNoticeNineOfTenMutants) {
    if (is_sanitized) GTEST_SKIP() << too_slow_here;
    const Finished finished = test({shipped, "--coverage", "--mutate", "--mutate-min", "90", "--json"});
    EXPECT_EQ(finished.code, 0) << finished.out << finished.errors;
    const auto told = boost::json::parse(finished.out).as_object();
    EXPECT_EQ(told.at("failed").to_number<int>(), 0);
    EXPECT_GT(told.at("passed").to_number<int>(), 5);
    const auto& mutation = told.at("files").at(0).at("mutation").as_object();
    EXPECT_GT(mutation.at("mutants").to_number<int>(), 40);
    EXPECT_GE(mutation.at("percent").to_number<double>(), 90);
    EXPECT_GT(told.at("files").at(0).at("coverage").at(0).at("reached").to_number<int>(), 20);
}

TEST_F(TestCommand, AFailureIsToldWithPlaceTimeEvidenceAndTimeline) {
    folder_.write("p.toml", R"(version = 1
[[symptom]]
name = "flood"
raise = 'pps > 100'
)");
    const std::string text = R"(version = 1
policies = ["p.toml"]
[[interface]]
name = "eth0"
[[test]]
name = "wrong"
series = [{ series = 'pps{iface="eth0"}', values = "1x3 200x3" }]
[[test.expect]]
at = "5s"
symptoms = { flood = "inactive" }
[[test]]
name = "right"
series = [{ series = 'pps{iface="eth0"}', values = "1x3" }]
[[test.expect]]
symptoms = { flood = "inactive" }
[[test]]
name = "late"
skip = "not yet"
[[test.expect]]
active = []
)";
    folder_.write("p.test.toml", text);
    const Finished finished = test({"p.test.toml"});
    EXPECT_EQ(finished.code, 1);
    EXPECT_THAT(finished.out,
                AllOf(HasSubstr("FAILED  wrong"), HasSubstr("p.test.toml:10:14: at 5s: symptom flood"),
                      HasSubstr("expected  inactive"), HasSubstr("actual    raised since 4s"),
                      HasSubstr("| raise 'pps > 100' holds (200)"),
                      HasSubstr("4s  flood{iface=\"eth0\"}: inactive -> raised (200)")));
    EXPECT_THAT(finished.out, AllOf(HasSubstr("skipped late (not yet)"),
                                    HasSubstr("1 passed, 1 failed, 1 skipped"), Not(HasSubstr("\033"))));

    const Finished filtered = test({"p.test.toml", "--filter", "^right$"});
    EXPECT_EQ(filtered.code, 0) << filtered.out;
    EXPECT_THAT(filtered.out, HasSubstr("1 passed, 0 failed, 2 skipped"));

    const Finished as_json = test({"p.test.toml", "--json"});
    EXPECT_EQ(as_json.code, 1);
    const auto told = boost::json::parse(as_json.out).as_object();
    const auto& finding = told.at("files").at(0).at("tests").at(0).at("findings").at(0);
    EXPECT_EQ(finding.at("line").to_number<int>(), 10);
    EXPECT_EQ(finding.at("time_ms").to_number<int>(), 5000);
    EXPECT_EQ(finding.at("expected").as_string(), "inactive");
}

TEST_F(TestCommand, AFileThatIsWrongIsToldWholeAndNothingRuns) {
    folder_.write("p.toml", "version = 1\n[[symptom]]\nname = \"flood\"\nraise = 'pps >'\n");
    folder_.write("p.test.toml", R"(version = 1
policies = ["p.toml", "missing.toml"]
[[test]]
name = "t"
series = [{ series = 'pps', values = "1 2 x" }]
[[test.expect]]
symptoms = { flood = "high" }
)");
    const Finished finished = test({"p.test.toml"});
    EXPECT_EQ(finished.code, 1);
    EXPECT_THAT(finished.errors,
                AllOf(HasSubstr("p.toml:4:"), HasSubstr("p.test.toml:2:"), HasSubstr("missing.toml"),
                      HasSubstr("p.test.toml:5:43: 'x' is no value"), HasSubstr("\"high\""),
                      HasSubstr("no interface is named")));
    EXPECT_THAT(finished.out, Not(HasSubstr("passed")));
    EXPECT_EQ(test({}).code, 2);
    EXPECT_EQ(test({"p.test.toml", "--filter", "("}).code, 2);
    EXPECT_EQ(test({"absent.toml"}).code, 1);
}

TEST_F(TestCommand, CheckTakesATestDocumentForWhatItIs) {
    const Finished good = run_to_end({homeostat(), "check", shipped}, {.folder = folder_.path()});
    EXPECT_EQ(good.code, 0) << good.out;
    folder_.write("p.toml", "version = 1\n[[symptom]]\nname = \"flood\"\nraise = 'pps > 1'\n");
    folder_.write("p.test.toml", R"(version = 1
policies = ["p.toml"]
[[interface]]
name = "eth0"
[[test]]
name = "t"
[[test.expect]]
symptoms = { flod = "raised" }
)");
    const Finished bad = run_to_end({homeostat(), "check", "p.test.toml"}, {.folder = folder_.path()});
    EXPECT_EQ(bad.code, 1);
    EXPECT_THAT(bad.out,
                HasSubstr("p.test.toml:8:14: the policies have no symptom 'flod'; did you mean 'flood'?"));
}

} // namespace
} // namespace homeostat::system_test
