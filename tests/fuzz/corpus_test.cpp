// Every file of the corpus through its target, without libFuzzer.
#include "tests/fuzz/target.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

namespace homeostat::fuzz {
namespace {

namespace fs = std::filesystem;

fs::path corpus() { return fs::path(HOMEOSTAT_SOURCE_DIR) / "tests/fuzz/corpus"; }

std::vector<fs::path> files_of(const Target& target) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(corpus() / target.name)) files.push_back(entry.path());
    std::ranges::sort(files);
    return files;
}

std::string bytes_of(const fs::path& file) {
    std::ostringstream bytes;
    bytes << std::ifstream(file, std::ios::binary).rdbuf();
    return bytes.str();
}

class Corpus : public testing::TestWithParam<Target> {};

TEST_P(Corpus, HoldsWhatIsPromised) {
    const std::vector<fs::path> files = files_of(GetParam());
    EXPECT_GE(files.size(), 5U) << "a target without a corpus";
    EXPECT_LT(files.size(), 200U) << "minimise it with libFuzzer's -merge=1";
    for (const fs::path& file : files) {
        // What crashes leaves this as the last line.
        RecordProperty("file", file.filename().string());
        EXPECT_EQ(GetParam().run(bytes_of(file)), "") << file;
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, Corpus, testing::ValuesIn(targets().begin(), targets().end()),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST(Targets, HaveEachACorpusAndADictionary) {
    for (const Target& target : targets()) {
        EXPECT_TRUE(fs::is_directory(corpus() / target.name)) << target.name;
        EXPECT_TRUE(fs::exists(corpus() / ("../dictionaries/" + std::string(target.name) + ".dict")))
            << target.name;
    }
    for (const auto& entry : fs::directory_iterator(corpus()))
        EXPECT_NE(std::ranges::find(targets(), entry.path().filename().string(), &Target::name),
                  targets().end())
            << entry.path() << " has no target";
}

} // namespace
} // namespace homeostat::fuzz
