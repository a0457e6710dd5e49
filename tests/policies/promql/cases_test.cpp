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
    const auto report = run_promqltest("x", "load 1m\n  x {{schema:0}} 1 {{count:1}}+{{}}x3\n  y 1\n\n"
                                            "eval instant at 0 mad_over_time(y[1m])\n  expect fail\n\n"
                                            "eval instant at 0 x\n\n"
                                            "eval instant at 0 y\n  y {{sum:1}}\n\n"
                                            "load_with_nhcb 1m\n  z_bucket{le=\"1\"} 1\n\n"
                                            "eval instant at 0 z\n\n"
                                            "eval instant at 0 z_bucket\n  z_bucket{le=\"1\"} 1\n");
    EXPECT_EQ(report.passed, 1U);
    EXPECT_EQ(report.failed, 0U);
    EXPECT_EQ(report.skipped, 4U);
}

TEST(Promqltest, SeriesWithStartTimestampsAreSkippedAndTheirNeighboursAreNot) {
    const auto report = run_promqltest("x", "load 1m\n  c{a=\"1\"}@st -30s _x2\n  c{a=\"1\"} 1 2 3\n  d 7\n\n"
                                            "eval instant at 0 sum(c)\n  {} 1\n\n"
                                            "eval instant at 0 d\n  d 7\n\n"
                                            "load 1m\n  f 1\n  @st -1s -2s\n  e 1 2\n\n"
                                            "eval instant at 0 e\n  e 5\n\n"
                                            "eval instant at 0 f\n  f 1\n");
    EXPECT_EQ(report.passed, 2U);
    EXPECT_EQ(report.failed, 0U);
    ASSERT_EQ(report.messages.size(), 2U);
    EXPECT_EQ(report.messages[0], "x:6: skipped: start timestamps are read: c{a=\"1\"}");
}

TEST(Promqltest, TheSumAndTheCountOfAClassicHistogramMakeANativeOneToo) {
    const auto report = run_promqltest("x", "load_with_nhcb 1m\n  a_sum 1\n  b_count 2\n\n"
                                            "eval instant at 0 a\n\neval instant at 0 b\n\n"
                                            "eval instant at 0 a_sum + b_count\n  {} 3\n\n"
                                            "eval instant at 0 a </ 3\n\neval instant at 0 a >/ 3\n");
    EXPECT_EQ(report.passed, 1U);
    EXPECT_EQ(report.skipped, 4U);
}

TEST(Promqltest, NothingThatIsComputedIsAStaleMarker) {
    EXPECT_EQ(run_promqltest("x", "eval instant at 0 vector(NaN)\n  {} stale\n").failed, 1U);
}

TEST(Promqltest, TwoSamplesOfOneTimeAreRefused) {
    const std::string first = "load 1m\n  x 1 2\n\n";
    EXPECT_EQ(run_promqltest("x", first + "load 1m\n  x _ 2 3\n").failed, 0U);
    EXPECT_EQ(run_promqltest("x", first + "load 1m\n  x _ 5\n").failed, 1U);
    EXPECT_EQ(run_promqltest("x", first + "load 1m\n  x 1\n").failed, 1U);
}

TEST(Promqltest, OfASeriesThatIsTwiceInALoadTheLastLineCounts) {
    const auto report = run_promqltest("x", "load 1m\n  x{a=\"1\"} 1 2\n  y 7\n  x{a=\"1\"} 3 _ 4\n\n"
                                            "eval range from 0 to 2m step 1m x\n  x{a=\"1\"} 3 3 4\n\n"
                                            "eval instant at 0 y\n  y 7\n");
    for (const std::string& message : report.messages) ADD_FAILURE() << message;
    EXPECT_EQ(report.passed, 2U);
    EXPECT_EQ(run_promqltest("x", "load 1m\n  x 1\n\nload 1m\n  x 2\n").failed, 1U);
}

TEST(Promqltest, WhatReadsStartTimestampsIsSkipped) {
    const auto report =
        run_promqltest("x", "load 1m\n  x{a=\"1\"}@st _ -30s -1mx2\n  x{a=\"1\"} _ 1 2x2\n  y 1 2\n\n"
                            "eval instant at 1m increase(x[5m])\n  expect fail\n\n"
                            "eval instant at 1m y\n  y 2\n\n"
                            "load 1m\n  @st -1s\n  z 1\n\n"
                            "eval instant at 0 z\n  z 1\n");
    EXPECT_EQ(report.passed, 1U);
    EXPECT_EQ(report.skipped, 2U);
    EXPECT_EQ(report.failed, 0U);
}

TEST(Promqltest, WhatTheLabelsOfMetadataMakeDifferIsSkipped) {
    const std::string load = "load 1m\n  x{__type__=\"gauge\",a=\"1\"} 1\n  y{a=\"1\"} 1\n\n";
    EXPECT_EQ(run_promqltest("x", load + "eval instant at 0 x\n  x{__type__=\"gauge\",a=\"1\"} 1\n").passed,
              1U);
    EXPECT_EQ(run_promqltest("x", load + "eval instant at 0 -x\n  {a=\"1\"} -1\n").skipped, 1U);
    EXPECT_EQ(run_promqltest("x", load + "eval instant at 0 -y\n  {a=\"2\"} -1\n").failed, 1U);
}

TEST(Promqltest, WhatTheNamesThatAreDroppedMakeDifferIsSkipped) {
    const std::string load = "load 1m\n  x{a=\"1\"} 1\n  y{a=\"1\"} 2\n\neval instant at 0 ";
    for (const char* text :
         {"sum by (a) (-{a=\"1\"})\n  {a=\"1\"} -3\n", "sum by (__name__) (abs(x))\n  x 1\n",
          "label_replace(x * 2, \"n\", \"$1\", \"__name__\", \"(.+)\")\n  {a=\"1\",n=\"x\"} 2\n"})
        EXPECT_EQ(run_promqltest("x", load + text).skipped, 1U) << text;
    for (const char* text :
         {"sum by (a) (-x)\n  {a=\"1\"} -3\n", "sum by (__name__) (x)\n  x 2\n",
          "abs({a=\"1\"} > 3)\n  {a=\"1\"} 1\n",
          "label_replace(x, \"n\", \"$1\", \"__name__\", \"(.+)\")\n  {a=\"1\",n=\"x\"} 2\n"})
        EXPECT_EQ(run_promqltest("x", load + text).failed, 1U) << text;
}

TEST(Promqltest, WhatIsNotOfTheLanguageFails) {
    for (const char* text :
         {"eval sideways at 0 x\n", "evaluate instant at 0 x\n", "load\n  x 1\n", "load 1m\n  x 1q\n",
          "load_more 1m\n  x 1\n", "eval instant at 0 1\n  expect nothing\n  1\n", "load 1m\n  x{ 1\n",
          "eval instant at 0 1\n  expect warn because\n  1\n", "eval instant at yesterday 1\n  1\n",
          "eval range from 0 to 1m 1\n", "eval range from 2m to 1m step 1m x\n", "load 1m\n  x{a!=\"b\"} 1\n",
          "word\n"}) {
        const auto report = run_promqltest("x", text);
        EXPECT_GE(report.failed, 1U) << text;
        EXPECT_EQ(report.passed + report.skipped, 0U) << text;
    }
}

TEST(Promqltest, WhatIsExpectedOfAFailureIsJudged) {
    const auto with = [](const std::string& line) {
        return run_promqltest("x", "eval instant at 0 {}\n  " + line + "\n").passed;
    };
    EXPECT_EQ(with("expect fail"), 1U);
    EXPECT_EQ(with("expect fail msg: at least one non-empty matcher"), 1U);
    EXPECT_EQ(with("expect fail regex: least (one|two)"), 1U);
    EXPECT_EQ(with("expected_fail_message vector selector must contain at least one non-empty matcher"), 1U);
    EXPECT_EQ(with("expected_fail_regexp vector .* matcher"), 1U);
    EXPECT_EQ(with("expect fail regex: ^least"), 0U);
    EXPECT_EQ(with("expected_fail_message something else"), 0U);
}

TEST(Promqltest, ARangeVectorIsComparedSampleBySample) {
    const std::string load =
        "load 1m\n  x 1 2 _ 4\n\neval instant at 3m x[3m]\n  expect range vector from 1m to 3m step 1m\n";
    EXPECT_EQ(run_promqltest("x", load + "  x 2 _ 4\n").passed, 1U);
    EXPECT_EQ(run_promqltest("x", load + "  x 2 3 4\n").failed, 1U);
    EXPECT_EQ(run_promqltest("x", "load 1m\n  x 1 2\n\neval instant at 1m x[3m]\n  x 1 2\n").failed, 1U);
}

TEST(Promqltest, MoreValuesThanStepsAreAFailure) {
    const auto report =
        run_promqltest("x", "load 1m\n  x 1 2\n\neval range from 0 to 1m step 1m x\n  x 1 2 3\n");
    EXPECT_EQ(report.failed, 1U);
}

TEST(Promqltest, UpstreamsFormsAreRead) {
    const auto report =
        run_promqltest("x", "# comment\nload 1m\n  {\"a.b\", l=\"x y\"} 0x2 stale NaN -Inf 1e3-1x2\n"
                            "  c{l=\"{\"} _x2 5\n\n"
                            "eval_warn instant at 0 {\"a.b\"}\nexpect no_warn\n"
                            "{\"a.b\", l=\"x y\"} 0\n\n"
                            "eval instant at 5m {\"a.b\"}\n  {\"a.b\", l=\"x y\"} -Inf\n\n"
                            "eval range from -1m to 1m step 1m {\"a.b\"}\n"
                            "  {\"a.b\", l=\"x y\"} _ 0 0\n\n"
                            "eval instant at 2m c\n  c{l=\"{\"} 5\n\n"
                            "eval range from 0 to 1m step 1m nothing\n\n"
                            "eval instant at 0 0x10\n  0x10\n\n"
                            "eval instant at 0 'a'\n  expect string \"a\"\n\n"
                            "clear\n\neval_info instant at 2m c\n");
    for (const std::string& message : report.messages) ADD_FAILURE() << message;
    EXPECT_EQ(report.passed, 8U);
}

} // namespace
} // namespace homeostat::promql
