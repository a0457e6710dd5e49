// A receipt stands alone: its verdicts follow from the values that it carries. Here they are drawn again.
#pragma once

#include "knowledge/receipt.hpp"

#include <string>
#include <vector>

namespace homeostat {

// What it says that does not follow from what it carries, a line each; empty where all of it does. Evidence
// that is truncated proves nothing, and is passed over.
std::vector<std::string> contradictions(const SymptomEvidence& evidence);
std::vector<std::string> contradictions(const Receipt& receipt);

} // namespace homeostat
