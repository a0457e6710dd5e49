// The difference between what is and what should be, as typed steps.
#pragma once

#include "knowledge/datapath.hpp"

#include <vector>

namespace homeostat {

// Map values are written before a program is attached or replaced, and taken away after it: no program
// ever runs live without the values that its overlay gave it. A mode that stands anywhere in the ladder is
// left alone. An interface that is absent has no steps.
std::vector<Step> reconcile(const DesiredInterface& desired, const ActualInterface& actual);

} // namespace homeostat
