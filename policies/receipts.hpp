// Receipts of what became of an adaptation's instance.
#pragma once

#include "knowledge/knowledge.hpp"
#include "knowledge/receipt.hpp"
#include "policies/document.hpp"

#include <vector>

namespace homeostat {

// Brings the instance's evidence up to date: one for each symptom in `when`, an instance that agrees with the
// key and is raised, else the last that was. To be called in each tick in which a symptom changes.
void take_evidence(const AdaptationRule& rule, const Labels& key, AdaptationInstance& instance,
                   const Knowledge& knowledge, const Decisions& decisions);

// The next receipt, complete but for what is lost, expected and transacted.
Receipt make_receipt(const AdaptationRule& rule, const Labels& key, AdaptationInstance& instance,
                     Receipt::Action action, std::vector<GateVerdict> gates, Knowledge& knowledge,
                     const Decisions& decisions);

} // namespace homeostat
