// What the README tells people to type works as it stands there.

#include "tests/system/child.hpp"
#include "tests/system/files.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <iomanip>
#include <regex>
#include <set>
#include <sstream>

namespace homeostat::system_test {

namespace {

namespace fs = std::filesystem;

const fs::path root = HOMEOSTAT_SOURCE_DIR;

class Readme : public testing::Test {
  protected:
    void SetUp() override {
        if (!fs::exists(root / "README.md")) GTEST_SKIP() << "this tree has no README.md";
        text_ = read_text(root / "README.md");
    }

    // The words of each command for homeostat in a block marked sh; the program's name is left out.
    std::vector<std::vector<std::string>> commands() const {
        std::vector<std::vector<std::string>> found;
        std::istringstream lines(text_);
        bool in_block = false;
        for (std::string line; std::getline(lines, line);) {
            if (line.starts_with("```")) {
                in_block = line == "```sh";
                continue;
            }
            std::istringstream stream(line.substr(0, line.find(" #")));
            std::vector<std::string> words;
            for (std::string word; stream >> std::quoted(word, '\'');) words.push_back(word);
            if (!words.empty() && words.front() == "sudo") words.erase(words.begin());
            if (!in_block || words.empty()) continue;
            if (words.front() != "build/release/homeostat" && words.front() != "homeostat") continue;
            words.erase(words.begin());
            found.push_back(std::move(words));
        }
        return found;
    }

    std::string text_;
};

Finished run_here(std::vector<std::string> words) {
    words.insert(words.begin(), homeostat());
    return run_to_end(std::move(words), {.folder = root});
}

bool has_word(const std::string& help, const std::string& word) {
    std::size_t at = help.find(word);
    const auto part_of_word = [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-';
    };
    while (at != std::string::npos) {
        const bool begins = at == 0 || !part_of_word(help[at - 1]);
        const bool ends = at + word.size() == help.size() || !part_of_word(help[at + word.size()]);
        if (begins && ends) return true;
        at = help.find(word, at + 1);
    }
    return false;
}

TEST_F(Readme, HasCommandsForHomeostat) { EXPECT_FALSE(commands().empty()); }

TEST_F(Readme, EveryCommandThatTouchesNothingWorksAsWritten) {
    for (const auto& words : commands()) {
        const bool harmless = words.empty() || words.front() == "check" || words.front() == "test" ||
                              std::ranges::find(words, "--help") != words.end() ||
                              std::ranges::find(words, "--test") != words.end() ||
                              words.front() == "--version";
        const bool mutates = std::ranges::find(words, "--mutate") != words.end();
        if (!harmless || (is_sanitized && mutates)) continue;
        const Finished finished = run_here(words);
        EXPECT_EQ(finished.code, 0) << finished.out << finished.errors;
    }
}

TEST_F(Readme, EveryOtherCommandIsKnownWithAllItsOptions) {
    for (const auto& words : commands()) {
        if (words.empty() || words.front().starts_with('-')) continue;
        const Finished help = run_here({words.front(), "--help"});
        EXPECT_EQ(help.code, 0) << words.front() << ": " << help.errors;
        for (const std::string& word : words) {
            if (!word.starts_with('-')) continue;
            EXPECT_TRUE(has_word(help.out, word.substr(0, word.find('='))))
                << words.front() << " has no option " << word;
        }
    }
}

// All that is in the tree, by its path from the root; folders end with a slash.
std::set<std::string> tree() {
    std::set<std::string> paths;
    for (fs::recursive_directory_iterator it(root), end; it != end; ++it) {
        const std::string path = fs::relative(it->path(), root).string();
        if (path == "build" || path == ".git") it.disable_recursion_pending();
        paths.insert(it->is_directory() ? path + "/" : path);
    }
    return paths;
}

// `code` and [links](of the tree) that look like a path. A placeholder such as FILE is none.
std::set<std::string> paths_in(const std::string& text) {
    std::set<std::string> paths;
    const std::regex mention(
        R"(`([\w.-]+/[\w./-]*|[\w-]+\.(?:toml|sh|md|txt|bpf\.c|hpp|cpp))`|\]\(([^):#]+)\))");
    for (std::sregex_iterator it(text.begin(), text.end(), mention), end; it != end; ++it)
        paths.insert((*it)[1].matched ? (*it)[1] : (*it)[2]);
    const std::regex argument(R"((?:^|[ \n])((?:configs|tests|benchmarks|bpf)/[\w./-]+))");
    for (std::sregex_iterator it(text.begin(), text.end(), argument), end; it != end; ++it)
        paths.insert((*it)[1]);
    return paths;
}

TEST_F(Readme, EveryFileThatItMentionsIsThere) {
    const std::set<std::string> all = tree();
    const std::set<std::string> mentioned = paths_in(text_);
    EXPECT_FALSE(mentioned.empty());
    for (std::string path : mentioned) {
        if (path.starts_with("build/")) continue;
        while (path.ends_with('.') || path.ends_with(',')) path.pop_back();
        EXPECT_TRUE(std::ranges::any_of(all, [&](const std::string& there) {
            return there == path || there == path + "/" || there.ends_with("/" + path);
        })) << path;
    }
}

} // namespace

} // namespace homeostat::system_test
