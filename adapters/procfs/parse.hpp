// From the text of files below /proc to numbers under their labels. Pure.
#pragma once

#include "knowledge/error.hpp"
#include "knowledge/labels.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace homeostat::procfs {

struct Measured {
    Labels labels; // with the metric name
    double value = 0;
};

using Measurements = std::vector<Measured>;

// /proc/net/softnet_stat, a line of hexadecimal words for each online CPU:
// softnet_{processed,dropped,squeezed} _total with the label cpu. A line of an older kernel (before 5.10),
// without the CPU's number, counts as the CPU of its place.
Result<Measurements> parse_softnet(std::string_view text, const std::string& name);

// /proc/pressure/<resource>: pressure_{some,full}_ratio (0 to 1) with the labels resource and window, and
// pressure_stall_seconds_total with resource and kind.
Result<Measurements> parse_pressure(std::string_view text, const std::string& resource);

} // namespace homeostat::procfs
