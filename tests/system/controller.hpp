// `homeostat run` in a lab, with a policy and a configuration of the test's; its decisions can be waited for.
#pragma once

#include "adapters/lab/bpf_mount.hpp"
#include "adapters/lab/network.hpp"
#include "adapters/lab/traffic.hpp"
#include "tests/system/child.hpp"
#include "tests/system/files.hpp"
#include "tests/system/kernel.hpp"

#include <boost/json/object.hpp>
#include <gtest/gtest.h>

#include <csignal>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::system_test {

using Event = boost::json::object;
using Wanted = std::function<bool(const Event&)>;

// What an event may be.
Wanted symptom_to(std::string state);
Wanted receipt_of(std::string action);
Wanted outcome_with(std::string program); // that program runs now
Wanted failed_outcome();

// What a signals event says, by name and labels but for iface, as "counted{proto=udp}".
std::map<std::string, double> signals_of(const Event& event);
Wanted signals_have(std::map<std::string, double> values);
Wanted signal_above(std::string name, double value);

std::string text_of(const Event& event, std::string_view key); // "" where it is none
std::uint32_t program_id_of(const Event& outcome);             // 0 for none

class Controller {
  public:
    // Reads `config` and tells all it decides; `more` are further arguments.
    static Controller start(const lab::NetNamespace& in, const std::string& config,
                            std::vector<std::string> more = {});

    // The next event of the kind, after the one that was waited for before. Throws if the controller ends
    // before.
    const Event& await(const Wanted& wanted, const std::string& what);

    // Events up to the one waited for last, and how many of them are of a kind.
    const std::vector<Event>& events() const { return events_; }
    std::size_t count(const Wanted& wanted) const;

    void await_log(std::string_view text) { child_.await_error(text); }
    const std::string& log() const { return child_.errors(); }
    pid_t pid() const { return child_.pid(); }

    void signal(int number) const { child_.signal(number); }
    void hang_up() { child_.hang_up(); }
    // Takes the events that are still to come. The exit code.
    int stop(int number = SIGTERM);

  private:
    explicit Controller(Child child) : child_(std::move(child)) {}
    const Event* next();

    Child child_;
    std::vector<Event> events_;
};

// A test with a lab and a folder of its own; skipped where there cannot be one.
class InLab : public testing::Test {
  protected:
    void SetUp() override;

    const lab::NetNamespace& host() const { return lab_->host; }
    const lab::NetNamespace& peer() const { return lab_->peer; }
    lab::Lab& lab() { return *lab_; }

    // Where the controller's pins are.
    std::string bpffs() const { return pins_->path() + "/homeostat"; }

    // The configuration, with its pins and its state in places of this test.
    Config placed(Config config) const;
    // Writes both files, so placed.
    std::string files(const Config& config, const Policy& policy) const;
    // When it is stopped, it detaches.
    Controller start(const Config& config, const Policy& policy, std::vector<std::string> more = {}) const;
    // The same, with the baseline attached.
    Controller start_attached(const Config& config, const Policy& policy) const;

    std::optional<bpf::AttachedProgram> attached() const { return program_on(host(), "lab0"); }
    std::uint32_t attached_id() const; // 0 for none

    // UDP for at most so long.
    lab::Traffic flood(std::uint32_t packets_per_second = 10'000, std::chrono::seconds time = patience) const;
    // Frames from the peer, each counted once.
    void send(std::size_t udp, std::size_t tcp, std::size_t icmp) const;

    Folder folder_;

  private:
    std::optional<lab::BpfMount> pins_;
    std::optional<lab::Lab> lab_;
};

template <class T> T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().what);
    return std::move(*result);
}

inline void must(Result<void> result) {
    if (!result) throw std::runtime_error(result.error().what);
}

} // namespace homeostat::system_test
