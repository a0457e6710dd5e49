// What a lab run came to: figures, receipts, and whether it did what it was to show.
#pragma once

#include "adapters/cli/lab_child.hpp"
#include "adapters/lab/traffic.hpp"

#include <optional>
#include <string>
#include <vector>

namespace homeostat::cli {

struct LabFigures {
    lab::TrafficCount flood;        // sent
    lab::TrafficCount flood_passed; // reached their socket
    lab::TrafficCount flood_at_mitigation;
    lab::TrafficCount passed_at_mitigation;
    lab::TrafficCount icmp;
    lab::TrafficCount tcp;
    bool mitigated = false;
    bool restored = false;
    int controller_exit = 0;
    bool kept = false; // nothing was to be removed
    bool left_nothing = false;
};

struct LabCheck {
    std::string what;
    bool ok = false;
};

std::vector<LabCheck> lab_checks(const LabStory& story, const LabFigures& figures);

// For people; ends with the checks.
std::string account_text(const LabStory& story, const LabFigures& figures);
// The same as one JSON object.
std::string account_json(const LabStory& story, const LabFigures& figures);

} // namespace homeostat::cli
