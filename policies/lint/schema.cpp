#include "policies/lint/schema.hpp"

namespace homeostat {

namespace {

using promql::MetricKind;
using promql::ResultLabels;
using promql::Schema;

ResultLabels with_name(ResultLabels labels, const std::string& label, const std::string& name) {
    labels.labels[label] = {.always = true, .values = std::set{name}, .also_numbers = false};
    return labels;
}

void add_signals(const PolicySet& policies, Schema& schema) {
    for (const SignalRule& signal : policies.signals)
        schema[signal.name.text] = {.shapes = {promql::labels_of_result(signal.expr.expr, schema)},
                                    .kind = promql::kind_of_result(signal.expr.expr, schema)};
}

} // namespace

ResultLabels key_of(const Symptom& symptom, const Schema& schema) {
    return promql::labels_of_result(symptom.rule.raise.expr, schema);
}

std::vector<ResultLabels> keys_of(const AdaptationRule& rule, const PolicySet& policies,
                                  const Schema& schema) {
    std::vector<ResultLabels> keys;
    for (const std::string& driver : drivers_of(rule.when))
        if (const Symptom* symptom = find_symptom(policies, driver)) keys.push_back(key_of(*symptom, schema));
    return keys;
}

Schema with_policy_metrics(Schema schema, const PolicySet& policies) {
    // Conditions may ask about symptoms and adaptations, whose labels come from conditions: at first these
    // may be any, which is true of all, then those that follow.
    const ResultLabels any{.labels = {}, .open = true};
    promql::MetricSchema raised{.shapes = {}, .kind = MetricKind::state};
    promql::MetricSchema active = raised;
    for (const Symptom& symptom : policies.symptoms)
        raised.shapes.push_back(with_name(any, "symptom", symptom.rule.name.text));
    for (const AdaptationRule& rule : policies.adaptations)
        active.shapes.push_back(with_name(any, "adaptation", rule.name.text));
    schema["symptom_raised"] = std::move(raised);
    schema["adaptation_active"] = std::move(active);
    add_signals(policies, schema);

    raised = {.shapes = {}, .kind = MetricKind::state};
    active = raised;
    for (const Symptom& symptom : policies.symptoms)
        raised.shapes.push_back(with_name(key_of(symptom, schema), "symptom", symptom.rule.name.text));
    for (const AdaptationRule& rule : policies.adaptations)
        for (const ResultLabels& key : keys_of(rule, policies, schema))
            active.shapes.push_back(with_name(key, "adaptation", rule.name.text));
    schema["symptom_raised"] = std::move(raised);
    schema["adaptation_active"] = std::move(active);
    add_signals(policies, schema);
    return schema;
}

} // namespace homeostat
