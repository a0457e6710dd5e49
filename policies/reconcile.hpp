// The difference between what is and what should be, as typed steps.
#pragma once

#include "knowledge/datapath.hpp"

#include <vector>

namespace homeostat {

// Map values are written before a program is attached or replaced, and taken away after it: no program
// ever runs live without the values that its overlay gave it. An interface that is absent has no steps.
//
// `settled` is the ladder for which the present mode was found, empty where nobody knows. A mode that stands
// in that same ladder is left alone: the better ones were tried. Under another ladder they are tried again.
std::vector<Step> reconcile(const DesiredInterface& desired, const ActualInterface& actual,
                            const std::vector<XdpMode>& settled = {});

} // namespace homeostat
