#include "adapters/procfs/proc_sensor.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace homeostat::procfs {
namespace {

std::unexpected<Error> refused(const char* operation, const ProcFile& file, int number) {
    std::string what = std::string("cannot ") + operation + " " + file.path + ": " + std::strerror(number);
    if (!file.hint.empty() && (number == ENOENT || number == EOPNOTSUPP)) what += "; " + file.hint;
    return failure(std::move(what), number);
}

void close_file(ProcFile& file) {
    if (file.descriptor >= 0) ::close(file.descriptor);
    file.descriptor = -1;
}

Result<std::string> read_whole(ProcFile& file) {
    if (file.descriptor < 0) file.descriptor = ::open(file.path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file.descriptor < 0) return refused("open", file, errno);
    std::string text;
    std::array<char, 4096> bytes{};
    while (true) {
        const auto got =
            ::pread(file.descriptor, bytes.data(), bytes.size(), static_cast<off_t>(text.size()));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            auto error = refused("read", file, errno);
            close_file(file);
            return error;
        }
        if (got == 0) return text;
        text.append(bytes.data(), static_cast<std::size_t>(got));
    }
}

} // namespace

ProcSensor::~ProcSensor() {
    for (ProcFile& file : files_) close_file(file);
}

void ProcSensor::collect(Instant now, Readings& out) {
    if (read_at_ && now <= *read_at_) return;
    read_at_ = now;
    SampleBatch batch;
    batch.sensor = id_;
    batch.time = now;
    Measurements all;
    for (ProcFile& file : files_) {
        const auto text = read_whole(file);
        auto measured = text ? parser_(*text, file.name) : std::unexpected(text.error());
        if (!measured) {
            batch.error = measured.error().what;
            out.batches.push_back(std::move(batch));
            return;
        }
        for (Measured& one : *measured) all.push_back(std::move(one));
    }
    for (auto& [labels, series] : series_) series.seen = false;
    for (const Measured& measured : all) record(measured, batch);
    end_unseen(batch);
    out.batches.push_back(std::move(batch));
}

void ProcSensor::record(const Measured& measured, SampleBatch& batch) {
    const std::string text = to_text(measured.labels);
    auto found = series_.find(text);
    if (found == series_.end()) {
        if (series_.size() >= series_max_) {
            ++batch.refused;
            return;
        }
        auto local = static_cast<std::uint32_t>(series_.size() + free_.size());
        if (!free_.empty()) {
            local = free_.back();
            free_.pop_back();
        }
        found = series_.emplace(text, Series{.local = local}).first;
        batch.defined.push_back({local, measured.labels});
    }
    if (found->second.seen) return; // a line that stands twice
    found->second.seen = true;
    batch.samples.push_back({found->second.local, measured.value});
}

void ProcSensor::end_unseen(SampleBatch& batch) {
    for (auto at = series_.begin(); at != series_.end();) {
        if (at->second.seen) {
            ++at;
            continue;
        }
        batch.ended.push_back(at->second.local);
        free_.push_back(at->second.local);
        at = series_.erase(at);
    }
}

std::unique_ptr<Sensor> softnet_sensor(SensorId id, std::size_t series_max, const std::string& proc) {
    const std::string path = proc + "/net/softnet_stat";
    return std::make_unique<ProcSensor>(
        id, series_max, std::vector<ProcFile>{{path, path, "is procfs mounted at " + proc + "?"}},
        parse_softnet);
}

std::unique_ptr<Sensor> pressure_sensor(SensorId id, std::size_t series_max, const std::string& proc) {
    std::vector<ProcFile> files;
    for (const char* resource : {"cpu", "memory", "io"})
        files.push_back({proc + "/pressure/" + resource, resource,
                         "this needs a kernel with CONFIG_PSI, started with psi=1: boot one, or remove the "
                         "sensor"});
    return std::make_unique<ProcSensor>(id, series_max, std::move(files), parse_pressure);
}

} // namespace homeostat::procfs
