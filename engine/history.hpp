// What was decided lately: a bounded memory, so that a running controller can be asked why.
#pragma once

#include "knowledge/receipt.hpp"
#include "knowledge/time.hpp"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>

namespace homeostat {

// One decision, or one message of a tick.
struct Decided {
    std::uint64_t number = 0; // counts from 1, without gaps
    Instant at;
    std::uint64_t generation = 0;
    std::variant<SymptomChange, Receipt, PlannedTransaction, Outcome, std::string> what;

    bool operator==(const Decided&) const = default;
};

class DecisionHistory {
  public:
    // Must be told of every tick, also of those that decide nothing. At the limit the oldest are forgotten,
    // and counted; the first time, `decisions` gets a message that says so.
    void add(Decisions& decisions, std::size_t decisions_max);

    const std::deque<Decided>& decided() const { return decided_; } // oldest first
    std::optional<Instant> now() const { return now_; }             // of the last tick
    // Nothing that was decided from here on is forgotten; none before the first tick.
    std::optional<Instant> begins() const { return begins_; }
    std::uint64_t forgotten() const { return forgotten_; }

  private:
    void forget(std::size_t decisions_max);

    std::deque<Decided> decided_;
    std::optional<Instant> now_;
    std::optional<Instant> begins_;
    std::uint64_t forgotten_ = 0;
    std::uint64_t next_ = 1;
};

} // namespace homeostat
