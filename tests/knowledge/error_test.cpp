#include "knowledge/error.hpp"

#include <gtest/gtest.h>

namespace homeostat {
namespace {

TEST(Nearest, FindsWhatWasMeant) {
    const std::vector<std::string> keys{"raise", "clear", "severity", "summary", "for"};
    EXPECT_EQ(nearest("raize", keys), "raise");
    EXPECT_EQ(nearest("severty", keys), "severity");
    EXPECT_EQ(nearest("sumary", keys), "summary");
    EXPECT_EQ(nearest("fro", {"for", "frost"}), "for") << "neighbours are swapped easily";
    EXPECT_EQ(nearest("fr", {"for"}), "for");
}

TEST(Nearest, FindsNothingWhereNothingIsNear) {
    EXPECT_EQ(nearest("budget", {"raise", "clear"}), "");
    EXPECT_EQ(nearest("raise", {}), "");
    EXPECT_EQ(nearest("x", {"yz"}), "");
}

TEST(Nearest, OfTwoEquallyNearTakesTheFirst) {
    EXPECT_EQ(nearest("eth", {"eth1", "eth0"}), "eth1");
    EXPECT_EQ(nearest("eth", {"eth0", "eth1"}), "eth0");
}

TEST(Nearest, DoesNotLookForLongWords) {
    const std::string word(100, 'a');
    EXPECT_EQ(nearest(word, {word + "b"}), word + "b");
    EXPECT_EQ(nearest(word + "a", {word + "ab"}), "");
    EXPECT_EQ(nearest("raise", {std::string(1'000'000, 'r'), "raize"}), "raize");
}

TEST(Nearest, PrefersTheSmallerDistance) { EXPECT_EQ(nearest("packet_s", {"packet", "packets"}), "packets"); }

TEST(Diagnostics, AreWrittenWithTheirPlace) {
    EXPECT_EQ(
        to_text(Diagnostic{.file = "a.toml", .at = {3, 7}, .what = "wrong", .expected = "expected right"}),
        "a.toml:3:7: wrong; expected right");
    EXPECT_EQ(to_text(Diagnostic{.file = "a.toml", .at = {}, .what = "wrong", .expected = ""}),
              "a.toml: wrong");
    EXPECT_EQ(to_text(Diagnostic{.file = "a.toml",
                                 .at = {1, 2},
                                 .what = "odd",
                                 .expected = "",
                                 .kind = Diagnostic::Kind::warning}),
              "a.toml:1:2: warning: odd");
}

TEST(Diagnostics, WarningsAreNoErrors) {
    Diagnostics diagnostics;
    EXPECT_FALSE(has_errors(diagnostics));
    diagnostics.push_back(
        {.file = "f", .at = {}, .what = "w", .expected = "", .kind = Diagnostic::Kind::warning});
    EXPECT_FALSE(has_errors(diagnostics));
    diagnostics.push_back({.file = "f", .at = {}, .what = "e", .expected = ""});
    EXPECT_TRUE(has_errors(diagnostics));
}

} // namespace
} // namespace homeostat
