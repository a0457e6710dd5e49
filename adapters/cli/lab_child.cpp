#include "adapters/cli/lab_child.hpp"

#include <boost/json.hpp>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace homeostat::cli {

namespace json = boost::json;

namespace {

constexpr int stop_patience_ms = 10'000;

std::int64_t now_ns(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// The controller's times are of the wall clock, and kept by a steady one.
std::int64_t monotonic_of(double seconds_since_epoch) {
    const std::int64_t age = now_ns(CLOCK_REALTIME) - static_cast<std::int64_t>(seconds_since_epoch * 1e9);
    return now_ns(CLOCK_MONOTONIC) - age;
}

std::string text(const json::value& value) { return value.is_string() ? std::string(value.as_string()) : ""; }
double number(const json::value& value) { return value.is_number() ? value.to_number<double>() : 0; }

// In the child, between fork and exec: only what is safe there.
[[noreturn]] void become_controller(int out, const std::string& config, const std::string& instance,
                                    bool verbose) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    setpgid(0, 0); // Ctrl-C is the parent's to pass on
    dup2(out, STDOUT_FILENO);
    if (!verbose) {
        const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(null, STDERR_FILENO);
    }
    // A BPF file system of its own, so that what it pins goes with it.
    if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("bpf", "/sys/fs/bpf", "bpf", 0, nullptr) != 0)
        _exit(126);
    execl("/proc/self/exe", "homeostat", "run", "-c", config.c_str(), "--json", "--signals", "500ms",
          "--detach-on-exit", "--instance", instance.c_str(), static_cast<char*>(nullptr));
    _exit(127);
}

} // namespace

double LabStory::signal(const std::string& name_and_labels) const {
    const auto found = signals.find(name_and_labels);
    return found == signals.end() ? 0 : found->second;
}

const std::string& LabStory::program() const {
    static const std::string none;
    return attached.empty() ? none : attached.back().program;
}

Result<LabChild> LabChild::start(const lab::NetNamespace& in, const std::string& config, bool verbose) {
    std::array<int, 2> out{};
    if (pipe2(out.data(), O_CLOEXEC) != 0)
        return failure(std::string("pipe: ") + std::strerror(errno), errno);
    auto entered = in.enter();
    if (!entered) return std::unexpected(entered.error());
    const pid_t pid = fork();
    if (pid == 0) become_controller(out[1], config, in.name(), verbose);
    close(out[1]);
    if (pid < 0) {
        close(out[0]);
        return failure(std::string("fork: ") + std::strerror(errno), errno);
    }
    return LabChild(pid, out[0]);
}

LabChild::LabChild(LabChild&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), out_(std::exchange(other.out_, -1)),
      buffer_(std::move(other.buffer_)), story_(std::move(other.story_)) {}

LabChild::~LabChild() {
    stop();
    if (out_ >= 0) close(out_);
}

LabChild::Told LabChild::listen(std::chrono::steady_clock::time_point until, int signals) {
    while (true) {
        if (const std::size_t end = buffer_.find('\n'); end != std::string::npos) {
            take_line(buffer_.substr(0, end));
            buffer_.erase(0, end + 1);
            return Told::something;
        }
        if (story_.ended) return Told::ended;
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
        if (left.count() <= 0) return Told::timeout;
        std::array<pollfd, 2> waiting{{{out_, POLLIN, 0}, {signals, POLLIN, 0}}};
        const int ready = poll(waiting.data(), waiting.size(), static_cast<int>(left.count()));
        if (ready < 0 && errno != EINTR) return Told::ended;
        if (ready <= 0) continue;
        if (waiting[1].revents != 0) return Told::interrupted;
        std::array<char, 65536> chunk{};
        const ssize_t got = read(out_, chunk.data(), chunk.size());
        if (got > 0)
            buffer_.append(chunk.data(), static_cast<std::size_t>(got));
        else if (got == 0)
            story_.ended = true;
    }
}

void LabChild::take_line(const std::string& line) {
    boost::system::error_code error;
    const json::value parsed = json::parse(line, error);
    if (error || !parsed.is_object()) return;
    const json::object& event = parsed.as_object();
    const auto field = [&](std::string_view name) {
        return event.contains(name) ? event.at(name) : json::value();
    };
    const std::string type = text(field("type"));
    const std::int64_t at = monotonic_of(number(field("time")));
    if (type == "ready") {
        story_.ready = true;
    } else if (type == "symptom") {
        if (text(field("to")) == "raised" && !story_.raised_ns) story_.raised_ns = at;
    } else if (type == "receipt") {
        story_.receipts.push_back(event);
    } else if (type == "outcome" && field("ok") == true && field("xdp").is_object()) {
        const json::object xdp = field("xdp").as_object();
        const std::string program = text(xdp.at("program"));
        if (program != story_.program())
            story_.attached.push_back({program, text(xdp.at("mode")),
                                       static_cast<std::int64_t>(number(field("done_monotonic_ns")))});
    } else if (type == "signals") {
        ++story_.signals_told;
        story_.signals.clear();
        const json::value values = field("values");
        for (const json::value& value : values.as_array()) {
            std::string name = text(value.at("signal"));
            for (const auto& [label, label_value] : value.at("labels").as_object())
                if (label != "iface") name += "," + std::string(label) + "=" + text(label_value);
            story_.signals[name] = number(value.at("value"));
        }
    }
}

int LabChild::stop() {
    if (pid_ < 0) return 0;
    kill(pid_, SIGTERM);
    const int ended = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
    pollfd waiting{ended, POLLIN, 0};
    if (poll(&waiting, 1, stop_patience_ms) == 0) kill(pid_, SIGKILL);
    if (ended >= 0) close(ended);
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

} // namespace homeostat::cli
