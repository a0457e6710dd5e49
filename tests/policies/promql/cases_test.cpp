// Every file in cases/ holds.
#include "tests/policies/promql/promqltest.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace homeostat::promql {
namespace {

std::string content(const std::filesystem::path& path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
}

TEST(Cases, EveryCaseFileHolds) {
    const std::filesystem::path folder = std::string(HOMEOSTAT_SOURCE_DIR) + "/tests/policies/promql/cases";
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() != ".test") continue;
        ++files;
        const auto report = run_promqltest(entry.path().filename(), content(entry.path()));
        EXPECT_EQ(report.failed, 0U);
        EXPECT_EQ(report.skipped, 0U);
        EXPECT_GT(report.passed, 0U) << entry.path();
        for (const std::string& message : report.messages) ADD_FAILURE() << message;
    }
    EXPECT_GE(files, 4U);
}

TEST(Promqltest, AWrongValueFails) {
    const auto report = run_promqltest("x", "load 1m\n  x 1 2\neval instant at 1m x\n  x 3\n");
    EXPECT_EQ(report.failed, 1U);
    ASSERT_EQ(report.messages.size(), 1U);
    EXPECT_EQ(report.messages[0].substr(0, 5), "x:3: ");
}

TEST(Promqltest, MissingAndSuperfluousSeriesFail) {
    EXPECT_EQ(run_promqltest("x", "load 1m\n  x 1\neval instant at 0 x\n").failed, 1U);
    EXPECT_EQ(run_promqltest("x", "load 1m\n  x 1\neval instant at 0 y\n  y 1\n").failed, 1U);
    EXPECT_EQ(run_promqltest("x", "load 1m\n  x 1 2\neval range from 0 to 1m step 1m x\n  x 1\n").failed, 1U);
}

TEST(Promqltest, ACaseThatShouldFailAndDoesNotFails) {
    EXPECT_EQ(run_promqltest("x", "eval instant at 0 1\n  expect fail\n").failed, 1U);
    EXPECT_EQ(run_promqltest("x", "eval instant at 0 {}\n  expect fail msg: no such text\n").failed, 1U);
}

TEST(Promqltest, WhatIsNotSupportedIsSkippedAndNeverPassed) {
    const auto report = run_promqltest("x", "load 1m\n  x {{schema:0}}\n"
                                            "eval instant at 0 mad_over_time(x[1m])\n  expect fail\n"
                                            "eval instant at 0 x\n  expect warn\n"
                                            "eval sideways at 0 x\n");
    EXPECT_EQ(report.passed, 0U);
    EXPECT_EQ(report.skipped, 4U);
}

} // namespace
} // namespace homeostat::promql
