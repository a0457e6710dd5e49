#include "policies/analyze.hpp"

#include <algorithm>
#include <set>

namespace homeostat {

namespace {

// Enough to understand a decision; a condition over thousands of series does not print them all.
constexpr std::size_t seen_max = 32;

Result<promql::Vector> evaluate_vector(const promql::Expr& expr, const Knowledge& knowledge, Instant now,
                                       const AnalyzeLimits& limits, promql::Trace* trace = nullptr) {
    auto value = promql::evaluate(expr, knowledge.series, now, limits.evaluation, trace);
    if (!value) return std::unexpected(value.error());
    return std::get<promql::Vector>(std::move(*value));
}

// A condition's result by key: the labels without the metric name, sorted.
class ByKey {
  public:
    static Result<ByKey> from(Result<promql::Vector> vector) {
        if (!vector) return std::unexpected(vector.error());
        ByKey result;
        result.samples_ = std::move(*vector);
        for (promql::Sample& sample : result.samples_) sample.labels = sample.labels.without_metric_name();
        std::ranges::sort(result.samples_, {}, &promql::Sample::labels);
        const auto twice = std::ranges::adjacent_find(result.samples_, {}, &promql::Sample::labels);
        if (twice != result.samples_.end())
            return failure("two series have the labels " + to_text(twice->labels) +
                           " when their names are dropped");
        return result;
    }

    const promql::Vector& samples() const { return samples_; }
    const promql::Sample* find(const Labels& key) const {
        const auto found = std::ranges::lower_bound(samples_, key, {}, &promql::Sample::labels);
        return found != samples_.end() && found->labels == key ? &*found : nullptr;
    }

  private:
    promql::Vector samples_;
};

// What the condition saw, as far as it concerns this key.
void append_seen(const promql::Trace& trace, const Labels& key, std::vector<SeenValue>& seen) {
    for (const promql::Traced& traced : trace.seen)
        for (const promql::Sample& sample : traced.result)
            if (agree(key, sample.labels) && seen.size() < seen_max)
                seen.push_back({traced.text, sample.labels, sample.value});
}

// One symptom at one instant.
class SymptomTick {
  public:
    SymptomTick(const Symptom& symptom, Knowledge& knowledge, Instant now, bool periodic,
                const AnalyzeLimits& limits, Decisions& decisions)
        : symptom_(symptom), rule_(symptom.rule), memory_(knowledge.symptoms[symptom.rule.name.text]),
          knowledge_(knowledge), now_(now), periodic_(periodic), limits_(limits), decisions_(decisions) {}

    void run() {
        const auto raise = ByKey::from(evaluate_vector(rule_.raise.expr, knowledge_, now_, limits_));
        if (raise) make_instances(*raise);
        const Conditions conditions = evaluate_all(raise);
        note_error(conditions.error);
        for (auto it = memory_.instances.begin(); it != memory_.instances.end();) {
            advance_one(it->first, it->second, conditions);
            it = is_idle(it->second) ? memory_.instances.erase(it) : std::next(it);
        }
    }

  private:
    // Each as far as it could be evaluated.
    struct Conditions {
        Result<ByKey> raise;
        Result<ByKey> raise_presence;
        Result<ByKey> clear;
        Result<ByKey> clear_presence;
        std::string error; // the first that raise or clear had
    };

    void note_error(const std::string& error) {
        if (error == memory_.error) return;
        if (!error.empty()) decisions_.messages.push_back("symptom " + rule_.name.text + ": " + error);
        memory_.error = error;
    }

    void make_instances(const ByKey& raise) {
        bool refused = false;
        for (const promql::Sample& sample : raise.samples()) {
            if (memory_.instances.contains(sample.labels)) continue;
            if (memory_.instances.size() >= limits_.instances_per_symptom_max) {
                refused = true;
                ++memory_.instances_refused;
                continue;
            }
            const Labels fact =
                sample.labels.with(metric_name_label, "symptom_raised").with("symptom", rule_.name.text);
            memory_.instances.emplace(sample.labels, SymptomInstance{.state = SymptomState::inactive,
                                                                     .since = now_,
                                                                     .value = sample.value,
                                                                     .missing_since = {},
                                                                     .resting_since = {},
                                                                     .quorum_ticks = 0,
                                                                     .evidence = {},
                                                                     .fact = fact});
        }
        if (refused && !memory_.at_limit)
            decisions_.messages.push_back("symptom " + rule_.name.text + " has " +
                                          std::to_string(limits_.instances_per_symptom_max) +
                                          " instances, its limit: more are ignored");
        memory_.at_limit = refused;
    }

    Conditions evaluate_all(const Result<ByKey>& raise) {
        const auto evaluate = [&](const promql::Expr& expr) {
            return ByKey::from(evaluate_vector(expr, knowledge_, now_, limits_));
        };
        Conditions conditions{raise, failure("not needed"), failure("not covered"), failure("not covered"),
                              raise ? "" : raise.error().what};
        if (memory_.instances.empty()) return conditions;
        const bool all_true = raise && std::ranges::all_of(memory_.instances, [&](const auto& entry) {
                                  return raise->find(entry.first) != nullptr;
                              });
        if (!all_true) conditions.raise_presence = evaluate(symptom_.raise_presence);
        if (rule_.clear && covered() && !all_true) {
            conditions.clear = evaluate(rule_.clear->expr);
            conditions.clear_presence = evaluate(*symptom_.clear_presence);
            if (conditions.error.empty() && !conditions.clear)
                conditions.error = conditions.clear.error().what;
        }
        return conditions;
    }

    static Truth truth(const Result<ByKey>& condition, const Result<ByKey>& presence, const Labels& key) {
        if (condition && condition->find(key) != nullptr) return Truth::yes;
        if (condition && presence && presence->find(key) != nullptr) return Truth::no;
        return Truth::missing;
    }

    void advance_one(const Labels& key, SymptomInstance& instance, const Conditions& conditions) {
        Judgement judgement{truth(conditions.raise, conditions.raise_presence, key), std::nullopt, periodic_};
        if (rule_.clear) judgement.clear = truth(conditions.clear, conditions.clear_presence, key);
        if (judgement.raise == Truth::yes) instance.value = conditions.raise->find(key)->value;
        const SymptomState from = instance.state;
        instance = advance(std::move(instance), rule_.timing, judgement, now_);
        if (instance.state == from) return;
        instance.evidence = {.symptom = rule_.name.text,
                             .key = key,
                             .state = instance.state,
                             .at = now_,
                             .value = instance.value,
                             .raise = rule_.raise.source.text,
                             .clear = rule_.clear ? rule_.clear->source.text : "",
                             .raise_is = judgement.raise,
                             .clear_is = judgement.clear.value_or(Truth::missing),
                             .clear_covered = covered(),
                             .seen = see(key)};
        const auto summary = bind(rule_.summary, key.with("value", number_text(instance.value)));
        decisions_.symptoms.push_back({.symptom = rule_.name.text,
                                       .key = key,
                                       .from = from,
                                       .to = instance.state,
                                       .value = instance.value,
                                       .severity = rule_.severity,
                                       .summary = summary ? *summary : summary.error().what,
                                       .evidence = instance.evidence});
    }

    bool covered() const { return now_ - memory_.covered_from >= symptom_.clear_window; }

    // Time stands still within a tick, so asking again gives the same values.
    std::vector<SeenValue> see(const Labels& key) {
        std::vector<SeenValue> seen;
        trace_into(rule_.raise.expr, key, seen);
        if (rule_.clear) trace_into(rule_.clear->expr, key, seen);
        return seen;
    }

    void trace_into(const promql::Expr& expr, const Labels& key, std::vector<SeenValue>& seen) {
        promql::Trace trace;
        if (evaluate_vector(expr, knowledge_, now_, limits_, &trace)) append_seen(trace, key, seen);
    }

    const Symptom& symptom_;
    const SymptomRule& rule_;
    SymptomMemory& memory_;
    Knowledge& knowledge_;
    Instant now_;
    bool periodic_;
    const AnalyzeLimits& limits_;
    Decisions& decisions_;
};

} // namespace

void record_signals(const PolicySet& policies, Knowledge& knowledge, Instant now, const AnalyzeLimits& limits,
                    Decisions& decisions) {
    std::vector<LabelledValue> values;
    for (const SignalRule& signal : policies.signals) {
        const std::string& name = signal.name.text;
        const auto result = ByKey::from(evaluate_vector(signal.expr.expr, knowledge, now, limits));
        values.clear();
        if (result)
            for (const promql::Sample& sample : result->samples())
                values.push_back({sample.labels.with(metric_name_label, name), sample.value});
        const auto recorded = record(knowledge, name, values, now);
        const std::string error = !result ? result.error().what : !recorded ? recorded.error().what : "";
        std::string& last_error = knowledge.recorded[name].error;
        if (!error.empty() && error != last_error)
            decisions.messages.push_back("signal " + name + ": " + error);
        last_error = error;
    }
}

void advance_symptoms(const PolicySet& policies, Knowledge& knowledge, Instant now, bool periodic,
                      const AnalyzeLimits& limits, Decisions& decisions) {
    for (const Symptom& symptom : policies.symptoms)
        SymptomTick(symptom, knowledge, now, periodic, limits, decisions).run();
}

} // namespace homeostat
