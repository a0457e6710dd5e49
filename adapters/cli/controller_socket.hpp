// How a command that changes an interface finds the controller that owns it, and has it make the change.
#pragma once

#include "adapters/bpf/datapath/instance.hpp"
#include "adapters/cli/mistakes.hpp"
#include "adapters/cli/operator_desk.hpp"

#include <boost/json/object.hpp>
#include <boost/program_options/options_description.hpp>
#include <boost/program_options/variables_map.hpp>

namespace homeostat::cli {

// --socket.
void add_socket_option(boost::program_options::options_description& options);

// Whether a process owns the instance now.
bool is_owned(const bpf::InstancePlace& place);

// Prints how a change ended, which is what change_json() made of it. Returns the exit code.
int tell_change(const Teller& teller, const boost::json::object& change);

// Has the controller make the change: the one at --socket, that of the configuration, or the only one that
// answers. Prints how it ended. Returns the exit code.
int ask_controller(const Teller& teller, const ChangeRequest& request,
                   const boost::program_options::variables_map& values);

} // namespace homeostat::cli
