// The ports in memory, and wrappers that inject faults: for tests, and for simulation. Deterministic; not
// thread-safe unless it says so.
#pragma once

#include "engine/ports.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace homeostat {

// A datapath that does what it is told, as far as its interfaces can: they are those that it is given,
// present and up, and take every mode.
class FakeDatapath final : public Datapath {
  public:
    explicit FakeDatapath(const std::vector<std::string>& interfaces) {
        for (const std::string& name : interfaces)
            state_[name] = {.present = true, .up = true, .xdp = {}, .entries = {}};
    }

    ActualState read_back() override { return state_; }
    const ActualState& state() const { return state_; }

    Outcome apply(const Transaction& transaction) override {
        ActualInterface& actual = state_[transaction.interface];
        ActualInterface next = actual;
        Attempt attempt{.modes = modes_of(transaction.interface), .error = {}, .notes = {}};
        if (!actual.present) attempt.error = "there is no such device";
        for (const Step& step : transaction.steps)
            if (attempt.error.empty()) std::visit([&](const auto& s) { take(next, s, attempt); }, step);
        const bool ok = attempt.error.empty();
        if (ok) actual = std::move(next);
        return {.id = transaction.id,
                .interface = transaction.interface,
                .ok = ok,
                .error = std::move(attempt.error),
                .notes = std::move(attempt.notes),
                .actual = actual,
                .took_ns = 0,
                .done_monotonic_ns = 0};
    }

    // ---- what the world does behind the controller's back

    // An interface that goes takes what hung on it along; one that comes is another device.
    void set_link(const std::string& interface, bool present, bool up) {
        ActualInterface& actual = state_[interface];
        if (present && !actual.present) actual.index = ++index_;
        if (!present) {
            actual.xdp.reset();
            actual.index = 0;
        }
        actual.present = present;
        actual.up = up;
    }

    // The modes that an interface takes; none: every one.
    void set_modes(const std::string& interface, std::vector<XdpMode> modes) {
        modes_[interface] = std::move(modes);
    }

    void attach(const std::string& interface, const std::optional<std::string>& program) {
        ActualInterface& actual = state_[interface];
        if (program)
            actual.xdp = {*program, actual.xdp ? actual.xdp->mode : XdpMode::drv, ++id_};
        else
            actual.xdp.reset();
    }

  private:
    struct Attempt {
        std::vector<XdpMode> modes;
        std::string error;
        std::vector<std::string> notes;
    };

    std::vector<XdpMode> modes_of(const std::string& interface) const {
        const auto found = modes_.find(interface);
        return found == modes_.end() ? std::vector<XdpMode>() : found->second;
    }

    void attach_by(ActualInterface& actual, const std::string& program, const std::vector<XdpMode>& ladder,
                   Attempt& attempt) {
        for (const XdpMode mode : ladder) {
            if (attempt.modes.empty() || std::ranges::find(attempt.modes, mode) != attempt.modes.end()) {
                actual.xdp = {program, mode, ++id_};
                return;
            }
            attempt.notes.push_back(std::string(to_text(mode)) + ": not supported");
        }
        for (const std::string& note : attempt.notes)
            attempt.error += (attempt.error.empty() ? "" : "; ") + note;
    }

    static void take(ActualInterface& actual, const SetMapEntry& step, Attempt&) {
        actual.entries[step.entry] = step.value;
    }
    static void take(ActualInterface& actual, const ClearMapEntry& step, Attempt&) {
        actual.entries.erase(step.entry);
    }
    void take(ActualInterface& actual, const AttachXdp& step, Attempt& attempt) {
        attach_by(actual, step.program, step.ladder, attempt);
    }
    void take(ActualInterface& actual, const ReplaceXdp& step, Attempt&) {
        actual.xdp->program = step.program;
        actual.xdp->program_id = ++id_;
    }
    void take(ActualInterface& actual, const SwitchXdpMode& step, Attempt& attempt) {
        attach_by(actual, step.program, step.ladder, attempt);
    }
    static void take(ActualInterface& actual, const DetachXdp&, Attempt&) { actual.xdp.reset(); }

    ActualState state_;
    std::map<std::string, std::vector<XdpMode>> modes_;
    std::uint32_t id_ = 0;
    std::uint32_t index_ = 0;
};

// Fails the transactions whose turn (from 1) is named, as a kernel would: nothing is changed, and the outcome
// says so.
class FaultyDatapath final : public Datapath {
  public:
    FaultyDatapath(Datapath& inner, std::set<int> failing, std::string error = "injected fault")
        : inner_(inner), failing_(std::move(failing)), error_(std::move(error)) {}

    ActualState read_back() override { return inner_.read_back(); }

    Outcome apply(const Transaction& transaction) override {
        if (!failing_.contains(++turn_)) return inner_.apply(transaction);
        return {.id = transaction.id,
                .interface = transaction.interface,
                .ok = false,
                .error = error_,
                .notes = {},
                .actual = inner_.read_back()[transaction.interface],
                .took_ns = 0,
                .done_monotonic_ns = 0};
    }

  private:
    Datapath& inner_;
    std::set<int> failing_;
    std::string error_;
    int turn_ = 0;
};

// Gives what it was fed, one reading per call.
class FakeSensor final : public Sensor {
  public:
    void feed(Readings readings) { readings_.push_back(std::move(readings)); }

    void collect(Instant now, Readings& out) override {
        if (readings_.empty()) return;
        for (SampleBatch& batch : readings_.front().batches) {
            batch.time = now;
            out.batches.push_back(std::move(batch));
        }
        for (LinkEvent& link : readings_.front().links) out.links.push_back(std::move(link));
        readings_.pop_front();
    }

  private:
    std::deque<Readings> readings_;
};

// Fails the calls whose turn (from 1) is named.
class FaultySensor final : public Sensor {
  public:
    FaultySensor(SensorId id, Sensor& inner, std::set<int> failing)
        : id_(id), inner_(inner), failing_(std::move(failing)) {}

    int descriptor() const override { return inner_.descriptor(); }
    bool urgent() const override { return inner_.urgent(); }

    void collect(Instant now, Readings& out) override {
        if (!failing_.contains(++turn_)) return inner_.collect(now, out);
        SampleBatch batch;
        batch.sensor = id_;
        batch.time = now;
        batch.error = "injected fault";
        out.batches.push_back(std::move(batch));
    }

  private:
    SensorId id_;
    Sensor& inner_;
    std::set<int> failing_;
    int turn_ = 0;
};

} // namespace homeostat
