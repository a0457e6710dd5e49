// Which controller's pins and state a command is about: those of a configuration, or of an instance by its
// name.
#pragma once

#include "adapters/bpf/instance.hpp"
#include "engine/config.hpp"
#include "knowledge/error.hpp"

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/variables_map.hpp>

#include <optional>

namespace homeostat::cli {

bpf::InstancePlace place_of(const ControllerConfig& config);

// --config and --instance.
void add_place_options(boost::program_options::options_description& options);

// The default place where neither is given. None where the configuration cannot be read, which is told then;
// of one with mistakes, what could be read.
std::optional<bpf::InstancePlace> place_of(const boost::program_options::variables_map& values,
                                           Diagnostics& diagnostics);

} // namespace homeostat::cli
