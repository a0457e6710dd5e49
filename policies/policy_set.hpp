// All policy files of a controller as one set: names resolved, signals in the order of their evaluation, and
// all that can be derived once derived once.
#pragma once

#include "knowledge/error.hpp"
#include "policies/document.hpp"
#include "policies/promql/introspect.hpp"

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat {

struct Symptom {
    SymptomRule rule;
    promql::Expr raise_presence; // P(raise), see promql::presence
    std::optional<promql::Expr> clear_presence;
    Duration clear_window{}; // the longest that clear looks back
};

// Where names come from that the documents do not declare: what to do, by the name.
struct NamesElsewhere {
    std::map<std::string, std::string> metrics{}; // and signals
    std::map<std::string, std::string> symptoms{};
    std::map<std::string, std::string> adaptations{};
};

struct PolicySet {
    std::vector<SignalRule> signals;          // each after those that it reads
    std::vector<Symptom> symptoms;            // by name
    std::vector<AdaptationRule> adaptations;  // by name
    std::vector<std::size_t> plan_order;      // of adaptations: each after those that it requires or that
                                              // inhibit it
    std::vector<SourceText> warnings_allowed; // each in its own file
    // Those of each metric; those that name none have "".
    std::map<std::string, std::vector<promql::SelectorNeed>, std::less<>> selectors;
    NamesElsewhere elsewhere;

    // How long samples of a series must be kept.
    Duration history_for(const Labels& labels) const;
};

// nullptr where there is none of the name.
const SignalRule* find_signal(const PolicySet& policies, std::string_view name);
const Symptom* find_symptom(const PolicySet& policies, std::string_view name);
const AdaptationRule* find_adaptation(const PolicySet& policies, std::string_view name);

// Metric names that somebody provides: sensors, and the controller itself.
using ProvidedMetrics = std::set<std::string>;

// Names that stand twice, symptoms that nobody declares, signals in a circle, metrics that neither a sensor
// nor a signal provides: all of them are told. Without `provided` (null) metrics are not judged: a policy
// file alone does not know its sensors. On errors the set holds what is left and must not be used.
PolicySet make_policy_set(std::vector<PolicyDocument> documents, const ProvidedMetrics* provided,
                          Diagnostics& diagnostics, NamesElsewhere elsewhere = {});

} // namespace homeostat
