#include "knowledge/labels.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace homeostat {
namespace {

TEST(Labels, AreTheSameInAnyOrderOfTheirPairs) {
    const Labels one{{"iface", "eth0"}, {"proto", "udp"}, {"__name__", "pps"}};
    const Labels other{{"__name__", "pps"}, {"proto", "udp"}, {"iface", "eth0"}};
    EXPECT_EQ(one, other);
    EXPECT_EQ(one.hash(), other.hash());
    EXPECT_TRUE(std::is_eq(one <=> other));
    EXPECT_TRUE(std::ranges::is_sorted(one.all()));
}

TEST(Labels, OfOneNameTheLastValueCounts) {
    const Labels labels(std::vector<Label>{{"a", "1"}, {"b", "x"}, {"a", "2"}});
    EXPECT_EQ(labels.get("a"), "2");
    EXPECT_EQ(labels.all().size(), 2U);
}

TEST(Labels, AnEmptyValueIsAnAbsentLabel) {
    EXPECT_EQ((Labels{{"a", "1"}, {"b", ""}}), (Labels{{"a", "1"}}));
    EXPECT_EQ((Labels{{"a", ""}}), Labels());
    EXPECT_TRUE((Labels{{"a", ""}}).empty());
    EXPECT_EQ((Labels{{"a", "1"}}).with("a", ""), Labels());
    EXPECT_EQ((Labels{{"a", "1"}}).get("b"), "");
}

TEST(Labels, AnEmptyValueThatComesLastTakesTheLabelAway) {
    EXPECT_EQ(Labels(std::vector<Label>{{"a", "1"}, {"a", ""}}), Labels());
    EXPECT_EQ(Labels(std::vector<Label>{{"a", ""}, {"a", "1"}}), (Labels{{"a", "1"}}));
}

TEST(Labels, LeaveTheirOriginalAsItWas) {
    const Labels original{{"a", "1"}};
    const Labels changed = original.with("a", "2").with("b", "3");
    EXPECT_EQ(original, (Labels{{"a", "1"}}));
    EXPECT_EQ(changed, (Labels{{"a", "2"}, {"b", "3"}}));
}

TEST(Labels, CanLoseTheirMetricName) {
    const Labels named{{"__name__", "pps"}, {"a", "1"}};
    EXPECT_EQ(named.metric_name(), "pps");
    EXPECT_EQ(named.without_metric_name(), (Labels{{"a", "1"}}));
    EXPECT_EQ((Labels{{"a", "1"}}).without_metric_name(), (Labels{{"a", "1"}}));
}

TEST(Labels, CanBeReducedToSomeNamesOrByThem) {
    const Labels labels{{"__name__", "pps"}, {"a", "1"}, {"b", "2"}, {"c", "3"}};
    const std::vector<std::string> names{"a", "c", "z"};
    EXPECT_EQ(labels.only(names), (Labels{{"a", "1"}, {"c", "3"}}));
    EXPECT_EQ(labels.without(names), (Labels{{"__name__", "pps"}, {"b", "2"}}));
}

TEST(Labels, HaveOneCanonicalOrder) {
    const std::vector<Labels> ordered{
        {},           {{"a", "1"}}, {{"a", "1"}, {"b", "1"}}, {{"a", "1"}, {"c", "0"}}, {{"a", "10"}},
        {{"a", "2"}}, {{"b", "0"}}};
    for (std::size_t i = 0; i < ordered.size(); ++i)
        for (std::size_t j = 0; j < ordered.size(); ++j) {
            EXPECT_EQ(ordered[i] < ordered[j], i < j) << to_text(ordered[i]) << " " << to_text(ordered[j]);
            EXPECT_EQ(ordered[i] == ordered[j], i == j);
        }
}

TEST(Labels, AreWrittenAsPrometheusWritesThem) {
    EXPECT_EQ(to_text(Labels{}), "{}");
    EXPECT_EQ(to_text(Labels{{"__name__", "up"}}), "up");
    EXPECT_EQ(to_text(Labels{{"b", "2"}, {"a", "1"}}), R"({a="1",b="2"})");
    EXPECT_EQ(to_text(Labels{{"__name__", "pps"}, {"iface", "eth0"}}), R"(pps{iface="eth0"})");
    EXPECT_EQ(to_text(Labels{{"a", "q\"b\\s\nn"}}), R"({a="q\"b\\s\nn"})");
}

// A pair's name and value do not run into each other, nor do two pairs.
TEST(Labels, HashTheBordersBetweenNamesAndValues) {
    EXPECT_NE((Labels{{"ab", "c"}}).hash(), (Labels{{"a", "bc"}}).hash());
    EXPECT_NE((Labels{{"a", "b"}, {"c", "d"}}).hash(), (Labels{{"a", "bcd"}}).hash());
}

// A recording that was made on another machine must find the same order and the same hash.
TEST(Labels, HashTheSameOnEveryRun) { EXPECT_EQ((Labels{{"a", "b"}}).hash(), 15182603570120227210ULL); }

} // namespace
} // namespace homeostat
