#include "adapters/bpf/sensors/ring_sensor.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <cstring>
#include <map>

namespace homeostat::bpf {
namespace {

struct Event { // as in shapes.bpf.c
    std::uint32_t colour;
    std::uint32_t source;
    std::uint64_t pps;
    std::int32_t drift;
    std::uint32_t padding;
};

class RingSensorTest : public testing::Test {
  protected:
    void SetUp() override {
        auto loaded = LoadedPrograms::load(
            {source("emit", "shapes", "emit"), source("emit_many", "shapes", "emit_many")});
        ASSERT_TRUE(loaded) << loaded.error().what;
        programs_.emplace(std::move(*loaded));
        ASSERT_TRUE(programs_->program("emit")) << programs_->program("emit").error().what;
    }

    static RingSensorSpec spec() {
        return {"events",
                "event",
                {{"colour", "hue", "", {}}, {"source", "source", "", {}}},
                {{"rate.pps", "over_limit_pps", {}, {}}, {"rate.drift", "drift", {}, {}}},
                "events_total",
                std::nullopt,
                true};
    }

    std::unique_ptr<RingSensor> sensor(const RingSensorSpec& spec, std::size_t series_max = 1'000) {
        const auto ring = programs_->map(spec.map);
        std::vector<InterfaceMap> rings;
        rings.push_back({"lab0", spec.map, ring->object, std::move(*duplicate(ring->descriptor))});
        auto made = RingSensor::create(SensorId{5}, spec, series_max, std::move(rings));
        EXPECT_TRUE(made) << made.error().what;
        return std::move(*made);
    }

    // The kernel accepts the record, or says that the ring is full.
    bool emit(const Event& event) {
        std::vector<std::byte> packet(64);
        std::memcpy(packet.data(), &event, sizeof event);
        return run_program(programs_->program("emit")->descriptor, packet) == 2;
    }
    void emit_short() {
        EXPECT_EQ(run_program(programs_->program("emit")->descriptor, std::vector<std::byte>(14)), 2u);
    }

    SampleBatch collect(RingSensor& from, std::int64_t now) {
        Readings readings;
        from.collect(at_ms(now), readings);
        EXPECT_EQ(readings.batches.size(), 1u);
        const SampleBatch& batch = readings.batches.at(0);
        EXPECT_EQ(batch.error, "");
        EXPECT_EQ(batch.time, at_ms(now));
        for (const auto& [local, labels] : batch.defined) {
            EXPECT_FALSE(series_.contains(local));
            series_[local] = labels;
        }
        values_.clear();
        for (const auto& [local, value] : batch.samples)
            EXPECT_TRUE(values_.emplace(to_text(series_.at(local)), value).second);
        for (const std::uint32_t local : batch.ended) EXPECT_EQ(series_.erase(local), 1u);
        return batch;
    }

    static bool readable(const RingSensor& from) {
        pollfd one{from.descriptor(), POLLIN, 0};
        return ::poll(&one, 1, 0) == 1;
    }

    std::optional<LoadedPrograms> programs_;
    std::map<std::uint32_t, Labels> series_;
    std::map<std::string, double> values_;
};

const std::string red = R"({hue="red",iface="lab0",source="7"})";
const std::string blue = R"({hue="dark_blue",iface="lab0",source="7"})";

TEST_F(RingSensorTest, RecordsBecomeTheNewestGaugesAndExactCounts) {
    const auto reader = sensor(spec());
    EXPECT_TRUE(reader->urgent());
    EXPECT_FALSE(readable(*reader));
    ASSERT_TRUE(emit({1, 7, 1000, -3, 0}));
    ASSERT_TRUE(emit({2, 7, 5000, 1, 0}));
    ASSERT_TRUE(emit({1, 7, 2000, -4, 0}));
    EXPECT_TRUE(readable(*reader));
    collect(*reader, 1);
    EXPECT_FALSE(readable(*reader));
    EXPECT_EQ(values_, (std::map<std::string, double>{{"over_limit_pps" + red, 2000},
                                                      {"drift" + red, -4},
                                                      {"events_total" + red, 2},
                                                      {"over_limit_pps" + blue, 5000},
                                                      {"drift" + blue, 1},
                                                      {"events_total" + blue, 1}}));
    EXPECT_TRUE(collect(*reader, 2).samples.empty()) << "no news, no samples";
    ASSERT_TRUE(emit({1, 7, 10, 0, 0}));
    EXPECT_TRUE(collect(*reader, 3).defined.empty()) << "numbers are stable";
    EXPECT_EQ(values_["events_total" + red], 3);
    EXPECT_EQ(values_["over_limit_pps" + red], 10);
}

TEST_F(RingSensorTest, NothingIsLostWhereTheRingWrapsAround) {
    const auto reader = sensor(spec());
    double expected = 0;
    for (std::int64_t round = 1; round <= 20; ++round) {
        for (std::uint64_t i = 0; i < 200; ++i) ASSERT_TRUE(emit({1, 7, i, 0, 0}));
        expected += 200;
        collect(*reader, round);
        EXPECT_EQ(values_["events_total" + red], expected);
        EXPECT_EQ(values_["over_limit_pps" + red], 199);
    }
}

TEST_F(RingSensorTest, ACallReadsABoundedNumberOfRecordsAndTheRestWaits) {
    RingSensorSpec many = spec();
    many.map = "many_events";
    const auto reader = sensor(many);
    const Event event{1, 7, 5, 0, 0};
    std::vector<std::byte> packet(64);
    std::memcpy(packet.data(), &event, sizeof event);
    run_program(programs_->program("emit_many")->descriptor, packet, 70'000);
    collect(*reader, 1);
    EXPECT_EQ(values_["events_total" + red], records_per_collect_max);
    EXPECT_TRUE(readable(*reader));
    collect(*reader, 2);
    EXPECT_EQ(values_["events_total" + red], 70'000);
    EXPECT_FALSE(readable(*reader));
}

TEST_F(RingSensorTest, WithinOneMillisecondTheNewestWins) {
    const auto reader = sensor(spec());
    ASSERT_TRUE(emit({1, 7, 1, 0, 0}));
    collect(*reader, 10);
    EXPECT_EQ(values_["over_limit_pps" + red], 1);
    ASSERT_TRUE(emit({1, 7, 2, 0, 0}));
    EXPECT_TRUE(collect(*reader, 10).samples.empty()) << "the series had its sample of this millisecond";
    ASSERT_TRUE(emit({1, 7, 3, 0, 0}));
    collect(*reader, 11);
    EXPECT_EQ(values_["over_limit_pps" + red], 3);
    EXPECT_EQ(values_["events_total" + red], 3);
}

TEST_F(RingSensorTest, AGaugeThatIsNotRenewedEndsAndTheCounterStays) {
    RingSensorSpec timed = spec();
    timed.valid = Duration(100);
    const auto reader = sensor(timed);
    ASSERT_TRUE(emit({1, 7, 1, 0, 0}));
    collect(*reader, 1'000);
    EXPECT_TRUE(collect(*reader, 1'099).ended.empty());
    EXPECT_EQ(collect(*reader, 1'100).ended.size(), 2u);
    EXPECT_EQ(series_.size(), 1u);
    EXPECT_TRUE(collect(*reader, 1'300).ended.empty()) << "once";
    ASSERT_TRUE(emit({1, 7, 6, 0, 0}));
    EXPECT_EQ(collect(*reader, 1'400).defined.size(), 2u);
    EXPECT_EQ(values_["over_limit_pps" + red], 6);
    EXPECT_EQ(values_["events_total" + red], 2);
}

TEST_F(RingSensorTest, LabelSetsBeyondTheLimitAreCountedAndEndedOnesMakeRoom) {
    RingSensorSpec timed = spec();
    timed.valid = Duration(10);
    timed.count.clear();
    const auto reader = sensor(timed, 5); // two label sets of two series
    for (std::uint32_t from = 0; from < 4; ++from) ASSERT_TRUE(emit({1, from, from, 0, 0}));
    EXPECT_EQ(collect(*reader, 1).refused, 4u);
    EXPECT_EQ(values_.size(), 4u);
    EXPECT_EQ(collect(*reader, 11).ended.size(), 4u);
    ASSERT_TRUE(emit({1, 9, 90, 0, 0}));
    EXPECT_EQ(collect(*reader, 12).refused, 0u);
    EXPECT_EQ(values_[R"(over_limit_pps{hue="red",iface="lab0",source="9"})"], 90);
}

TEST_F(RingSensorTest, WhatHadNoRecordForLongEndsWithItsCounterAndMakesRoom) {
    RingSensorSpec forgetful = spec();
    forgetful.forget = Duration(1'000);
    const auto reader = sensor(forgetful, 6); // two label sets of three series
    for (std::uint32_t source = 0; source < 2; ++source) ASSERT_TRUE(emit({1, source, 1, 0, 0}));
    collect(*reader, 1'000);
    ASSERT_TRUE(emit({1, 1, 2, 0, 0}));
    collect(*reader, 1'500);
    ASSERT_TRUE(emit({1, 2, 3, 0, 0}));
    EXPECT_EQ(collect(*reader, 1'999).refused, 3u) << "forged sources took all the room";
    EXPECT_EQ(collect(*reader, 2'000).ended.size(), 3u) << "both gauges and the counter";
    EXPECT_TRUE(collect(*reader, 2'100).ended.empty()) << "once";
    ASSERT_TRUE(emit({1, 2, 3, 0, 0}));
    EXPECT_EQ(collect(*reader, 2'200).refused, 0u);
    EXPECT_EQ(values_[R"(events_total{hue="red",iface="lab0",source="2"})"], 1);
    EXPECT_EQ(series_.size(), 6u);
}

TEST_F(RingSensorTest, AForgottenCounterThatComesAgainBeginsAnew) {
    RingSensorSpec forgetful = spec();
    forgetful.forget = Duration(1'000);
    forgetful.valid = Duration(100);
    const auto reader = sensor(forgetful);
    ASSERT_TRUE(emit({1, 7, 1, 0, 0}));
    ASSERT_TRUE(emit({1, 7, 1, 0, 0}));
    collect(*reader, 1'000);
    EXPECT_EQ(values_["events_total" + red], 2);
    EXPECT_EQ(collect(*reader, 1'100).ended.size(), 2u);
    EXPECT_EQ(collect(*reader, 2'000).ended.size(), 1u);
    EXPECT_TRUE(series_.empty());
    ASSERT_TRUE(emit({1, 7, 1, 0, 0}));
    EXPECT_EQ(collect(*reader, 3'000).defined.size(), 3u);
    EXPECT_EQ(values_["events_total" + red], 1);
}

TEST_F(RingSensorTest, AShortRecordIsCountedAndNotRead) {
    const auto reader = sensor(spec());
    emit_short();
    emit_short();
    ASSERT_TRUE(emit({1, 7, 1, 0, 0}));
    collect(*reader, 1);
    EXPECT_EQ(values_[R"(sensor_short_records_total{iface="lab0",map="events"})"], 2);
    EXPECT_EQ(values_["events_total" + red], 1);
    emit_short();
    collect(*reader, 2);
    EXPECT_EQ(values_, (std::map<std::string, double>{
                           {R"(sensor_short_records_total{iface="lab0",map="events"})", 3}}));
}

TEST_F(RingSensorTest, WhatIsNotThereIsRefused) {
    const auto error = [&](const RingSensorSpec& wrong) {
        const auto ring = programs_->map(wrong.map);
        std::vector<InterfaceMap> rings;
        rings.push_back({"lab0", wrong.map, ring->object, std::move(*duplicate(ring->descriptor))});
        const auto made = RingSensor::create(SensorId{5}, wrong, 10, std::move(rings));
        return made ? "" : made.error().what;
    };
    RingSensorSpec wrong = spec();
    wrong.record = "evnt";
    EXPECT_NE(error(wrong).find("no struct 'evnt'"), std::string::npos);
    wrong = spec();
    wrong.fields[0].field = "pps";
    EXPECT_NE(error(wrong).find("there are colour, source, rate.pps, rate.drift"), std::string::npos)
        << error(wrong);
    wrong = spec();
    wrong.map = "cpu_hash";
    EXPECT_NE(error(wrong).find("no ring buffer"), std::string::npos);
}

} // namespace
} // namespace homeostat::bpf
