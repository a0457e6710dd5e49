// Why a symptom is not raised: its condition's values, its data, its timing.
#include "engine/answering.hpp"
#include "policies/promql/introspect.hpp"
#include "policies/template.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <set>

namespace homeostat {

namespace {

using Concerns = std::function<bool(const Labels&)>;

// One symptom at the last tick.
class WhyNotRaised {
  public:
    WhyNotRaised(const Asked& asked, const Symptom& symptom, const Concerns& concerns)
        : asked_(asked), symptom_(symptom), rule_(symptom.rule), concerns_(concerns) {}

    std::vector<WhyNot> run() {
        const auto memory = asked_.state.knowledge.symptoms.find(rule_.name.text);
        if (memory == asked_.state.knowledge.symptoms.end())
            return {{rule_.name.text, {}, "raise", "", {rule_.name.text + " has not been judged yet"}}};
        if (!memory->second.error.empty())
            add({}, rule_.name.text + " cannot be evaluated: " + memory->second.error);
        std::set<Labels> told;
        for (const auto& [key, instance] : memory->second.instances) {
            if (!concerns_(key)) continue;
            tell_instance(key, instance);
            told.insert(key);
        }
        tell_others(memory->second, told);
        if (answers_.empty()) tell_missing();
        return std::move(answers_);
    }

  private:
    WhyNot& add(const Labels& key, std::string line, std::string blocker = "raise") {
        return answers_.emplace_back(WhyNot{rule_.name.text, key, std::move(blocker), "", {std::move(line)}});
    }

    std::string name(const Labels& key) const { return instance_text(rule_.name.text, key); }

    void tell_instance(const Labels& key, const SymptomInstance& instance) {
        const SymptomTiming& timing = rule_.timing;
        const std::string since =
            name(key) + " is " + std::string(to_text(instance.state)) + " since " + to_text(instance.since);
        switch (instance.state) {
        case SymptomState::raised:
            add(key, since, "");
            break;
        case SymptomState::clearing:
            add(key,
                since + ", so it counts as raised: clear must hold for " + to_text(timing.keep) +
                    waiting(instance, timing.keep),
                "");
            break;
        case SymptomState::pending:
            add(key,
                since + ": raise must hold for " + to_text(timing.for_) + waiting(instance, timing.for_));
            break;
        case SymptomState::inactive:
            add(key, name(key) + " is inactive: raise held in " +
                         std::to_string(std::popcount(instance.quorum_ticks)) + " of the last " +
                         std::to_string(timing.quorum ? timing.quorum->ticks : 1) + " periodic ticks, " +
                         std::to_string(timing.quorum ? timing.quorum->needed : 1) + " are needed");
            break;
        }
    }

    std::string waiting(const SymptomInstance& instance, Duration span) const {
        if (instance.resting_since)
            return "; that time rests since " + to_text(*instance.resting_since) + ": there is no data";
        return left_text(instance.since + span, asked_.now);
    }

    // Label sets without an instance: raise is false for them, or the limit refuses them.
    void tell_others(const SymptomMemory& memory, const std::set<Labels>& told) {
        promql::Trace trace;
        const auto raise = keys_of(rule_.raise.expr, &trace);
        for (const Labels& key : raise)
            if (concerns_(key) && !told.contains(key) && memory.at_limit)
                add(key, name(key) + " is ignored: " + rule_.name.text + " has " +
                             std::to_string(memory.instances.size()) + " instances, its limit");
        for (const Labels& key : keys_of(symptom_.raise_presence, nullptr)) {
            if (!concerns_(key) || told.contains(key) || raise.contains(key)) continue;
            std::vector<SeenValue> seen;
            for (const promql::Traced& traced : trace.seen)
                for (const promql::Sample& sample : traced.result)
                    if (agree(key, sample.labels)) seen.push_back({traced.text, sample.labels, sample.value});
            const std::string saw = seen_text(seen);
            add(key, name(key) + " is inactive: raise = \"" + rule_.raise.source.text + "\" does not hold" +
                         (saw.empty() ? "" : ", it saw " + saw));
        }
    }

    std::set<Labels> keys_of(const promql::Expr& expr, promql::Trace* trace) const {
        std::set<Labels> keys;
        const auto value =
            promql::evaluate(expr, asked_.state.knowledge.series, asked_.now, asked_.evaluation(), trace);
        if (const auto* vector = value ? std::get_if<promql::Vector>(&*value) : nullptr)
            for (const promql::Sample& sample : *vector) keys.insert(sample.labels.without_metric_name());
        return keys;
    }

    // Nothing tells whether raise holds.
    void tell_missing() {
        const OnMissing on_missing = rule_.timing.on_missing;
        const std::string_view meaning = on_missing == OnMissing::hold    ? ", which changes nothing"
                                         : on_missing == OnMissing::raise ? ", for instances that are there"
                                                                          : "";
        WhyNot& why = add({}, rule_.name.text + " is inactive: raise = \"" + rule_.raise.source.text +
                                  "\" has no data here; on_missing is " + std::string(to_text(on_missing)) +
                                  std::string(meaning));
        for (const promql::SelectorNeed& need : promql::selectors(rule_.raise.expr))
            if (std::string line = missing_text(need); !line.empty()) why.lines.push_back(std::move(line));
        for (std::size_t i = 0; i < asked_.state.sensors.size(); ++i)
            if (!asked_.state.sensors[i].up && i < asked_.state.generation->sensors.size())
                why.lines.push_back(
                    "sensor " + asked_.state.generation->sensors[i] + " is down" +
                    (asked_.state.sensors[i].error.empty() ? "" : ": " + asked_.state.sensors[i].error));
    }

    std::string missing_text(const promql::SelectorNeed& need) const {
        const SeriesStore& store = asked_.state.knowledge.series;
        const std::string text = rule_.raise.source.text.substr(need.at.offset, need.at.length);
        std::optional<Point> newest;
        for (const SeriesId id : store.all()) {
            if (!need.matches(store.labels(id)) || !concerns_(store.labels_without_name(id))) continue;
            const auto points = store.window(id, Instant::min(), asked_.now);
            if (!points.empty() && (!newest || points.back().time > newest->time)) newest = points.back();
        }
        if (!newest) return "no series matches " + text;
        const std::string age = to_text(newest->time) + ", " + to_text(asked_.now - newest->time) + " ago";
        if (is_stale(newest->value)) return "what matches " + text + " ended at " + age;
        return "the newest sample of " + text + " is of " + age;
    }

    const Asked& asked_;
    const Symptom& symptom_;
    const SymptomRule& rule_;
    const Concerns& concerns_;
    std::vector<WhyNot> answers_;
};

std::vector<WhyNot> why_then(const Asked& asked, const std::string& name, const Concerns& concerns) {
    std::map<Labels, const Decided*> newest;
    for (const Decided& decided : asked.state.history.decided())
        if (const auto* change = std::get_if<SymptomChange>(&decided.what);
            change != nullptr && decided.at <= asked.at && change->symptom == name && concerns(change->key))
            newest[change->key] = &decided;
    std::vector<WhyNot> answers;
    for (const auto& [key, decided] : newest) {
        const auto& change = std::get<SymptomChange>(decided->what);
        const bool is_raised = change.to == SymptomState::raised || change.to == SymptomState::clearing;
        WhyNot why{name, key, is_raised ? "" : "raise", "", {}};
        why.lines.push_back(instance_text(name, key) + " was " + std::string(to_text(change.to)) + " since " +
                            to_text(decided->at));
        if (const std::string saw = seen_text(change.evidence.seen); !saw.empty())
            why.lines.push_back("it saw then: " + saw);
        answers.push_back(std::move(why));
    }
    if (answers.empty())
        answers.push_back({name,
                           {},
                           "raise",
                           "",
                           {name + " did not change from " + to_text(*asked.state.history.begins()) + " to " +
                            to_text(asked.at)}});
    return answers;
}

} // namespace

std::vector<WhyNot> why_not_raised(const Asked& asked, const Symptom& symptom, const Concerns& concerns) {
    if (asked.is_past()) return why_then(asked, symptom.rule.name.text, concerns);
    return WhyNotRaised(asked, symptom, concerns).run();
}

} // namespace homeostat
