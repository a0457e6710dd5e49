// The datapath as a value in memory, with what the world does to it: for simulation, and for tests.
#pragma once

#include "engine/ports.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace homeostat {

// A datapath that does what it is told, as far as its interfaces can: they are those that it is given,
// present and up, and take every mode. Deterministic; not thread-safe.
class DatapathInMemory final : public Datapath {
  public:
    explicit DatapathInMemory(const std::vector<std::string>& interfaces);

    ActualState read_back() override { return state_; }
    const ActualState& state() const { return state_; }

    Outcome apply(const Transaction& transaction) override;

    // ---- what the world does behind the controller's back

    // An interface that goes takes what hung on it along; one that comes is another device.
    void set_link(const std::string& interface, bool present, bool up);

    // The modes that an interface takes; none: every one.
    void set_modes(const std::string& interface, std::vector<XdpMode> modes) {
        modes_[interface] = std::move(modes);
    }

    // What a switch of the mode leaves on an interface; by default none, which is covered.
    void set_gap(const std::string& interface, XdpGap gap) { gaps_[interface] = gap; }

    void attach(const std::string& interface, const std::optional<std::string>& program);

  private:
    struct Attempt {
        std::vector<XdpMode> modes;
        std::string error;
        std::vector<std::string> notes;
        XdpGap gap; // that a switch leaves
        std::optional<XdpGap> gap_left = std::nullopt;
    };

    std::vector<XdpMode> modes_of(const std::string& interface) const;
    void attach_by(ActualInterface& actual, const std::string& program, const std::vector<XdpMode>& ladder,
                   Attempt& attempt);
    void switch_by(ActualInterface& actual, const std::string& program, const std::vector<XdpMode>& ladder,
                   const GapLimit& limit, Attempt& attempt);
    void take(ActualInterface& actual, const Step& step, Attempt& attempt);

    ActualState state_;
    std::map<std::string, std::vector<XdpMode>> modes_;
    std::map<std::string, XdpGap> gaps_;
    std::uint32_t id_ = 0;
    std::uint32_t index_ = 0;
};

} // namespace homeostat
