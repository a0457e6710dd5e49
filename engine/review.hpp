// What a seasoned reader says of policies: labels that cannot be, warnings, and how often they can change
// what. Pure.
#pragma once

#include "engine/config.hpp"
#include "knowledge/layout.hpp"
#include "policies/lint/flap_bound.hpp"

#include <map>
#include <string>
#include <vector>

namespace homeostat {

struct PolicyReview {
    std::vector<FlapBound> bounds;
};

// Against the configuration that they are meant for. Mistakes and warnings are appended.
PolicyReview review_policies(const PolicySet& policies, const ControllerConfig& config,
                             const std::map<std::string, ObjectLayout>& objects, Diagnostics& diagnostics);

// As far as the policies alone allow: nothing is known of sensors and interfaces.
PolicyReview review_policies(const PolicySet& policies, Diagnostics& diagnostics);

} // namespace homeostat
