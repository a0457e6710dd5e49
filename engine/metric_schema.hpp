// The labels that series of sensors and facts can have, from the configuration and the objects' layouts.
// Pure.
#pragma once

#include "engine/check.hpp"
#include "policies/policy_set.hpp"
#include "policies/promql/result_labels.hpp"

namespace homeostat {

// Of every metric that the config's sensors and the controller provide, except those that policies make.
// Where the object of a sensor is missing, a label may have any value.
promql::Schema metric_schema(const ControllerConfig& config, const ObjectLayouts& objects,
                             const PolicySet& policies);

} // namespace homeostat
