#include "knowledge/series_store.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace homeostat {
namespace {

using namespace std::chrono_literals;

const Labels pps{{"__name__", "pps"}, {"iface", "eth0"}};

SeriesStore store_keeping(Duration retention, StoreLimits limits = {}) {
    SeriesStore store(limits);
    store.set_retention([=](const Labels&) { return retention; });
    return store;
}

// Values are the seconds at which they were appended.
void append_each_second(SeriesStore& store, SeriesId id, int from, int to) {
    for (int s = from; s <= to; ++s) ASSERT_TRUE(store.append(id, at_ms(std::int64_t{1000} * s), s));
}

std::vector<double> values(std::span<const Point> points) {
    std::vector<double> all;
    for (const Point& point : points) all.push_back(point.value);
    return all;
}

const Instant beginning = at_ms(std::numeric_limits<std::int64_t>::min());

std::vector<double> everything(const SeriesStore& store, SeriesId id) {
    return values(store.window(id, beginning, at_ms(std::numeric_limits<std::int64_t>::max())));
}

TEST(SeriesStore, GivesOneIdToOneLabelSet) {
    SeriesStore store;
    const SeriesId id = *store.define(pps);
    EXPECT_EQ(store.define(Labels{{"iface", "eth0"}, {"__name__", "pps"}}), id);
    EXPECT_NE(store.define(pps.with("iface", "eth1")), id);
    EXPECT_EQ(store.size(), 2U);
    EXPECT_EQ(store.labels(id), pps);
    EXPECT_EQ(store.labels_without_name(id), (Labels{{"iface", "eth0"}}));
}

TEST(SeriesStore, KeepsOnlyTheNewestSampleWhereNobodyAsksForMore) {
    SeriesStore store;
    const SeriesId id = *store.define(pps);
    append_each_second(store, id, 1, 50);
    EXPECT_EQ(everything(store, id), (std::vector<double>{50}));
}

TEST(SeriesStore, KeepsWhatAWindowNeedsAndOneOlderSample) {
    SeriesStore store = store_keeping(5s);
    const SeriesId id = *store.define(pps);
    append_each_second(store, id, 1, 50);
    EXPECT_EQ(everything(store, id), (std::vector<double>{45, 46, 47, 48, 49, 50}));
    EXPECT_EQ(store.losses(), StoreLosses{});
}

TEST(SeriesStore, KeepsTheOlderSampleAlsoAcrossAHole) {
    SeriesStore store = store_keeping(5s);
    const SeriesId id = *store.define(pps);
    append_each_second(store, id, 1, 3);
    store.append(id, at_ms(100'000), 100);
    EXPECT_EQ(everything(store, id), (std::vector<double>{3, 100}));
    EXPECT_EQ(store.newest(id, at_ms(95'000), 5min)->value, 3);
}

TEST(SeriesStore, HasTheSameWindowHoweverMuchWentBefore) {
    SeriesStore longer = store_keeping(7s);
    SeriesStore shorter = store_keeping(7s);
    const SeriesId a = *longer.define(pps);
    const SeriesId b = *shorter.define(pps);
    append_each_second(longer, a, 1, 1000);
    append_each_second(shorter, b, 990, 1000);
    EXPECT_EQ(values(longer.window(a, at_ms(993'000), at_ms(1'000'000))),
              values(shorter.window(b, at_ms(993'000), at_ms(1'000'000))));
}

TEST(SeriesStore, CountsWhatItHadToTruncate) {
    SeriesStore store = store_keeping(1min, {.series_max = 10, .samples_per_series_max = 4});
    const SeriesId id = *store.define(pps);
    append_each_second(store, id, 1, 4);
    EXPECT_EQ(store.losses().samples_truncated, 0U);
    append_each_second(store, id, 5, 7);
    EXPECT_EQ(everything(store, id), (std::vector<double>{4, 5, 6, 7}));
    EXPECT_EQ(store.losses().samples_truncated, 3U);
}

TEST(SeriesStore, RefusesASecondSampleInOneMillisecondAndOlderOnes) {
    SeriesStore store = store_keeping(1min);
    const SeriesId id = *store.define(pps);
    EXPECT_TRUE(store.append(id, at_ms(5), 1));
    EXPECT_FALSE(store.append(id, at_ms(5), 2));
    EXPECT_FALSE(store.append(id, at_ms(4), 3));
    EXPECT_TRUE(store.append(id, at_ms(6), 4));
    EXPECT_EQ(everything(store, id), (std::vector<double>{1, 4}));
    EXPECT_EQ(store.losses().samples_refused, 2U);
}

TEST(SeriesStore, RefusesSeriesBeyondItsLimitAndCountsThem) {
    SeriesStore store({.series_max = 2, .samples_per_series_max = 10});
    ASSERT_TRUE(store.define(pps));
    ASSERT_TRUE(store.define(pps.with("iface", "eth1")));
    const auto refused = store.define(pps.with("iface", "eth2"));
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().what.find("2 series"), std::string::npos) << refused.error().what;
    EXPECT_NE(refused.error().what.find("eth2"), std::string::npos) << refused.error().what;
    EXPECT_TRUE(store.define(pps)) << "a known series needs no room";
    EXPECT_EQ(store.losses().series_refused, 1U);
}

TEST(SeriesStore, ForgetsSeriesThatNobodyWroteForLong) {
    SeriesStore store;
    const SeriesId old = *store.define(pps);
    const SeriesId young = *store.define(pps.with("iface", "eth1"));
    store.append(old, at_ms(1000), 1);
    store.append(young, at_ms(2000), 2);
    const auto version = store.index_version();
    EXPECT_EQ(store.forget_unseen(at_ms(7000), 5s), std::vector<SeriesId>{old});
    EXPECT_NE(store.index_version(), version);
    EXPECT_EQ(store.size(), 1U);
    EXPECT_EQ(store.all(), std::vector<SeriesId>{young});
    EXPECT_EQ(store.named("pps").size(), 1U);
    EXPECT_TRUE(store.forget_unseen(at_ms(7000), 5s).empty()) << "what is forgotten is forgotten once";
}

TEST(SeriesStore, ForgetsAnEndedSeriesWithoutWaitingForTheLookback) {
    SeriesStore store = store_keeping(1s);
    const SeriesId ended = *store.define(pps);
    store.append(ended, at_ms(1000), stale_marker);
    EXPECT_TRUE(store.forget_unseen(at_ms(2000), 5min).empty()) << "a window may still see it";
    EXPECT_EQ(store.forget_unseen(at_ms(2001), 5min), std::vector<SeriesId>{ended});
}

TEST(SeriesStore, GivesTheIdOfAForgottenSeriesToANewOneWithoutItsPast) {
    SeriesStore store = store_keeping(1min, {.series_max = 1, .samples_per_series_max = 100});
    const SeriesId id = *store.define(pps);
    store.append(id, at_ms(1000), 1);
    store.forget_unseen(at_ms(9000) + 1min, 0s);
    const Labels other{{"__name__", "other"}};
    ASSERT_EQ(store.define(other), id);
    EXPECT_EQ(store.labels(id), other);
    EXPECT_TRUE(everything(store, id).empty());
    EXPECT_TRUE(store.named("pps").empty());
    EXPECT_TRUE(store.append(id, at_ms(500), 7)) << "its time begins anew";
}

TEST(SeriesStore, ListsSeriesInCanonicalOrderWhateverTheOrderOfTheirComing) {
    SeriesStore store;
    for (const char* iface : {"c", "a", "b"}) ASSERT_TRUE(store.define(pps.with("iface", iface)));
    ASSERT_TRUE(store.define(Labels{{"__name__", "bytes"}, {"iface", "z"}}));
    std::string named;
    for (const SeriesId id : store.named("pps")) named += store.labels(id).get("iface");
    EXPECT_EQ(named, "abc");
    std::string all;
    for (const SeriesId id : store.all()) all += store.labels(id).get("iface");
    EXPECT_EQ(all, "zabc");
    EXPECT_TRUE(store.named("nothing").empty());
}

TEST(SeriesStore, FindsTheNewestSampleAtATime) {
    SeriesStore store = store_keeping(1min);
    const SeriesId id = *store.define(pps);
    append_each_second(store, id, 1, 10);
    EXPECT_EQ(store.newest(id, at_ms(10'000), 1min)->value, 10);
    EXPECT_EQ(store.newest(id, at_ms(4'999), 1min)->value, 4);
    EXPECT_EQ(store.newest(id, at_ms(5'000), 1min)->value, 5);
    EXPECT_EQ(store.newest(id, at_ms(999), 1min), std::nullopt);
}

TEST(SeriesStore, LooksBackOverALeftOpenRange) {
    SeriesStore store;
    const SeriesId id = *store.define(pps);
    store.append(id, at_ms(1000), 1);
    EXPECT_TRUE(store.newest(id, at_ms(5999), 5s));
    EXPECT_FALSE(store.newest(id, at_ms(6000), 5s)) << "exactly the lookback ago is too old";
}

TEST(SeriesStore, HasLeftOpenRightClosedWindows) {
    SeriesStore store = store_keeping(1min);
    const SeriesId id = *store.define(pps);
    append_each_second(store, id, 1, 10);
    EXPECT_EQ(values(store.window(id, at_ms(3'000), at_ms(6'000))), (std::vector<double>{4, 5, 6}));
    EXPECT_EQ(values(store.window(id, at_ms(2'999), at_ms(5'999))), (std::vector<double>{3, 4, 5}));
    EXPECT_TRUE(store.window(id, at_ms(6'000), at_ms(6'000)).empty());
    EXPECT_TRUE(store.window(id, at_ms(10'000), at_ms(20'000)).empty());
    EXPECT_TRUE(store.window(id, at_ms(0), at_ms(999)).empty());
}

TEST(SeriesStore, AStaleMarkerEndsASeriesUntilItComesBack) {
    SeriesStore store = store_keeping(1min);
    const SeriesId id = *store.define(pps);
    store.append(id, at_ms(1000), 1);
    store.append(id, at_ms(2000), stale_marker);
    EXPECT_EQ(store.newest(id, at_ms(2000), 5min), std::nullopt);
    EXPECT_EQ(store.newest(id, at_ms(1999), 5min)->value, 1) << "it lived then";
    store.append(id, at_ms(3000), 3);
    EXPECT_EQ(store.newest(id, at_ms(3000), 5min)->value, 3);
    const auto window = store.window(id, at_ms(0), at_ms(3000));
    ASSERT_EQ(window.size(), 3U);
    EXPECT_TRUE(is_stale(window[1].value)) << "a window shows the marker";
}

TEST(SeriesStore, AnOrdinaryNanIsNoStaleMarker) {
    SeriesStore store;
    const SeriesId id = *store.define(pps);
    store.append(id, at_ms(1000), std::numeric_limits<double>::quiet_NaN());
    EXPECT_TRUE(store.newest(id, at_ms(1000), 5min));
    EXPECT_FALSE(is_stale(std::numeric_limits<double>::quiet_NaN()));
}

TEST(SeriesStore, ANewRetentionHoldsForSeriesThatAreThere) {
    SeriesStore store = store_keeping(10s);
    const SeriesId id = *store.define(pps);
    append_each_second(store, id, 1, 20);
    store.set_retention([](const Labels&) { return Duration{2s}; });
    EXPECT_EQ(everything(store, id), (std::vector<double>{18, 19, 20}));
    store.set_retention([](const Labels&) { return Duration{4s}; });
    append_each_second(store, id, 21, 24);
    EXPECT_EQ(everything(store, id), (std::vector<double>{20, 21, 22, 23, 24}));
}

TEST(SeriesStore, RetentionIsOfEachSeries) {
    SeriesStore store;
    store.set_retention(
        [](const Labels& l) { return l.metric_name() == "pps" ? Duration{3s} : Duration{0}; });
    const SeriesId kept = *store.define(pps);
    const SeriesId short_lived = *store.define(Labels{{"__name__", "other"}});
    append_each_second(store, kept, 1, 10);
    append_each_second(store, short_lived, 1, 10);
    EXPECT_EQ(everything(store, kept).size(), 4U);
    EXPECT_EQ(everything(store, short_lived).size(), 1U);
}

TEST(SeriesStore, NumbersSamplesAsTheyComeAndNeverAgain) {
    SeriesStore store = store_keeping(3s, {.series_max = 1, .samples_per_series_max = 100});
    const SeriesId id = *store.define(pps);
    append_each_second(store, id, 1, 100);
    const History history = store.history(id);
    EXPECT_EQ(history.end(), 100U);
    EXPECT_EQ(history.at(history.kept).value, 97) << "the first that is kept";
    EXPECT_EQ(history.at(99), store.newest(id, at_ms(100'000), 1s));
    store.forget_unseen(at_ms(200'000), 0s);
    ASSERT_EQ(*store.define(pps.with("iface", "eth1")), id);
    EXPECT_EQ(store.history(id).end(), 100U);
    store.append(id, at_ms(1000), 7);
    EXPECT_EQ(store.history(id).at(100).value, 7);
}

TEST(SeriesStore, TellsWhichMetricsIndexChanged) {
    SeriesStore store;
    EXPECT_EQ(store.index_version("pps"), 0U);
    store.append(*store.define(pps), at_ms(1000), 1);
    const auto before = store.index_version("pps");
    EXPECT_EQ(before, store.index_version());
    ASSERT_TRUE(store.define(Labels{{"__name__", "other"}}));
    EXPECT_EQ(store.index_version("pps"), before);
    ASSERT_TRUE(store.define(pps.with("iface", "eth1")));
    EXPECT_GT(store.index_version("pps"), before);
}

} // namespace
} // namespace homeostat
