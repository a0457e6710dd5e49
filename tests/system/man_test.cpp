// The manual pages: sound to those who render them, and true of the commands and their options.

#include "tests/system/child.hpp"
#include "tests/system/files.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <set>
#include <sstream>

namespace homeostat::system_test {

namespace {

const std::string pages = HOMEOSTAT_SOURCE_DIR "/adapters/cli/man/";

constexpr const char* mandoc = "/usr/bin/mandoc";
bool has_mandoc() { return std::filesystem::exists(mandoc); }

TEST(ManualPages, AreSound) {
    if (!has_mandoc()) GTEST_SKIP() << "mandoc is not installed";
    for (const std::string page : {"homeostat.1", "homeostat-policy.5"}) {
        const Finished lint = run_to_end({mandoc, "-T", "lint", "-W", "warning", pages + page});
        EXPECT_EQ(lint.code, 0);
        EXPECT_EQ(lint.out + lint.errors, "");
    }
}

// As a terminal shows it, without overstriking and in lines that are not broken.
std::string shown(const std::string& page) {
    std::string text = run_to_end({mandoc, "-T", "ascii", "-O", "width=400", pages + page}).out;
    text = std::regex_replace(text, std::regex(".\\x08"), "");
    EXPECT_NE(text, "");
    return text;
}

std::set<std::string> matches(const std::string& text, const std::string& pattern) {
    std::set<std::string> found;
    const std::regex regex(pattern);
    for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it)
        found.insert((*it)[1]);
    return found;
}

// The long options, but for --help, which every command has.
std::set<std::string> options_in(const std::string& text) {
    std::set<std::string> options = matches(text, R"((?:^|[^-\w])(--[a-z][a-z-]*))");
    options.erase("--help");
    return options;
}

std::set<std::string> commands_in(const std::string& help) {
    return matches(help.substr(0, help.find("'homeostat COMMAND")), R"(\n  ([a-z]+) )");
}

// The part of the page about a command: from its name at the margin of the list to the next one.
std::string part_of(const std::string& page, const std::string& command,
                    const std::set<std::string>& commands) {
    std::istringstream lines(page.substr(page.find("   Commands\n")));
    std::string part;
    bool inside = false;
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("   Options of the commands that ask")) break;
        std::istringstream words(line);
        std::string first;
        words >> first;
        if (line.starts_with("     ") && !line.starts_with("      ") && commands.contains(first))
            inside = first == command;
        if (inside) part += line + "\n";
    }
    return part;
}

TEST(ManualPages, NameTheCommandsAndTheirOptionsAsTheirHelpDoes) {
    if (!has_mandoc()) GTEST_SKIP() << "mandoc is not installed";
    const std::string page = shown("homeostat.1");
    const std::set<std::string> commands = commands_in(run_to_end({homeostat(), "--help"}).out);
    ASSERT_GE(commands.size(), 10U);
    const std::size_t asking = page.find("   Options of the commands that ask");
    ASSERT_NE(asking, std::string::npos);
    const std::set<std::string> shared = options_in(page.substr(asking, page.find("   Signals\n") - asking));
    EXPECT_TRUE(shared.contains("--socket"));
    for (const std::string& command : commands) {
        const std::string help = run_to_end({homeostat(), command, "--help"}).out;
        const std::size_t begin = help.find("Options:\n");
        std::set<std::string> expected = options_in(help.substr(begin, help.find("\n\n", begin) - begin));
        const std::string part = part_of(page, command, commands);
        EXPECT_NE(part, "") << command;
        std::set<std::string> named = options_in(part);
        if (expected.contains("--socket") && !named.contains("--socket"))
            named.insert(shared.begin(), shared.end());
        EXPECT_EQ(named, expected) << command;
    }
}

TEST(ManualPages, NameTheExitCodesAsTheHelpDoes) {
    const std::string page = read_text(pages + "homeostat.1");
    const std::string help = run_to_end({homeostat(), "--help"}).out;
    EXPECT_EQ(matches(help, R"(\n  (\d)  )"), matches(page, R"(\n\.It (\d)\n)"));
}

// Of the example, the whole policy is one that check finds nothing wrong with.
TEST(ManualPages, TheirPolicyIsSound) {
    const std::string page = read_text(pages + "homeostat-policy.5");
    const std::string begin = ".Bd -literal\n";
    const std::size_t at = page.find(begin) + begin.size();
    const Folder folder;
    const std::string policy = folder.write("policy.toml", page.substr(at, page.find(".Ed", at) - at));
    const Finished finished = run_to_end({homeostat(), "check", "--strict", policy});
    EXPECT_EQ(finished.code, 0) << finished.out;
}

} // namespace

} // namespace homeostat::system_test
