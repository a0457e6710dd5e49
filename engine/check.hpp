// Config and policies against each other and against the objects that they name: all that can be known to be
// wrong before anything is touched. Pure: objects come as layouts.
#pragma once

#include "engine/config.hpp"
#include "engine/generation.hpp"
#include "knowledge/layout.hpp"
#include "policies/document.hpp"

#include <map>
#include <string>
#include <vector>

namespace homeostat {

using ObjectLayouts = std::map<std::string, ObjectLayout>; // by program name

// The metric names that the config's sensors and the controller itself provide.
ProvidedMetrics provided_metrics(const ControllerConfig& config);

// The generation that config, policies and objects make together. Null where anything is wrong; all that
// is wrong is told.
GenerationPtr make_generation(const ControllerConfig& config, std::vector<PolicyDocument> policies,
                              const ObjectLayouts& objects, std::uint64_t number, Diagnostics& diagnostics);

// What a running controller cannot take over: programs, interfaces and sensors are fixed at its start. One
// diagnostic for each difference.
void check_reloadable(const ControllerConfig& running, const ControllerConfig& next,
                      Diagnostics& diagnostics);

} // namespace homeostat
