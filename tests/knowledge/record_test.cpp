#include "knowledge/knowledge.hpp"

#include <gtest/gtest.h>

namespace homeostat {
namespace {

Labels up(const std::string& iface) { return {{"__name__", "link_up"}, {"iface", iface}}; }

std::optional<double> value(const Knowledge& knowledge, const Labels& labels, Instant now) {
    for (const SeriesId id : knowledge.series.named(labels.metric_name()))
        if (knowledge.series.labels(id) == labels)
            if (const auto point = knowledge.series.newest(id, now, std::chrono::minutes{5}))
                return point->value;
    return std::nullopt;
}

Result<void> record_ups(Knowledge& knowledge, const std::vector<std::string>& ifaces, Instant now) {
    std::vector<LabelledValue> values;
    for (const std::string& iface : ifaces) values.push_back({up(iface), 1});
    return record(knowledge, "link_up", values, now);
}

TEST(Record, ALabelSetThatIsGoneEndsItsSeries) {
    Knowledge knowledge;
    knowledge.series.set_retention([](const Labels&) { return Duration{std::chrono::minutes{1}}; });
    ASSERT_TRUE(record_ups(knowledge, {"a", "b"}, at_ms(1000)));
    ASSERT_TRUE(record_ups(knowledge, {"b"}, at_ms(2000)));
    EXPECT_EQ(value(knowledge, up("a"), at_ms(1999)), 1);
    EXPECT_EQ(value(knowledge, up("a"), at_ms(2000)), std::nullopt);
    EXPECT_EQ(value(knowledge, up("b"), at_ms(2000)), 1);
}

TEST(Record, ALabelSetThatComesBackGoesOn) {
    Knowledge knowledge;
    ASSERT_TRUE(record_ups(knowledge, {"a"}, at_ms(1000)));
    ASSERT_TRUE(record_ups(knowledge, {}, at_ms(2000)));
    ASSERT_TRUE(record_ups(knowledge, {"a"}, at_ms(3000)));
    EXPECT_EQ(value(knowledge, up("a"), at_ms(3000)), 1);
    EXPECT_EQ(knowledge.series.size(), 1U);
}

TEST(Record, ASeriesEndsOnce) {
    Knowledge knowledge;
    knowledge.series.set_retention([](const Labels&) { return Duration{std::chrono::minutes{1}}; });
    ASSERT_TRUE(record_ups(knowledge, {"a"}, at_ms(1000)));
    for (int s = 2; s < 6; ++s) ASSERT_TRUE(record_ups(knowledge, {}, at_ms(std::int64_t{1000} * s)));
    const SeriesId id = knowledge.series.named("link_up").front();
    EXPECT_EQ(knowledge.series.window(id, at_ms(0), at_ms(9000)).size(), 2U);
}

TEST(Record, FamiliesDoNotEndEachOthersSeries) {
    Knowledge knowledge;
    ASSERT_TRUE(record_ups(knowledge, {"a"}, at_ms(1000)));
    ASSERT_TRUE(record(knowledge, "other", {}, at_ms(2000)));
    EXPECT_EQ(value(knowledge, up("a"), at_ms(2000)), 1);
}

TEST(Record, AtTheStoresLimitWhatFittedIsRecorded) {
    Knowledge knowledge(StoreLimits{.series_max = 2, .samples_per_series_max = 10});
    EXPECT_FALSE(record_ups(knowledge, {"a", "b", "c"}, at_ms(1000)));
    EXPECT_EQ(value(knowledge, up("a"), at_ms(1000)), 1);
    EXPECT_EQ(value(knowledge, up("b"), at_ms(1000)), 1);
    EXPECT_EQ(knowledge.series.losses().series_refused, 1U);
}

TEST(Record, AtTheStoresLimitAFamilyThatIsGoneEndsAllTheSame) {
    Knowledge knowledge(StoreLimits{.series_max = 1, .samples_per_series_max = 10});
    EXPECT_FALSE(record_ups(knowledge, {"a", "b"}, at_ms(1000)));
    ASSERT_TRUE(record_ups(knowledge, {}, at_ms(2000)));
    EXPECT_EQ(value(knowledge, up("a"), at_ms(2000)), std::nullopt);
}

TEST(Record, ASeriesThatTheStoreForgotIsMadeAgain) {
    Knowledge knowledge;
    ASSERT_TRUE(record_ups(knowledge, {"a"}, at_ms(1000)));
    ASSERT_TRUE(record_ups(knowledge, {"a"}, at_ms(2000)));
    knowledge.series.forget_unseen(at_ms(1'000'000), Duration{1000});
    ASSERT_EQ(knowledge.series.size(), 0U);
    ASSERT_TRUE(record_ups(knowledge, {"a"}, at_ms(1'000'001)));
    EXPECT_EQ(value(knowledge, up("a"), at_ms(1'000'001)), 1);
}

TEST(Record, TheSameSeriesInAnotherOrderGoOn) {
    Knowledge knowledge;
    ASSERT_TRUE(record_ups(knowledge, {"a", "b"}, at_ms(1000)));
    ASSERT_TRUE(record_ups(knowledge, {"b", "a"}, at_ms(2000)));
    ASSERT_TRUE(record_ups(knowledge, {"b"}, at_ms(3000)));
    EXPECT_EQ(value(knowledge, up("a"), at_ms(3000)), std::nullopt);
    EXPECT_EQ(value(knowledge, up("b"), at_ms(3000)), 1);
}

TEST(Record, AtTheStoresLimitANewSeriesDoesNotEndTheOldOnes) {
    Knowledge knowledge(StoreLimits{.series_max = 2, .samples_per_series_max = 10});
    ASSERT_TRUE(record_ups(knowledge, {"b", "c"}, at_ms(1000)));
    EXPECT_FALSE(record_ups(knowledge, {"a", "b", "c"}, at_ms(2000)));
    EXPECT_EQ(value(knowledge, up("b"), at_ms(2000)), 1);
    EXPECT_EQ(value(knowledge, up("c"), at_ms(2000)), 1);
}

} // namespace
} // namespace homeostat
