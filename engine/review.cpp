#include "engine/review.hpp"

#include "engine/metric_schema.hpp"
#include "policies/lint/label_check.hpp"
#include "policies/lint/lint.hpp"

#include <algorithm>

namespace homeostat {

namespace {

// A sensor whose records start ticks of their own.
bool is_urgent(const SensorSpec& sensor) {
    const auto* ring = std::get_if<RingSensorSpec>(&sensor.source);
    return ring != nullptr && ring->urgent;
}

PolicyReview review(const PolicySet& policies, const LintContext& context, const FlapLimits& limits,
                    Diagnostics& diagnostics) {
    PolicyReview review;
    Diagnostics found;
    check_labels(policies, context.schema, found);
    review.bounds = flap_bounds(policies, context.schema, limits);
    warn_of_flapping(policies, context.schema, limits, review.bounds, found);
    lint(policies, context, found);
    drop_allowed(policies, found);
    diagnostics.insert(diagnostics.end(), found.begin(), found.end());
    return review;
}

} // namespace

PolicyReview review_policies(const PolicySet& policies, const ControllerConfig& config,
                             const std::map<std::string, ObjectLayout>& objects, Diagnostics& diagnostics) {
    LintContext context{.schema = with_policy_metrics(metric_schema(config, objects, policies), policies),
                        .period = config.period,
                        .is_whole = !has_errors(diagnostics)};
    FlapLimits limits{.tick = std::ranges::any_of(config.sensors, is_urgent) ? Duration{1} : config.period,
                      .instances_per_adaptation_max = config.limits.instances_per_adaptation_max,
                      .changes_per_minute_max = config.limits.changes_per_minute_max,
                      .interfaces = {}};
    for (const InterfaceSpec& interface : config.interfaces) limits.interfaces.push_back(interface.name);
    return review(policies, context, limits, diagnostics);
}

PolicyReview review_policies(const PolicySet& policies, Diagnostics& diagnostics) {
    const LintContext context{.schema = with_policy_metrics({}, policies),
                              .period = std::nullopt,
                              .is_whole = !has_errors(diagnostics)};
    const Limits limits;
    return review(policies, context,
                  {.tick = Duration{1},
                   .instances_per_adaptation_max = limits.instances_per_adaptation_max,
                   .changes_per_minute_max = limits.changes_per_minute_max,
                   .interfaces = {}},
                  diagnostics);
}

} // namespace homeostat
