// What is known of the labels of every metric that a set of policies can read.
#pragma once

#include "policies/policy_set.hpp"
#include "policies/promql/result_labels.hpp"

namespace homeostat {

// Adds to the sensors' and the controller's metrics (empty: unknown) those that the policies make: signals,
// symptom_raised and adaptation_active.
promql::Schema with_policy_metrics(promql::Schema sensors, const PolicySet& policies);

// The labels that the key of an instance can have.
promql::ResultLabels key_of(const Symptom& symptom, const promql::Schema& schema);
// By the symptom that drives the instance; a symptom that nobody declares is left out.
std::vector<promql::ResultLabels> keys_of(const AdaptationRule& rule, const PolicySet& policies,
                                          const promql::Schema& schema);

} // namespace homeostat
