// `homeostat run` as a child process in a lab's namespace, and what its JSON lines tell.
#pragma once

#include "adapters/lab/network.hpp"
#include "knowledge/error.hpp"

#include <boost/json/object.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace homeostat::cli {

// The story as far as it has been told. Times are of CLOCK_MONOTONIC in nanoseconds.
struct LabStory {
    struct Attached {
        std::string program;
        std::string mode;
        std::int64_t since_ns = 0;
    };

    bool ready = false;
    std::vector<Attached> attached; // every program, in the order in which it came live
    std::optional<std::int64_t> raised_ns;
    std::vector<boost::json::object> receipts;
    std::map<std::string, double> signals; // newest values, by name and labels
    std::uint64_t signals_told = 0;        // how many times
    bool ended = false;                    // the child is done talking

    double signal(const std::string& name_and_labels) const;
    const std::string& program() const; // the one that runs now; "" before the first
};

class LabChild {
  public:
    // Starts the controller in `in`; its log goes to our standard error if `verbose`.
    static Result<LabChild> start(const lab::NetNamespace& in, const std::string& config, bool verbose);
    LabChild(LabChild&& other) noexcept;
    LabChild& operator=(LabChild&&) = delete;
    ~LabChild(); // stops it

    const LabStory& story() const { return story_; }

    enum class Told { something, timeout, interrupted, ended };
    // Waits for the next line of the child, and takes it into the story. `interrupted`: `signals` (a
    // signalfd) became readable.
    Told listen(std::chrono::steady_clock::time_point until, int signals);

    // Asks it to stop, and waits. Its exit code; 128 + N where signal N killed it.
    int stop();

  private:
    LabChild(pid_t pid, int out) : pid_(pid), out_(out) {}
    void take_line(const std::string& line);

    pid_t pid_ = -1;
    int out_ = -1;
    std::string buffer_;
    LabStory story_;
};

} // namespace homeostat::cli
