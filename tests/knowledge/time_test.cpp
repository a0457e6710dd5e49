#include "knowledge/time.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace homeostat {
namespace {

using namespace std::chrono_literals;

struct Written {
    std::string text;
    Duration duration;
};

void PrintTo(const Written& written, std::ostream* out) { *out << written.text; }

class DurationsInShortestForm : public testing::TestWithParam<Written> {};

TEST_P(DurationsInShortestForm, AreReadAndWrittenAlike) {
    const auto read = parse_duration(GetParam().text);
    ASSERT_TRUE(read) << read.error().what;
    EXPECT_EQ(*read, GetParam().duration);
    EXPECT_EQ(to_text(GetParam().duration), GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(Time, DurationsInShortestForm,
                         testing::Values(Written{"0s", 0ms}, Written{"1ms", 1ms}, Written{"999ms", 999ms},
                                         Written{"1s", 1s}, Written{"1s500ms", 1500ms}, Written{"5m", 5min},
                                         Written{"1h30m", 90min}, Written{"1d", 24h}, Written{"1w", 168h},
                                         Written{"8d", 192h}, Written{"1y", 8760h},
                                         Written{"366d1ms", 8784h + 1ms}));

TEST(Time, ADurationIsReadInLongerFormsToo) {
    EXPECT_EQ(parse_duration("90m"), Duration{90min});
    EXPECT_EQ(parse_duration("0"), Duration{0});
    EXPECT_EQ(parse_duration("1w1d"), Duration{192h});
    EXPECT_EQ(parse_duration("1h0m5s"), Duration{3605s});
    EXPECT_EQ(parse_duration("1d2h3m4s5ms"), Duration{26h + 3min + 4s + 5ms});
}

class NoDurations : public testing::TestWithParam<std::string> {};

TEST_P(NoDurations, AreRefusedByName) {
    const auto read = parse_duration(GetParam());
    ASSERT_FALSE(read) << to_text(*read);
    EXPECT_NE(read.error().what.find("'" + GetParam() + "'"), std::string::npos) << read.error().what;
}

INSTANTIATE_TEST_SUITE_P(Time, NoDurations,
                         testing::Values("", "5", "s", "-5s", "5 s", " 5s", "5s ", "1.5s", "5x", "30m1h",
                                         "1s1s", "1h1h", "1ms1s", "00", "+5s", "5sec",
                                         "9223372036854775808ms", "9223372036854775807s", "292471209y"));

TEST(Time, TheLongestDurationSurvivesBothWays) {
    const Duration longest{std::numeric_limits<Duration::rep>::max()};
    EXPECT_EQ(parse_duration(to_text(longest)), longest);
}

TEST(Time, ANegativeDurationIsWrittenWithASign) {
    EXPECT_EQ(to_text(-1500ms), "-1s500ms");
    const std::string shortest = to_text(Duration{std::numeric_limits<Duration::rep>::min()});
    EXPECT_TRUE(shortest.starts_with("-") && shortest.ends_with("808ms")) << shortest;
}

TEST(Time, AnInstantIsWrittenInUtcWithMilliseconds) {
    EXPECT_EQ(to_text(at_ms(0)), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(to_text(at_ms(1'779'278'400'123)), "2026-05-20T12:00:00.123Z");
    EXPECT_EQ(to_text(at_ms(-1)), "1969-12-31T23:59:59.999Z");
    EXPECT_EQ(to_text(at_ms(951'782'400'000)), "2000-02-29T00:00:00.000Z");
}

TEST(Time, AnInstantIsReadAsItIsWritten) {
    for (const std::int64_t ms : {0LL, 1'779'278'400'123LL, -1LL, 951'782'400'000LL})
        EXPECT_EQ(parse_instant(to_text(at_ms(ms))), at_ms(ms));
    EXPECT_EQ(parse_instant("2000-02-29T00:00:00Z"), at_ms(951'782'400'000));
    for (const char* wrong : {"", "2001-02-29T00:00:00Z", "2000-02-29T24:00:00Z", "2000-02-29T00:00:00",
                              "2000-2-29T00:00:00Z", "2000-02-29 00:00:00Z", "2000-02-29T00:00:00.1Z"})
        EXPECT_FALSE(parse_instant(wrong)) << wrong;
}

TEST(Time, AnInstantKeepsItsMilliseconds) {
    EXPECT_EQ(to_ms(at_ms(1'779'278'400'123)), 1'779'278'400'123);
    EXPECT_EQ(at_ms(1500) - at_ms(500), Duration{1s});
}

} // namespace
} // namespace homeostat
