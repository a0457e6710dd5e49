// The client's end of the control socket.
#pragma once

#include "knowledge/error.hpp"

#include <boost/json/object.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace homeostat::control {

// Asks one question: connects, checks the protocol's version, sends the request (its id and protocol are
// added) and waits for the answer, each at most `patience`. Blocks. Fails with what the controller said, or
// with why it could not be asked.
Result<boost::json::object> ask(const std::string& path, boost::json::object request,
                                std::chrono::milliseconds patience = std::chrono::seconds{10});

// The sockets in a folder on which somebody answers, in order.
std::vector<std::string> answering_sockets(const std::string& folder);

} // namespace homeostat::control
