#include "adapters/bpf/datapath/observed.hpp"
#include "tests/adapters/bpf/datapath/datapath_fixture.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <gtest/gtest.h>

namespace homeostat::bpf {
namespace {

class ObservedTest : public DatapathFixture {
  protected:
    void SetUp() override {
        DatapathFixture::SetUp();
        if (!HasFatalFailure()) open_datapath(options(), programs_); // another controller on this host
    }

    void apply(const Step& step) {
        const Outcome outcome = DatapathFixture::apply({step});
        ASSERT_TRUE(outcome.ok) << outcome.error;
    }

    SampleBatch collect(Sensor& sensor) {
        Readings readings;
        sensor.collect(at_ms(++now_), readings);
        return readings.batches.at(0);
    }

    const std::vector<ProgramSource> programs_{source("pass", "counting", "count_pass"),
                                               source("drop", "counting", "count_drop")};
    std::int64_t now_ = 0;
};

TEST_F(ObservedTest, TcProgramsAreToldByTheirFunctionsAndOthersAreNot) {
    std::vector<ProgramSource> programs{source("pass", "counting", "count_pass"),
                                        source("in", "tc_count", "count_first"),
                                        source("out", "tc_count", "count_second")};
    DatapathOptions tc = options();
    tc.place.name = "tc";
    open_datapath(std::move(tc), programs);
    apply(AttachTc{TcDirection::ingress, "in"});
    apply(AttachTc{TcDirection::egress, "out"});
    EXPECT_EQ(ObservedDatapath(programs, {"lab0"}).read_back().at("lab0").tc, actual().tc);
    programs.pop_back();
    const ActualInterface seen = ObservedDatapath(programs, {"lab0"}).read_back().at("lab0");
    EXPECT_TRUE(seen.tc.contains(TcDirection::ingress));
    EXPECT_FALSE(seen.tc.contains(TcDirection::egress)) << "nobody named it";
}

TEST_F(ObservedTest, WhatIsAttachedIsToldAndNothingIsChanged) {
    ObservedDatapath observed(programs_, {"lab0", "lab7"});
    EXPECT_FALSE(observed.read_back().at("lab0").xdp);
    EXPECT_FALSE(observed.read_back().at("lab7").present);
    apply(AttachXdp{"pass", {XdpMode::drv}});
    const ActualState seen = observed.read_back();
    ASSERT_TRUE(seen.at("lab0").xdp);
    EXPECT_EQ(seen.at("lab0").xdp->program, "pass");
    EXPECT_EQ(seen.at("lab0").xdp->mode, XdpMode::drv);

    const Outcome outcome = observed.apply({TransactionId{4}, "lab0", {DetachXdp{}}});
    EXPECT_FALSE(outcome.ok);
    EXPECT_EQ(outcome.id, TransactionId{4});
    EXPECT_EQ(outcome.actual, seen.at("lab0"));
    EXPECT_TRUE(actual().xdp);

    ObservedDatapath stranger({}, {"lab0"});
    EXPECT_EQ(stranger.read_back().at("lab0").xdp->program, "foreign:count_pass");
}

TEST_F(ObservedTest, MapsAreThoseOfWhateverProgramIsAttachedNow) {
    const MapSensorSpec spec{
        "verdict_counters", {{"", "verdict", "", {}}}, {{"packets", "packets", {}, {}}}, false, true};
    auto sensor = ObservedMapSensor::create(SensorId{2}, spec, 100, programs_, {"lab0"});
    ASSERT_TRUE(sensor) << sensor.error().what;
    EXPECT_EQ(collect(**sensor).error, "lab0: no XDP program is attached");

    apply(AttachXdp{"pass", {XdpMode::drv}});
    const Descriptor program(bpf_prog_get_fd_by_id(actual().xdp->program_id));
    run_program(program.get(), std::vector<std::byte>(64), 3);
    SampleBatch batch = collect(**sensor);
    EXPECT_EQ(batch.error, "");
    ASSERT_EQ(batch.samples.size(), 1u);
    EXPECT_EQ(batch.samples[0].value, 3);
    EXPECT_EQ(to_text(batch.defined.at(0).labels), R"(packets{iface="lab0",verdict="1"})");

    apply(ReplaceXdp{"drop"});
    batch = collect(**sensor);
    EXPECT_EQ(batch.error, "");
    EXPECT_EQ(batch.samples.size(), 1u) << "the maps are shared by both programs";

    apply(DetachXdp{});
    batch = collect(**sensor);
    EXPECT_EQ(batch.error, "lab0: no XDP program is attached");
    EXPECT_EQ(batch.ended.size(), 1u);
}

TEST_F(ObservedTest, AMapOfOtherSizesIsNotRead) {
    const std::vector<ProgramSource> other{source("odd", "conflicting")};
    const MapSensorSpec spec{
        "verdict_counters", {{"", "key", "", {}}}, {{"", "count", {}, {}}}, false, false};
    auto sensor = ObservedMapSensor::create(SensorId{2}, spec, 100, other, {"lab0"});
    ASSERT_TRUE(sensor) << sensor.error().what;
    apply(AttachXdp{"pass", {XdpMode::drv}});
    EXPECT_NE(collect(**sensor).error.find("another type or other sizes"), std::string::npos);
}

TEST_F(ObservedTest, RingsAreLeftToTheirReader) {
    ObservedRingSensor sensor(SensorId{8});
    const SampleBatch batch = collect(sensor);
    EXPECT_EQ(batch.sensor, SensorId{8});
    EXPECT_NE(batch.error.find("not read in shadow"), std::string::npos);
    EXPECT_EQ(sensor.descriptor(), -1);
}

} // namespace
} // namespace homeostat::bpf
