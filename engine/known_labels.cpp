// Labels that a question asks for and nothing has: a slip of the finger that would look like an answer.
#include "engine/answering.hpp"
#include "policies/when.hpp"

#include <algorithm>
#include <set>

namespace homeostat {

namespace {

using Names = std::set<std::string>;

void take(const Labels& key, Names& names) {
    for (const Label& label : key.all()) names.insert(label.name);
}

// Of its instances, of what may become one, and of what was one lately.
void take_symptom(const Asked& asked, const Symptom& symptom, Names& names) {
    const std::string& name = symptom.rule.name.text;
    const auto memory = asked.state.knowledge.symptoms.find(name);
    if (memory != asked.state.knowledge.symptoms.end())
        for (const auto& [key, instance] : memory->second.instances) take(key, names);
    const auto present =
        promql::evaluate(symptom.raise_presence, asked.state.knowledge.series, asked.now, asked.evaluation());
    if (const auto* vector = present ? std::get_if<promql::Vector>(&*present) : nullptr)
        for (const promql::Sample& sample : *vector) take(sample.labels.without_metric_name(), names);
    for (const Decided& decided : asked.state.history.decided())
        if (const auto* change = std::get_if<SymptomChange>(&decided.what); change && change->symptom == name)
            take(change->key, names);
}

void take_adaptation(const Asked& asked, const AdaptationRule& rule, Names& names) {
    const auto memory = asked.state.knowledge.adaptations.find(rule.name.text);
    if (memory != asked.state.knowledge.adaptations.end())
        for (const auto& [key, instance] : memory->second.instances) take(key, names);
    for (const auto& [symptom, offset] : symptoms_of(rule.when))
        if (const Symptom* found = find_symptom(asked.state.generation->policies, symptom))
            take_symptom(asked, *found, names);
    for (const Decided& decided : asked.state.history.decided())
        if (const auto* receipt = std::get_if<Receipt>(&decided.what);
            receipt && receipt->adaptation == rule.name.text)
            take(receipt->key, names);
}

Names known_labels(const Asked& asked, const std::string& name) {
    Names names;
    if (asked.question.kind == Question::Kind::signals) {
        for (const SeriesId id : asked.state.knowledge.series.named(name))
            take(asked.state.knowledge.series.labels_without_name(id), names);
        return names;
    }
    if (const AdaptationRule* rule = find_adaptation(asked.state.generation->policies, name))
        take_adaptation(asked, *rule, names);
    if (const Symptom* symptom = find_symptom(asked.state.generation->policies, name))
        take_symptom(asked, *symptom, names);
    return names;
}

} // namespace

std::string unknown_labels_text(const Asked& asked, const Named& named) {
    if (named.matchers.empty() || named.name.empty()) return "";
    const Names known = known_labels(asked, named.name);
    // Where nothing is there yet, any label may come.
    if (known.empty()) return "";
    std::string text;
    for (const promql::Matcher& matcher : named.matchers)
        if (!known.contains(matcher.label))
            text += (text.empty() ? "'" : " and none the label '") + matcher.label + "'";
    if (text.empty()) return "";
    std::string list;
    for (const std::string& label : known) list += (list.empty() ? "" : ", ") + label;
    return "nothing of " + named.name + " has the label " + text + "; there are: " + list;
}

} // namespace homeostat
