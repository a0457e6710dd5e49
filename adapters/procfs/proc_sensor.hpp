// Sensors of files below /proc, read whole at each period.
#pragma once

#include "adapters/procfs/parse.hpp"
#include "engine/ports.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace homeostat::procfs {

// A file that stays open between readings, and is opened anew after a failed one.
struct ProcFile {
    std::string path;
    std::string name; // what the parser calls it
    std::string hint; // what to do where it is not there
    int descriptor = -1;
};

// A file that cannot be read or understood makes the batch one with an error; the next call tries again.
// Series end when their CPU or line goes. Thread: the loop's.
class ProcSensor final : public Sensor {
  public:
    using Parser = Result<Measurements> (*)(std::string_view text, const std::string& name);

    ProcSensor(SensorId id, std::size_t series_max, std::vector<ProcFile> files, Parser parser)
        : id_(id), series_max_(series_max), files_(std::move(files)), parser_(parser) {}
    ProcSensor(const ProcSensor&) = delete;
    ProcSensor& operator=(const ProcSensor&) = delete;
    ~ProcSensor() override;

    void collect(Instant now, Readings& out) override;

  private:
    struct Series {
        std::uint32_t local = 0;
        bool seen = false;
    };

    void record(const Measured& measured, SampleBatch& batch);
    void end_unseen(SampleBatch& batch);

    SensorId id_;
    std::size_t series_max_;
    std::vector<ProcFile> files_;
    Parser parser_;
    std::map<std::string, Series> series_; // by their labels' text
    std::vector<std::uint32_t> free_;      // numbers of ended series
    std::optional<Instant> read_at_;
};

// `proc` is where procfs is mounted.
std::unique_ptr<Sensor> softnet_sensor(SensorId id, std::size_t series_max,
                                       const std::string& proc = "/proc");
std::unique_ptr<Sensor> pressure_sensor(SensorId id, std::size_t series_max,
                                        const std::string& proc = "/proc");

} // namespace homeostat::procfs
