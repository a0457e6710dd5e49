// The policies that are shipped: nothing is wrong with them, one by one and all together, and their tests
// notice when they are changed.

#include "tests/system/child.hpp"
#include "tests/system/files.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <regex>

namespace homeostat::system_test {

namespace {

namespace fs = std::filesystem;

const fs::path configs = HOMEOSTAT_SOURCE_DIR "/configs";
const fs::path policies = configs / "policies";

// The lab's policy is the first one with other numbers, and has the lab's configuration.
std::vector<std::string> shipped() {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(policies))
        if (const std::string name = entry.path().filename().string();
            name.ends_with(".toml") && !name.ends_with(".test.toml") && !name.starts_with("lab-"))
            names.push_back(name.substr(0, name.size() - std::string(".toml").size()));
    std::ranges::sort(names);
    return names;
}

// Those of them that name adaptations of others, which must be there.
std::vector<std::string> companions(const std::string& name) {
    if (name == "maintenance-window" || name == "pulsing-flood") return {"udp-flood"};
    return {};
}

// controller.toml with the sensors that it leaves to its reader, since not every kernel has them.
std::string whole_config() {
    const std::regex left_out("\n# (\\[\\[sensor\\]\\]|type = )");
    const std::string text = std::regex_replace(read_text(configs / "controller.toml"), left_out, "\n$1");
    return std::regex_replace(text, std::regex("\"policies/"), "\"" + policies.string() + "/");
}

Finished check(const std::vector<std::string>& names) {
    const Folder folder;
    std::vector<std::string> words{homeostat(), "check", "--strict", "-c",
                                   folder.write("controller.toml", whole_config())};
    for (const std::string& name : names) words.push_back(policies / (name + ".toml"));
    return run_to_end(std::move(words));
}

class ShippedPolicy : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Each, ShippedPolicy, testing::ValuesIn(shipped()), [](const auto& policy) {
    std::string name = policy.param;
    std::ranges::replace(name, '-', '_');
    return name;
});

TEST_P(ShippedPolicy, HasNothingWrongAndNothingToBeWarnedOf) {
    std::vector<std::string> names = companions(GetParam());
    names.push_back(GetParam());
    const Finished finished = check(names);
    EXPECT_EQ(finished.code, 0) << finished.out << finished.errors;
}

TEST_P(ShippedPolicy, HasTestsThatNoticeNineOfTenChanges) {
    if (is_sanitized) GTEST_SKIP() << too_slow_here;
    const fs::path test = policies / (GetParam() + ".test.toml");
    ASSERT_TRUE(fs::exists(test)) << test;
    const Finished finished = run_to_end({homeostat(), "test", "--mutate", "--mutate-min", "90", test});
    EXPECT_EQ(finished.code, 0) << finished.out << finished.errors;
}

TEST_P(ShippedPolicy, IsInTheTableOfTheReadme) {
    const fs::path readme = configs.parent_path() / "README.md";
    if (!fs::exists(readme)) GTEST_SKIP() << "this tree has no README.md";
    EXPECT_NE(read_text(readme).find("| `" + GetParam() + ".toml` |"), std::string::npos);
}

TEST(ShippedPolicies, GoTogether) {
    const std::vector<std::string> all = shipped();
    EXPECT_GE(all.size(), 8U);
    const Finished finished = check(all);
    EXPECT_EQ(finished.code, 0) << finished.out << finished.errors;
}

} // namespace

} // namespace homeostat::system_test
