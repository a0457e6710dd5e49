// Config and policies against each other and against the objects that they name: all that can be known to be
// wrong before anything is touched. Pure: objects come as layouts.
#pragma once

#include "engine/config.hpp"
#include "engine/generation.hpp"
#include "engine/review.hpp"
#include "knowledge/layout.hpp"
#include "policies/document.hpp"

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat {

using ObjectLayouts = std::map<std::string, ObjectLayout>; // by program name

// The metric names that the config's sensors and the controller itself provide.
ProvidedMetrics provided_metrics(const ControllerConfig& config);

// The metrics of the sensors "rtnetlink", "softnet" and "pressure".
std::span<const std::string_view> link_metrics();
std::span<const std::string_view> softnet_metrics();
std::span<const std::string_view> pressure_metrics();

// The generation that config, policies and objects make together. Null where anything is wrong; all that
// is wrong is told. With a review, the policies are also read as their author would want somebody to: labels
// that cannot be, warnings, and how often they can change what.
GenerationPtr make_generation(const ControllerConfig& config, std::vector<PolicyDocument> policies,
                              const ObjectLayouts& objects, std::uint64_t number, Diagnostics& diagnostics,
                              PolicyReview* review = nullptr, NamesElsewhere elsewhere = {});

// What a running controller cannot take over: programs, interfaces and sensors are fixed at its start. One
// diagnostic for each difference.
void check_reloadable(const ControllerConfig& running, const ControllerConfig& next,
                      Diagnostics& diagnostics);

} // namespace homeostat
