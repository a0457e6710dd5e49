#include "adapters/procfs/proc_sensor.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace homeostat::procfs {
namespace {

std::map<std::string, double> by_labels(const Result<Measurements>& measured) {
    std::map<std::string, double> found;
    if (!measured) return found;
    for (const Measured& one : *measured) found[to_text(one.labels)] = one.value;
    return found;
}

constexpr const char* two_cpus = "0000057a 00000002 00000003 0 0 0 0 0 0 0 0 0 00000000 0 0\n"
                                 "00000010 00000000 00000001 0 0 0 0 0 0 0 0 0 00000003 0 0\n";
constexpr const char* pressure = "some avg10=12.50 avg60=1.00 avg300=0.00 total=2500000\n"
                                 "full avg10=100.00 avg60=0.25 avg300=0.00 total=1\n";

TEST(Softnet, HasThreeCountersForEachCpuByItsNumber) {
    EXPECT_EQ(by_labels(parse_softnet(two_cpus, "s")),
              (std::map<std::string, double>{{R"(softnet_processed_total{cpu="0"})", 0x57a},
                                             {R"(softnet_dropped_total{cpu="0"})", 2},
                                             {R"(softnet_squeezed_total{cpu="0"})", 3},
                                             {R"(softnet_processed_total{cpu="3"})", 0x10},
                                             {R"(softnet_dropped_total{cpu="3"})", 0},
                                             {R"(softnet_squeezed_total{cpu="3"})", 1}}));
}

TEST(Softnet, OfAnOlderKernelCountsCpusByTheirLine) {
    const auto found = by_labels(parse_softnet("1 2 3\nffffffff 5 6\n", "s"));
    EXPECT_EQ(found.at(R"(softnet_processed_total{cpu="1"})"), 4294967295.0);
}

TEST(Softnet, ThatIsShortGarbledTooLargeOrEmptyIsAnErrorThatNamesTheFile) {
    for (const char* text : {"1 2\n", "1 2 x\n", "1 2 3g\n", "1 2 11112222333344445\n", "", "-1 2 3\n"}) {
        const auto read = parse_softnet(text, "the file");
        ASSERT_FALSE(read) << text;
        EXPECT_NE(read.error().what.find("the file"), std::string::npos);
    }
}

TEST(Pressure, IsARatioByWindowAndSecondsOfStalling) {
    const auto found = by_labels(parse_pressure(pressure, "io"));
    EXPECT_EQ(found.size(), 8U);
    EXPECT_EQ(found.at(R"(pressure_some_ratio{resource="io",window="10s"})"), 0.125);
    EXPECT_EQ(found.at(R"(pressure_full_ratio{resource="io",window="10s"})"), 1);
    EXPECT_EQ(found.at(R"(pressure_full_ratio{resource="io",window="60s"})"), 0.0025);
    EXPECT_EQ(found.at(R"(pressure_stall_seconds_total{kind="some",resource="io"})"), 2.5);
}

TEST(Pressure, ThatIsShortGarbledOrOutOfRangeIsAnError) {
    for (const char* text :
         {"", "some avg10=1.00 avg60=1.00 avg300=1.00\n", "none avg10=1 avg60=1 avg300=1 total=1\n",
          "some avg10=x avg60=1 avg300=1 total=1\n", "some avg10=nan avg60=1 avg300=1 total=1\n",
          "some avg10=101 avg60=1 avg300=1 total=1\n", "some avg60=1 avg10=1 avg300=1 total=1\n",
          "some avg10=1 avg60=1 avg300=1 total=99999999999999999999\n"})
        EXPECT_FALSE(parse_pressure(text, "io")) << text;
}

class ProcFiles : public testing::Test {
  protected:
    void SetUp() override { std::filesystem::create_directories(root_ / "net"); }
    void TearDown() override { std::filesystem::remove_all(root_); }

    void write(const char* path, const char* text) { std::ofstream(root_ / path) << text; }
    SampleBatch collect(Sensor& sensor) {
        Readings out;
        sensor.collect(now_ += Duration{100}, out);
        return out.batches.at(0);
    }

    std::filesystem::path root_ =
        std::filesystem::temp_directory_path() / ("procfs-test-" + std::to_string(::getpid()));
    Instant now_ = at_ms(1'000'000);
};

TEST_F(ProcFiles, ThatCannotBeReadAreAnErrorAndTheSensorRecovers) {
    const auto sensor = pressure_sensor(SensorId{3}, 100, root_);
    EXPECT_NE(collect(*sensor).error.find("CONFIG_PSI"), std::string::npos);
    std::filesystem::create_directories(root_ / "pressure");
    for (const char* path : {"pressure/cpu", "pressure/memory", "pressure/io"}) write(path, pressure);
    EXPECT_EQ(collect(*sensor).defined.size(), 24U);
    write("pressure/io", "garbage\n");
    EXPECT_NE(collect(*sensor).error, "");
    write("pressure/io", pressure);
    const auto back = collect(*sensor);
    EXPECT_EQ(back.error, "");
    EXPECT_EQ(back.samples.size(), 24U);
    EXPECT_TRUE(back.defined.empty()) << "series are defined once";
}

TEST_F(ProcFiles, EndTheSeriesOfACpuThatWentOfflineAndDefineThemAnew) {
    const auto sensor = softnet_sensor(SensorId{3}, 100, root_);
    write("net/softnet_stat", two_cpus);
    EXPECT_EQ(collect(*sensor).defined.size(), 6U);
    write("net/softnet_stat", "1 0 0\n");
    EXPECT_EQ(collect(*sensor).ended.size(), 3U);
    write("net/softnet_stat", two_cpus);
    EXPECT_EQ(collect(*sensor).defined.size(), 3U);
}

TEST_F(ProcFiles, BeyondTheLimitOfSeriesAreRefusedAndCounted) {
    const auto sensor = softnet_sensor(SensorId{3}, 4, root_);
    write("net/softnet_stat", two_cpus);
    const auto batch = collect(*sensor);
    EXPECT_EQ(batch.samples.size(), 4U);
    EXPECT_EQ(batch.refused, 2U);
}

TEST_F(ProcFiles, OfThisKernelHaveThreeCountersForEachOnlineCpuThatNeverGoBack) {
    const auto sensor = softnet_sensor(SensorId{3}, 10'000);
    const auto first = collect(*sensor), second = collect(*sensor);
    ASSERT_EQ(first.error, "");
    EXPECT_EQ(first.samples.size(), 3U * static_cast<std::size_t>(::sysconf(_SC_NPROCESSORS_ONLN)));
    ASSERT_EQ(first.samples.size(), second.samples.size());
    for (std::size_t i = 0; i < first.samples.size(); ++i)
        EXPECT_GE(second.samples[i].value, first.samples[i].value);
}

TEST_F(ProcFiles, OfThisKernelTellPressureWhereItHasIt) {
    if (!std::filesystem::exists("/proc/pressure/cpu")) GTEST_SKIP() << "this kernel has no PSI";
    const auto sensor = pressure_sensor(SensorId{3}, 10'000);
    const auto batch = collect(*sensor);
    EXPECT_EQ(batch.error, "");
    EXPECT_GE(batch.samples.size(), 20U);
}

} // namespace
} // namespace homeostat::procfs
