// One generation of what a controller is to do: everything that a reload replaces, as one immutable value.
#pragma once

#include "engine/limits.hpp"
#include "knowledge/datapath.hpp"
#include "policies/policy_set.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace homeostat {

struct Generation {
    std::uint64_t number = 1;
    DesiredState baseline;
    PolicySet policies;
    std::vector<std::string> programs; // declared ones, for the state sets xdp_program and tc_program
    std::vector<std::string> sensors;  // names, in the order of SensorId
    Limits limits;
    bool shadow = false; // decide, and change nothing
};

using GenerationPtr = std::shared_ptr<const Generation>;

} // namespace homeostat
