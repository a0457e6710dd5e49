// A sensor in memory, and wrappers of ports that inject faults. Deterministic; not thread-safe.
#pragma once

#include "engine/ports.hpp"

#include <deque>
#include <set>
#include <string>
#include <utility>

namespace homeostat::test {

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

} // namespace homeostat::test
