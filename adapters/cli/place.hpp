// Which controller's pins and state a command is about: those of a configuration, or of an instance by its
// name.
#pragma once

#include "adapters/bpf/datapath/instance.hpp"
#include "engine/config.hpp"
#include "knowledge/error.hpp"

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/variables_map.hpp>

#include <optional>

namespace homeostat::cli {

bpf::InstancePlace place_of(const ControllerConfig& config);

// --config and --instance.
void add_place_options(boost::program_options::options_description& options);

// The default place where neither is given. None where the configuration has mistakes or cannot be read,
// which is told then: to undo what another controller does would be worse than to undo nothing.
std::optional<bpf::InstancePlace> place_of(const boost::program_options::variables_map& values,
                                           Diagnostics& diagnostics);

// What is wrong with --instance; "" where nothing is, or where it is not given.
std::string instance_option_mistake(const boost::program_options::variables_map& values);

} // namespace homeostat::cli
