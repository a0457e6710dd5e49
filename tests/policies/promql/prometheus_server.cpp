#include "tests/policies/promql/prometheus_server.hpp"

#include "knowledge/labels.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>

#include <array>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace homeostat::promql {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace json = boost::json;

namespace {

constexpr const char* prometheus = "/usr/bin/prometheus";
constexpr const char* promtool = "/usr/bin/promtool";

// Starts a program whose two outputs go to `out`.
int start(std::vector<std::string> words, int out) {
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const int pid = ::fork();
    if (pid < 0) throw std::runtime_error("fork failed");
    if (pid > 0) return pid;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
}

// Whatever a program that was started says, until `text` is in it or the program closes its output.
std::string read_until(int in, const std::string& text) {
    std::string made;
    std::array<char, 4096> buffer{};
    while (text.empty() || made.find(text) == made.npos) {
        const auto count = ::read(in, buffer.data(), buffer.size());
        if (count <= 0) break;
        made.append(buffer.data(), static_cast<std::size_t>(count));
    }
    return made;
}

std::array<int, 2> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
    return ends;
}

std::string percent_encoded(const std::string& text) {
    constexpr std::string_view hex = "0123456789ABCDEF";
    std::string made;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        ((made += '%') += hex[byte >> 4]) += hex[byte & 15];
    }
    return made;
}

double number(const json::value& sample) { return std::strtod(sample.at(1).as_string().c_str(), nullptr); }

Answer answer_of(const std::string& body) {
    const json::value parsed = json::parse(body);
    Answer made;
    if (parsed.at("status").as_string() != "success") {
        made.error = parsed.at("error").as_string().c_str();
        return made;
    }
    const json::value& data = parsed.at("data");
    if (data.at("resultType").as_string() == "scalar") {
        made.values["scalar"] = number(data.at("result"));
        return made;
    }
    for (const json::value& sample : data.at("result").as_array()) {
        std::vector<Label> labels;
        for (const auto& [name, value] : sample.at("metric").as_object())
            labels.push_back({std::string(name), std::string(value.as_string())});
        made.values[to_text(Labels(std::move(labels)))] = number(sample.at("value"));
    }
    return made;
}

} // namespace

struct PrometheusServer::Connection {
    asio::io_context context;
    asio::ip::tcp::socket socket{context};
    boost::beast::flat_buffer buffer;
};

bool PrometheusServer::is_installed() {
    return ::access(prometheus, X_OK) == 0 && ::access(promtool, X_OK) == 0;
}

PrometheusServer::PrometheusServer(const std::string& openmetrics)
    : connection_(std::make_unique<Connection>()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "prometheus.XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("no temporary folder");
    folder_ = pattern;
    std::ofstream(folder_ / "data.txt") << openmetrics;
    std::ofstream(folder_ / "prometheus.yml") << "";
    const auto loading = make_pipe();
    const int loader =
        start({promtool, "tsdb", "create-blocks-from", "openmetrics", folder_ / "data.txt", folder_ / "data"},
              loading[1]);
    ::close(loading[1]);
    const std::string said = read_until(loading[0], "");
    ::close(loading[0]);
    int status = 0;
    ::waitpid(loader, &status, 0);
    if (status != 0) throw std::runtime_error("promtool: " + said);

    asio::ip::tcp::acceptor free_port(connection_->context, {asio::ip::address_v4::loopback(), 0});
    port_ = free_port.local_endpoint().port();
    free_port.close();
    const auto log = make_pipe();
    log_ = log[0];
    pid_ = start({prometheus, "--config.file=" + (folder_ / "prometheus.yml").string(),
                  "--storage.tsdb.path=" + (folder_ / "data").string(), "--storage.tsdb.retention.time=100y",
                  "--web.listen-address=127.0.0.1:" + std::to_string(port_), "--log.level=info"},
                 log[1]);
    ::close(log[1]);
    const std::string ready = "Server is ready to receive web requests";
    if (const std::string told = read_until(log_, ready); told.find(ready) == told.npos)
        throw std::runtime_error("prometheus: " + told);
    connection_->socket.connect({asio::ip::address_v4::loopback(), port_});
}

PrometheusServer::~PrometheusServer() {
    if (pid_ > 0) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    if (log_ >= 0) ::close(log_);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

Answer PrometheusServer::query(const std::string& expression, std::int64_t time_s) {
    http::request<http::string_body> request{http::verb::post, "/api/v1/query", 11};
    request.set(http::field::host, "127.0.0.1");
    request.set(http::field::content_type, "application/x-www-form-urlencoded");
    request.body() = "time=" + std::to_string(time_s) + "&query=" + percent_encoded(expression);
    request.prepare_payload();
    http::write(connection_->socket, request);
    http::response<http::string_body> response;
    http::read(connection_->socket, connection_->buffer, response);
    return answer_of(response.body());
}

} // namespace homeostat::promql
