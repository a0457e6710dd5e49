#include "adapters/bpf/sensors/map_sensor.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

namespace homeostat::bpf {
namespace {

struct Reading { // as in shapes.bpf.c
    std::uint64_t packets;
    std::int32_t balance;
    std::uint16_t small;
    std::array<std::uint8_t, 2> address;
};
static_assert(sizeof(Reading) == 16);

struct FlowKey {
    std::uint32_t colour;
    std::uint32_t queue;
};

const std::size_t cpus = static_cast<std::size_t>(libbpf_num_possible_cpus());

// What the loop would know after the batches so far.
class Seen {
  public:
    void take(const SampleBatch& batch) {
        error = batch.error;
        refused = batch.refused;
        ended = batch.ended.size();
        defined = batch.defined.size();
        for (const auto& [local, labels] : batch.defined) {
            EXPECT_FALSE(series_.contains(local)) << "number " << local << " is in use";
            series_[local] = labels;
        }
        values.clear();
        for (const auto& [local, value] : batch.samples) {
            EXPECT_TRUE(series_.contains(local)) << "number " << local << " is not defined";
            EXPECT_TRUE(values.emplace(to_text(series_[local]), value).second) << to_text(series_[local]);
        }
        for (const std::uint32_t local : batch.ended) EXPECT_EQ(series_.erase(local), 1u);
    }

    std::size_t series() const { return series_.size(); }

    std::map<std::string, double> values; // of the newest batch
    std::string error;
    std::uint64_t refused = 0;
    std::size_t ended = 0;
    std::size_t defined = 0;

  private:
    std::map<std::uint32_t, Labels> series_;
};

class MapSensorTest : public testing::Test {
  protected:
    void SetUp() override {
        auto loaded = LoadedPrograms::load({source("touch", "shapes", "touch")});
        ASSERT_TRUE(loaded) << loaded.error().what;
        programs_.emplace(std::move(*loaded));
        ASSERT_TRUE(programs_->program("touch")) << programs_->program("touch").error().what;
    }

    int map(const std::string& name) { return programs_->map(name)->descriptor; }

    InterfaceMap interface_map(const std::string& name, const std::string& interface = "lab0") {
        return {interface, name, programs_->map(name)->object, std::move(*duplicate(map(name)))};
    }

    std::unique_ptr<MapSensor> sensor(const MapSensorSpec& spec, std::size_t series_max = 100'000) {
        std::vector<InterfaceMap> maps;
        maps.push_back(interface_map(spec.map));
        auto made = MapSensor::create(SensorId{3}, spec, series_max, std::move(maps));
        EXPECT_TRUE(made) << made.error().what;
        return std::move(*made);
    }

    static MapSensorSpec spec(const std::string& name) {
        return {name,
                {{"", "key", "", {}}},
                {{"packets", "packets_total", {}, {}}, {"balance", "balance", {}, {}}},
                false,
                false};
    }

    void collect(Sensor& from) {
        Readings readings;
        from.collect(at_ms(++now_), readings);
        ASSERT_EQ(readings.batches.size(), 1u);
        EXPECT_EQ(readings.batches[0].sensor, SensorId{3});
        EXPECT_EQ(readings.batches[0].time, at_ms(now_));
        seen_.take(readings.batches[0]);
    }

    // Distinct on each CPU, so that a wrong sum shows.
    void put(const std::string& name, const void* key, std::uint64_t packets, std::int32_t balance) {
        const bool per_cpu = programs_->map(name)->layout->per_cpu();
        std::vector<Reading> values(per_cpu ? cpus : 1);
        for (std::size_t cpu = 0; cpu < values.size(); ++cpu) values[cpu] = {packets + cpu, balance, 3, {}};
        ASSERT_EQ(bpf_map_update_elem(map(name), key, values.data(), 0), 0);
    }

    static double total(std::uint64_t packets, bool per_cpu) {
        std::uint64_t sum = 0;
        for (std::size_t cpu = 0; cpu < (per_cpu ? cpus : 1); ++cpu) sum += packets + cpu;
        return static_cast<double>(sum);
    }

    std::optional<LoadedPrograms> programs_;
    Seen seen_;
    std::int64_t now_ = 0;
};

TEST_F(MapSensorTest, EveryKindOfMapIsReadWholeAndExactlyOverAllCpus) {
    for (const std::string name : {"plain_array", "cpu_array", "cpu_hash", "lru_hash", "lru_cpu_hash"}) {
        const bool per_cpu = programs_->map(name)->layout->per_cpu();
        const bool array = programs_->map(name)->layout->is_array();
        const std::uint32_t count = array ? 700 : 500;
        for (std::uint32_t key = 0; key < count; ++key)
            put(name, &key, (std::uint64_t{1} << 52) + key, -static_cast<std::int32_t>(key));
        const auto reader = sensor(spec(name));
        seen_ = {};
        for (int round = 0; round < 3; ++round) {
            collect(*reader);
            ASSERT_EQ(seen_.error, "");
            ASSERT_EQ(seen_.values.size(), 2 * count) << name;
            for (std::uint32_t key = 0; key < count; ++key) {
                const std::string labels = "{iface=\"lab0\",key=\"" + std::to_string(key) + "\"}";
                const double lanes = per_cpu ? static_cast<double>(cpus) : 1;
                ASSERT_EQ(seen_.values["packets_total" + labels],
                          total((std::uint64_t{1} << 52) + key, per_cpu));
                ASSERT_EQ(seen_.values["balance" + labels], -static_cast<double>(key) * lanes);
            }
            EXPECT_EQ(seen_.defined, round == 0 ? 2 * count : 0u) << "numbers are stable";
        }
    }
}

TEST_F(MapSensorTest, FieldsOfStructKeysBecomeLabelsAndEnumsTheirWords) {
    const FlowKey key{2, 9};
    put("plain_hash", &key, 77, 0);
    const auto reader = sensor({"plain_hash",
                                {{"colour", "hue", "", {}}, {"queue", "queue", "", {}}},
                                {{"small", "small", {{"unit", "things"}}, {}}},
                                false,
                                false});
    collect(*reader);
    EXPECT_EQ(seen_.values, (std::map<std::string, double>{
                                {R"(small{hue="dark_blue",iface="lab0",queue="9",unit="things"})", 3}}));
}

TEST_F(MapSensorTest, APlainKeyIsShownByTheWordsOfADeclaredEnum) {
    for (const std::uint32_t key : {1U, 5U}) put("cpu_hash", &key, 1, 0);
    const auto reader =
        sensor({"cpu_hash", {{"", "hue", "colour", {}}}, {{"packets", "packets", {}, {}}}, false, false});
    collect(*reader);
    EXPECT_TRUE(seen_.values.contains(R"(packets{hue="red",iface="lab0"})"));
    EXPECT_TRUE(seen_.values.contains(R"(packets{hue="5",iface="lab0"})"))
        << "a value without a word is a number";
}

TEST_F(MapSensorTest, CpusAreKeptApartOnRequest) {
    const std::uint32_t key = 4;
    put("cpu_hash", &key, 100, 0);
    MapSensorSpec apart = spec("cpu_hash");
    apart.keep_cpus = true;
    const auto reader = sensor(apart);
    collect(*reader);
    ASSERT_EQ(seen_.values.size(), 2 * cpus);
    for (std::size_t cpu = 0; cpu < cpus; ++cpu)
        EXPECT_EQ(seen_.values["packets_total{cpu=\"" + std::to_string(cpu) + R"(",iface="lab0",key="4"})"],
                  static_cast<double>(100 + cpu));
}

TEST_F(MapSensorTest, TenThousandKeysSurviveChurn) {
    const auto reader = sensor(spec("cpu_hash"));
    const auto put_all = [&](std::uint32_t from, std::uint32_t to) {
        for (std::uint32_t key = from; key < to; ++key) put("cpu_hash", &key, key, 0);
    };
    put_all(0, 10'000);
    collect(*reader);
    EXPECT_EQ(seen_.values.size(), 20'000u);
    for (std::uint32_t key = 0; key < 10'000; key += 3)
        ASSERT_EQ(bpf_map_delete_elem(map("cpu_hash"), &key), 0);
    put_all(20'000, 23'000);
    collect(*reader);
    EXPECT_EQ(seen_.ended, 2 * 3'334u);
    EXPECT_EQ(seen_.defined, 2 * 3'000u);
    for (int round = 0; round < 2; ++round) {
        put_all(30'000, 30'100);
        collect(*reader);
        ASSERT_EQ(seen_.error, "");
        EXPECT_EQ(seen_.values.size(), 2 * (10'000u - 3'334 + 3'100));
        EXPECT_EQ(seen_.series(), seen_.values.size());
        for (const std::uint32_t key : {1U, 9'998U, 20'000U, 22'999U, 30'099U})
            EXPECT_EQ(seen_.values[R"(packets_total{iface="lab0",key=")" + std::to_string(key) + "\"}"],
                      total(key, true));
    }
}

TEST_F(MapSensorTest, KeysThatVanishEndTheirSeriesAndMayComeBack) {
    const auto reader = sensor(spec("cpu_hash"));
    const std::uint32_t one = 1, two = 2;
    put("cpu_hash", &one, 1, 0);
    put("cpu_hash", &two, 2, 0);
    collect(*reader);
    EXPECT_EQ(seen_.series(), 4u);
    ASSERT_EQ(bpf_map_delete_elem(map("cpu_hash"), &one), 0);
    collect(*reader);
    EXPECT_EQ(seen_.ended, 2u);
    EXPECT_EQ(seen_.series(), 2u);
    put("cpu_hash", &one, 5, 0);
    collect(*reader);
    EXPECT_EQ(seen_.defined, 2u);
    EXPECT_EQ(seen_.values[R"(packets_total{iface="lab0",key="1"})"], total(5, true));
}

TEST_F(MapSensorTest, SeriesBeyondTheLimitAreCountedAndTheOthersGoOn) {
    const auto reader = sensor(spec("cpu_hash"), 7);
    for (std::uint32_t key = 0; key < 5; ++key) put("cpu_hash", &key, key, 0);
    for (int round = 0; round < 2; ++round) {
        collect(*reader);
        EXPECT_EQ(seen_.values.size(), 6u) << "three keys of two series each";
        EXPECT_EQ(seen_.refused, 4u);
        EXPECT_EQ(seen_.error, "");
    }
}

TEST_F(MapSensorTest, EntriesOfZerosHaveNoSeriesOnRequest) {
    MapSensorSpec without_zeros = spec("cpu_array");
    without_zeros.skip_zero = true;
    const auto reader = sensor(without_zeros);
    const std::uint32_t key = 300;
    put("cpu_array", &key, 8, 0);
    collect(*reader);
    EXPECT_EQ(seen_.values.size(), 2u);
    const std::vector<Reading> zeros(cpus);
    ASSERT_EQ(bpf_map_update_elem(map("cpu_array"), &key, zeros.data(), 0), 0);
    collect(*reader);
    EXPECT_EQ(seen_.values.size(), 0u);
    EXPECT_EQ(seen_.ended, 2u);
}

TEST_F(MapSensorTest, OneSensorCoversAllInterfaces) {
    std::vector<InterfaceMap> maps;
    maps.push_back(interface_map("cpu_hash", "lab0"));
    maps.push_back(interface_map("cpu_hash", "lab1"));
    auto reader = MapSensor::create(SensorId{3}, spec("cpu_hash"), 100, std::move(maps));
    ASSERT_TRUE(reader);
    const std::uint32_t key = 1;
    put("cpu_hash", &key, 6, 0);
    collect(**reader);
    EXPECT_EQ(seen_.values.size(), 4u);
    EXPECT_TRUE(seen_.values.contains(R"(packets_total{iface="lab1",key="1"})"));
    (*reader)->read_from("lab0", Descriptor());
    collect(**reader);
    EXPECT_EQ(seen_.values.size(), 2u);
    EXPECT_EQ(seen_.ended, 2u) << "an interface without a map has no series";
}

TEST_F(MapSensorTest, AFailedLookUpIsAnErrorWithoutSamplesAndLosesNoSeries) {
    const auto reader = sensor(spec("cpu_hash"));
    const std::uint32_t key = 1;
    put("cpu_hash", &key, 6, 0);
    collect(*reader);
    reader->read_from("lab0", std::move(*duplicate(0))); // no map at all
    collect(*reader);
    EXPECT_NE(seen_.error.find("read map cpu_hash of lab0: "), std::string::npos) << seen_.error;
    EXPECT_TRUE(seen_.values.empty());
    reader->read_from("lab0", std::move(*duplicate(map("cpu_hash"))));
    collect(*reader);
    EXPECT_EQ(seen_.error, "");
    EXPECT_EQ(seen_.values.size(), 2u);
    EXPECT_EQ(seen_.defined, 0u);
}

TEST_F(MapSensorTest, WhatAFailedReadingDefinedIsToldByTheNextGoodOne) {
    std::vector<InterfaceMap> maps;
    maps.push_back(interface_map("cpu_hash", "lab0"));
    maps.push_back(interface_map("cpu_hash", "lab1"));
    const auto reader = MapSensor::create(SensorId{3}, spec("cpu_hash"), 100, std::move(maps));
    ASSERT_TRUE(reader);
    const std::uint32_t one = 1, two = 2;
    put("cpu_hash", &one, 6, 0);
    collect(**reader);
    ASSERT_EQ(bpf_map_delete_elem(map("cpu_hash"), &one), 0);
    put("cpu_hash", &two, 8, 0);
    (*reader)->read_from("lab1", std::move(*duplicate(0)));
    for (int round = 0; round < 2; ++round) {
        collect(**reader); // lab0 is read, lab1 fails
        EXPECT_NE(seen_.error, "");
        EXPECT_EQ(seen_.defined + seen_.ended + seen_.values.size(), 0u);
    }
    (*reader)->read_from("lab1", std::move(*duplicate(map("cpu_hash"))));
    collect(**reader);
    EXPECT_EQ(seen_.defined, 4u);
    EXPECT_EQ(seen_.ended, 4u);
    EXPECT_EQ(seen_.values[R"(packets_total{iface="lab0",key="2"})"], total(8, true));
    EXPECT_EQ(seen_.series(), 4u);
}

TEST_F(MapSensorTest, WhatCannotBeReadIsRefusedWithWhatThereIs) {
    const auto error = [&](const MapSensorSpec& wrong) {
        std::vector<InterfaceMap> maps;
        maps.push_back(interface_map(wrong.map));
        const auto made = MapSensor::create(SensorId{3}, wrong, 10, std::move(maps));
        return made ? "" : made.error().what;
    };
    MapSensorSpec wrong = spec("cpu_hash");
    wrong.fields[0].field = "packet";
    EXPECT_NE(error(wrong).find("no field 'packet' in struct reading; there are packets, balance"),
              std::string::npos)
        << error(wrong);
    wrong = spec("cpu_hash");
    wrong.fields[0].field = "address";
    EXPECT_NE(error(wrong).find("array of bytes"), std::string::npos);
    wrong = spec("cpu_hash");
    wrong.key[0].enumeration = "taste";
    EXPECT_NE(error(wrong).find("no enum 'taste'"), std::string::npos);
    EXPECT_NE(error(spec("events")).find("only array, hash and LRU maps"), std::string::npos);
    EXPECT_NE(MapSensor::create(SensorId{3}, spec("x"), 10, {}).error().what.find("no loaded program"),
              std::string::npos);
}

} // namespace
} // namespace homeostat::bpf
