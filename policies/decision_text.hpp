// Decisions as lines of text, for people and for tests.
#pragma once

#include "knowledge/receipt.hpp"

#include <string>
#include <vector>

namespace homeostat {

// The decisions of one tick, a line each, such as "flood{iface="eth0"}: inactive -> raised (7)",
// "apply guard{iface="eth0"}", "wait guard{iface="eth0"}: cooldown closed: until …" and
// "eth0: replace by guard (because guard{iface="eth0"})".
std::vector<std::string> lines_of(const Decisions& decisions);

} // namespace homeostat
