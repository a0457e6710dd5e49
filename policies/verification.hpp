// Whether what an overlay was laid for has come about.
#pragma once

#include "knowledge/knowledge.hpp"
#include "policies/document.hpp"
#include "policies/promql/evaluate.hpp"

#include <set>
#include <string>

namespace homeostat {

// Asks the rule's expectation for this instance's labels.
ExpectationEvidence ask_expectation(const VerifyRule& rule, const Labels& key, const Knowledge& knowledge,
                                    Instant now, promql::EvalOptions options);

// The same from what it saw alone.
Truth judge_again(const ExpectationEvidence& evidence, Instant now);

// Whether these interfaces are as is desired, with nothing in flight.
bool in_effect(const Knowledge& knowledge, const std::set<std::string>& interfaces);

// How long the instance is suspended after so many failures in a row.
Duration suspension(const VerifyRule& rule, unsigned failures);

} // namespace homeostat
