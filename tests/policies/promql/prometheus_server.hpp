// The Prometheus of Debian as a child process on loopback, with data of its own: an oracle for tests. Throws
// std::exception where something does not work.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace homeostat::promql {

struct Answer {
    std::string error;                    // "" where it succeeded
    std::map<std::string, double> values; // by label set, as canonical text; of a scalar: by "scalar"
};

class PrometheusServer {
  public:
    // Whether prometheus and promtool are installed.
    static bool is_installed();

    // Loads OpenMetrics text and waits until the server answers.
    explicit PrometheusServer(const std::string& openmetrics);
    ~PrometheusServer();
    PrometheusServer(const PrometheusServer&) = delete;
    PrometheusServer& operator=(const PrometheusServer&) = delete;

    Answer query(const std::string& expression, std::int64_t time_s);

  private:
    struct Connection;

    std::filesystem::path folder_;
    int pid_ = -1;
    int log_ = -1;
    std::uint16_t port_ = 0;
    std::unique_ptr<Connection> connection_;
};

} // namespace homeostat::promql
