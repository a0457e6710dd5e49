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
//
// A foreign program is replaced where the desired state says so. Otherwise the steps are those of any other
// program; they fail, and say whose it is.
std::vector<Step> reconcile(const DesiredInterface& desired, const ActualInterface& actual,
                            const std::vector<XdpMode>& settled = {});

// Whether a program runs in another mode of its ladder than the best one.
bool is_fallen(const DesiredInterface& desired, const ActualInterface& actual);

// The switch to the modes that are better than the present one, of an interface that is fallen.
SwitchXdpMode climb_step(const DesiredInterface& desired, const ActualInterface& actual);

} // namespace homeostat
