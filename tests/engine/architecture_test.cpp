#include "tests/engine/architecture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace homeostat::test {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::array folders{"knowledge", "policies", "engine", "adapters",
                             "bpf",       "configs",  "tests",  "benchmarks"};

bool is_source(const fs::path& path) {
    constexpr std::array extensions{".hpp", ".cpp", ".h", ".c"};
    return std::ranges::find(extensions, path.extension()) != extensions.end() ||
           path.filename() == "README.md";
}

const std::vector<SourceFile>& tree() {
    static const std::vector<SourceFile> files = [] {
        std::vector<SourceFile> found;
        const fs::path root = HOMEOSTAT_SOURCE_DIR;
        for (const char* folder : folders) {
            if (!fs::is_directory(root / folder)) continue;
            for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
                if (!entry.is_regular_file() || !is_source(entry.path())) continue;
                std::ostringstream text;
                text << std::ifstream(entry.path()).rdbuf();
                found.push_back({fs::relative(entry.path(), root).generic_string(), text.str()});
            }
        }
        return found;
    }();
    return files;
}

std::vector<std::string> mistakes_of_tree(std::vector<std::string> (*check)(const SourceFile&)) {
    std::vector<std::string> mistakes;
    for (const SourceFile& file : tree())
        for (const std::string& mistake : check(file)) mistakes.push_back(mistake);
    return mistakes;
}

TEST(Tree, IsFound) {
    const auto has = [](const std::string& path) {
        return std::ranges::any_of(tree(), [&](const SourceFile& file) { return file.path == path; });
    };
    EXPECT_TRUE(has("knowledge/labels.hpp"));
    EXPECT_TRUE(has("engine/runner.cpp"));
    EXPECT_TRUE(has("tests/engine/architecture_test.cpp"));
}

TEST(Tree, IncludesPointOneWay) { EXPECT_THAT(mistakes_of_tree(include_mistakes), IsEmpty()); }

TEST(Tree, TheCoreReadsNothingButItsInputs) { EXPECT_THAT(mistakes_of_tree(ban_mistakes), IsEmpty()); }

TEST(Tree, FilesAndReadmesAreShort) { EXPECT_THAT(mistakes_of_tree(length_mistakes), IsEmpty()); }

// ---- each check can fail

bool may_include(const std::string& path, const std::string& header) {
    return include_mistakes({path, "#include " + header + "\n"}).empty();
}

TEST(IncludeCheck, KnowsTheRoomsOfTheCore) {
    EXPECT_TRUE(may_include("knowledge/a.cpp", "\"knowledge/b.hpp\""));
    EXPECT_TRUE(may_include("knowledge/a.cpp", "<vector>"));
    EXPECT_TRUE(may_include("knowledge/a.cpp", "<Eigen/Dense>"));
    EXPECT_FALSE(may_include("knowledge/a.cpp", "\"policies/b.hpp\""));
    EXPECT_FALSE(may_include("knowledge/a.cpp", "<toml++/toml.h>"));
    EXPECT_FALSE(may_include("knowledge/a.cpp", "<unistd.h>"));
    EXPECT_TRUE(may_include("policies/promql/a.cpp", "<re2/re2.h>"));
    EXPECT_TRUE(may_include("policies/promql/a.cpp", "\"knowledge/b.hpp\""));
    EXPECT_FALSE(may_include("policies/a.cpp", "\"engine/b.hpp\""));
    EXPECT_FALSE(may_include("policies/a.cpp", "<boost/asio/post.hpp>"));
    EXPECT_TRUE(may_include("engine/a.cpp", "<boost/asio/post.hpp>"));
    EXPECT_TRUE(may_include("engine/a.cpp", "\"policies/b.hpp\""));
    EXPECT_FALSE(may_include("engine/a.cpp", "\"adapters/bpf/b.hpp\""));
    EXPECT_FALSE(may_include("engine/a.cpp", "<bpf/libbpf.h>"));
    EXPECT_FALSE(may_include("engine/a.cpp", "<boost/json.hpp>"));
    EXPECT_FALSE(may_include("engine/a.cpp", "\"tests/engine/b.hpp\""));
}

TEST(IncludeCheck, KeepsAdaptersApartButForTheCommandLine) {
    EXPECT_TRUE(may_include("adapters/bpf/a.cpp", "\"adapters/bpf/b.hpp\""));
    EXPECT_TRUE(may_include("adapters/bpf/a.cpp", "\"engine/ports.hpp\""));
    EXPECT_TRUE(may_include("adapters/bpf/a.cpp", "<bpf/libbpf.h>"));
    EXPECT_FALSE(may_include("adapters/bpf/a.cpp", "\"adapters/rtnetlink/b.hpp\""));
    EXPECT_FALSE(may_include("adapters/bpf/a.cpp", "\"adapters/bpf2/b.hpp\""));
    EXPECT_TRUE(may_include("adapters/cli/a.cpp", "\"adapters/rtnetlink/b.hpp\""));
    EXPECT_FALSE(may_include("adapters/cli/a.cpp", "\"tests/b.hpp\""));
}

TEST(IncludeCheck, KeepsKernelHeadersInTheirFolder) {
    EXPECT_TRUE(may_include("bpf/a.bpf.c", "\"bpf/records.h\""));
    EXPECT_FALSE(may_include("bpf/a.bpf.c", "\"knowledge/time.hpp\""));
    EXPECT_TRUE(may_include("adapters/bpf/datapath/a.cpp", "\"adapters/bpf/maps/b.hpp\""));
    EXPECT_FALSE(may_include("adapters/bpf/maps/a.cpp", "\"adapters/bpf/datapath/b.hpp\""));
    EXPECT_FALSE(may_include("adapters/bpf/a.cpp", "\"adapters/bpf/objects/b.hpp\""));
    EXPECT_FALSE(may_include("adapters/bpf/a.cpp", "\"bpf/records.h\""));
    EXPECT_FALSE(may_include("adapters/cli/a.cpp", "\"bpf/records.h\""));
    EXPECT_TRUE(may_include("adapters/bpf/a.cpp", "\"bpf/map_merge.h\""));
    EXPECT_FALSE(may_include("adapters/cli/a.cpp", "\"bpf/map_merge.h\""));
    EXPECT_TRUE(may_include("tests/bpf/a.cpp", "\"bpf/records.h\""));
    EXPECT_TRUE(may_include("benchmarks/bpf/a.cpp", "\"bpf/records.h\""));
}

TEST(IncludeCheck, NamesFileAndLine) {
    EXPECT_THAT(include_mistakes({"knowledge/a.cpp", "// why\n#  include \"engine/tick.hpp\"\n"}),
                ElementsAre("knowledge/a.cpp:2: includes \"engine/tick.hpp\""));
}

std::vector<std::string> banned(const std::string& code, const std::string& path = "engine/a.cpp") {
    return ban_mistakes({path, code});
}

class BannedCode : public testing::TestWithParam<std::string> {};

TEST_P(BannedCode, IsFoundInTheCore) {
    EXPECT_FALSE(banned(GetParam()).empty());
    EXPECT_TRUE(banned(GetParam(), "adapters/cli/a.cpp").empty()) << "the world is outside";
}

INSTANTIATE_TEST_SUITE_P(BanCheck, BannedCode,
                         testing::Values("auto t = std::chrono::system_clock::now();",
                                         "auto t = steady_clock::now();", "auto t = timer_clock::now();",
                                         "time(nullptr);", "clock_gettime(CLOCK_REALTIME, &t);",
                                         "int i = rand();", "std::random_device device;", "getenv(name);",
                                         "FILE* f = fopen(name, mode);", "std::ifstream file(name);",
                                         "std::fstream file;", "int fd = ::open(name, 0);", "std::cout << 1;",
                                         "std::cerr << 1;", "printf(format);", "std::puts(text);",
                                         "std::this_thread::sleep_for(x);"));

TEST(BanCheck, LetsTheRunnerPaceItself) {
    const std::string code = "auto now = asio::steady_timer::clock_type::now();";
    EXPECT_THAT(banned(code, "engine/runner.cpp"), IsEmpty());
    EXPECT_FALSE(banned(code, "engine/tick.cpp").empty());
    EXPECT_FALSE(banned("system_clock::now();", "engine/runner.cpp").empty());
}

TEST(BanCheck, LooksAtCodeOnly) {
    EXPECT_THAT(banned("// no rand() here\n/* nor\n getenv(x) */ std::string s = \"printf(\\\"x\\\")\";"),
                IsEmpty());
    EXPECT_THAT(banned("auto s = R\"x(std::cout)\" )x\"; char c = '\"'; int n = 1'000;"), IsEmpty());
    EXPECT_THAT(banned("char c = '\"'; getenv(x); // \""),
                ElementsAre(HasSubstr("engine/a.cpp:1: uses the environment")));
    EXPECT_THAT(banned("std::snprintf(b, n, f); window.reopen(x); operand(x); runtime(nullptr);"), IsEmpty());
}

std::string lines(std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += "x\n";
    return text;
}

TEST(LengthCheck, AllowsSixHundredLinesOrAReason) {
    EXPECT_THAT(length_mistakes({"engine/a.cpp", lines(600)}), IsEmpty());
    EXPECT_THAT(length_mistakes({"engine/a.cpp", lines(601)}), ElementsAre(HasSubstr("has 601 lines")));
    EXPECT_THAT(length_mistakes({"engine/a.cpp", "// One table, so longer than 600 lines.\n" + lines(700)}),
                IsEmpty());
    EXPECT_EQ(length_mistakes({"engine/a.cpp", lines(20) + "// longer than 600 lines\n" + lines(700)}).size(),
              1U);
}

TEST(LengthCheck, AllowsThreeLinesToAReadme) {
    EXPECT_THAT(length_mistakes({"engine/README.md", lines(3)}), IsEmpty());
    EXPECT_EQ(length_mistakes({"engine/README.md", lines(4)}).size(), 1U);
}

} // namespace
} // namespace homeostat::test
