#include "policies/analyze.hpp"

#include "policies/by_key.hpp"
#include "policies/evidence.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

namespace homeostat {

namespace {

Truth truth_of(promql::Standing standing) {
    switch (standing) {
    case promql::Standing::yes:
        return Truth::yes;
    case promql::Standing::no:
        return Truth::no;
    default:
        return Truth::missing;
    }
}

// What a condition says of every key: by lanes, or evaluated as a whole.
class Answer {
  public:
    explicit Answer(const std::string& why_not) : in_e_(failure(why_not)), in_p_(failure(why_not)) {}
    explicit Answer(const promql::Lanes::View& lanes) : Answer("by lanes") { lanes_ = lanes; }
    explicit Answer(Result<ByKey> in_e) : in_e_(std::move(in_e)), in_p_(failure("not asked")) {}

    bool needs_presence() const { return !lanes_; }
    void set_presence(Result<ByKey> in_p) { in_p_ = std::move(in_p); }

    Truth truth(const Labels& key) const {
        if (lanes_) {
            const auto lane = lanes_->find(key);
            return lane ? truth_of(lanes_->standings[*lane]) : Truth::missing;
        }
        if (in_e_ && in_e_->find(key) != nullptr) return Truth::yes;
        if (in_e_ && in_p_ && in_p_->find(key) != nullptr) return Truth::no;
        return Truth::missing;
    }

    // Of a key that is true.
    double value(const Labels& key) const {
        return lanes_ ? lanes_->values[*lanes_->find(key)] : in_e_->find(key)->value;
    }

    // Calls visit(key, value) for each key that is true, in canonical order.
    template <class Visit> void for_each_true(Visit visit) const {
        if (!lanes_) {
            if (in_e_)
                for (const promql::Sample& sample : in_e_->samples()) visit(sample.labels, sample.value);
            return;
        }
        for (std::size_t lane = 0; lane < lanes_->keys.size(); ++lane)
            if (lanes_->standings[lane] == promql::Standing::yes)
                visit(lanes_->keys[lane], lanes_->values[lane]);
    }

    // Why it could not be evaluated; empty where it could.
    std::string error() const { return lanes_ || in_e_ ? "" : in_e_.error().what; }

  private:
    std::optional<promql::Lanes::View> lanes_;
    Result<ByKey> in_e_;
    Result<ByKey> in_p_;
};

// One symptom at one instant.
class SymptomTick {
  public:
    // `raise` and `clear` are null where they do not run in lanes.
    SymptomTick(const Symptom& symptom, AnalyzeMemory::Place raise, promql::Lanes* clear,
                SymptomMemory& memory, Knowledge& knowledge, Instant now, bool periodic,
                const AnalyzeLimits& limits, Decisions& decisions)
        : symptom_(symptom), rule_(symptom.rule), raise_(raise), clear_(clear), memory_(memory),
          knowledge_(knowledge), now_(now), periodic_(periodic), limits_(limits), decisions_(decisions),
          evidence_(symptom, knowledge.series, now, limits.evaluation) {}

    void run() {
        Answer raise = ask_raise();
        make_instances(raise);
        const Answer clear = ask_the_rest(raise);
        for (auto it = memory_.instances.begin(); it != memory_.instances.end();) {
            advance_one(it->first, it->second, raise, clear);
            it = is_idle(it->second) ? memory_.instances.erase(it) : std::next(it);
        }
    }

  private:
    Result<ByKey> evaluate(const promql::Expr& expr) const {
        return ByKey::from(promql::evaluate(expr, knowledge_.series, now_, limits_.evaluation));
    }

    // In lanes, all symptoms were evaluated together.
    Answer ask_raise() const {
        if (raise_.lanes != nullptr)
            if (const auto view = raise_.lanes->of(raise_.member); view.judged) return Answer(view);
        return Answer(evaluate(rule_.raise.expr));
    }

    Answer ask_clear() const {
        if (clear_ != nullptr) {
            clear_->evaluate(knowledge_.series, now_, limits_.evaluation);
            if (const auto view = clear_->of(0); view.judged) return Answer(view);
        }
        Answer clear(evaluate(rule_.clear->expr));
        clear.set_presence(evaluate(*symptom_.clear_presence));
        return clear;
    }

    void note_error(const std::string& error) {
        if (error == memory_.error) return;
        if (!error.empty()) decisions_.messages.push_back("symptom " + rule_.name.text + ": " + error);
        memory_.error = error;
    }

    void make_instances(const Answer& raise) {
        if (!raise.error().empty()) return;
        bool refused = false;
        raise.for_each_true([&](const Labels& key, double value) {
            if (memory_.instances.contains(key)) return;
            if (memory_.instances.size() >= limits_.instances_per_symptom_max) {
                refused = true;
                ++memory_.instances_refused;
                return;
            }
            const Labels fact =
                key.with(metric_name_label, "symptom_raised").with("symptom", rule_.name.text);
            memory_.instances.emplace(key, SymptomInstance{.state = SymptomState::inactive,
                                                           .since = now_,
                                                           .value = value,
                                                           .missing_since = {},
                                                           .resting_since = {},
                                                           .quorum_ticks = 0,
                                                           .evidence = {},
                                                           .fact = fact});
        });
        if (refused && !memory_.at_limit)
            decisions_.messages.push_back("symptom " + rule_.name.text + " has " +
                                          std::to_string(limits_.instances_per_symptom_max) +
                                          " instances, its limit: more are ignored");
        memory_.at_limit = refused;
    }

    // Only where there is an instance that raise does not hold up: P(raise), and clear. Returns clear's
    // answer.
    Answer ask_the_rest(Answer& raise) {
        Answer clear("not covered");
        std::string error = raise.error();
        const bool all_true = std::ranges::all_of(
            memory_.instances, [&](const auto& entry) { return raise.truth(entry.first) == Truth::yes; });
        if (!all_true && raise.needs_presence()) raise.set_presence(evaluate(symptom_.raise_presence));
        if (!all_true && rule_.clear && covered()) {
            clear = ask_clear();
            if (error.empty()) error = clear.error();
        }
        note_error(error);
        return clear;
    }

    void advance_one(const Labels& key, SymptomInstance& instance, const Answer& raise, const Answer& clear) {
        Judgement judgement{raise.truth(key), std::nullopt, periodic_, covered()};
        if (rule_.clear) judgement.clear = clear.truth(key);
        if (judgement.raise == Truth::yes) instance.value = raise.value(key);
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
                             .clear_is = judgement.raise == Truth::yes
                                             ? Truth::missing
                                             : judgement.clear.value_or(Truth::missing),
                             .clear_covered = covered(),
                             .seen = {}};
        evidence_.fill(instance.evidence);
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

    const Symptom& symptom_;
    const SymptomRule& rule_;
    AnalyzeMemory::Place raise_;
    promql::Lanes* clear_;
    SymptomMemory& memory_;
    Knowledge& knowledge_;
    Instant now_;
    bool periodic_;
    const AnalyzeLimits& limits_;
    Decisions& decisions_;
    EvidenceOfTick evidence_;
};

std::optional<promql::Lanes> lanes_of(const promql::Expr& expr) {
    auto program = promql::LaneProgram::compile(expr);
    return program ? std::optional<promql::Lanes>(std::in_place, *std::move(program)) : std::nullopt;
}

AnalyzeMemory::Place place_of(const promql::Expr& expr, std::map<std::string, promql::Lanes>& by_shape) {
    const auto program = promql::LaneProgram::compile(expr);
    if (!program) return {};
    const auto [found, is_new] = by_shape.try_emplace(program->shape(), *program);
    return {&found->second, is_new ? 0 : found->second.join(*program)};
}

// Null where there is no memory.
AnalyzeMemory* memory_for(const PolicySet& policies, Knowledge& knowledge, const AnalyzeLimits& limits) {
    AnalyzeMemory* const memory = limits.memory;
    if (memory == nullptr || memory->policies == &policies) return memory;
    memory->policies = &policies;
    memory->raises.clear();
    memory->symptoms.clear();
    memory->symptoms.reserve(policies.symptoms.size());
    memory->clears.clear();
    for (const Symptom& symptom : policies.symptoms) {
        memory->symptoms.push_back(
            {place_of(symptom.rule.raise.expr, memory->raises), &knowledge.symptoms[symptom.rule.name.text]});
        memory->clears.push_back(symptom.rule.clear ? lanes_of(symptom.rule.clear->expr) : std::nullopt);
    }
    memory->signals.clear();
    for (const SignalRule& signal : policies.signals)
        memory->signals.push_back({lanes_of(signal.expr.expr), 0, {}});
    return memory;
}

// The signal's result as it is recorded.
Result<void> values_of(const SignalRule& signal, AnalyzeMemory::OfSignal* remembered,
                       const Knowledge& knowledge, Instant now, const AnalyzeLimits& limits,
                       std::vector<LabelledValue>& values) {
    values.clear();
    const auto labelled = [&](const Labels& key) { return key.with(metric_name_label, signal.name.text); };
    std::optional<promql::Lanes::View> view;
    if (remembered != nullptr && remembered->lanes) {
        remembered->lanes->evaluate(knowledge.series, now, limits.evaluation);
        view = remembered->lanes->of(0);
    }
    if (!view || !view->judged) {
        const auto result =
            ByKey::from(promql::evaluate(signal.expr.expr, knowledge.series, now, limits.evaluation));
        if (!result) return std::unexpected(result.error());
        for (const promql::Sample& sample : result->samples())
            values.push_back({labelled(sample.labels), sample.value});
        return {};
    }
    if (std::exchange(remembered->version, remembered->lanes->version()) != remembered->lanes->version()) {
        remembered->labels.clear();
        std::ranges::transform(view->keys, std::back_inserter(remembered->labels), labelled);
    }
    for (std::size_t lane = 0; lane < view->keys.size(); ++lane)
        if (view->standings[lane] == promql::Standing::yes)
            values.push_back({remembered->labels[lane], view->values[lane]});
    return {};
}

// Nothing lives and nothing becomes true: then there is nothing to do.
bool is_quiet(const AnalyzeMemory::OfSymptom& remembered) {
    return remembered.idle && remembered.raise.lanes != nullptr &&
           remembered.raise.lanes->is_quiet(remembered.raise.member);
}

bool is_idle(const SymptomMemory& life) {
    return life.instances.empty() && life.error.empty() && !life.at_limit;
}

} // namespace

void record_signals(const PolicySet& policies, Knowledge& knowledge, Instant now, const AnalyzeLimits& limits,
                    Decisions& decisions) {
    AnalyzeMemory* const memory = memory_for(policies, knowledge, limits);
    std::vector<LabelledValue> values;
    for (std::size_t i = 0; i < policies.signals.size(); ++i) {
        const SignalRule& signal = policies.signals[i];
        const std::string& name = signal.name.text;
        const auto result = values_of(signal, memory != nullptr ? &memory->signals[i] : nullptr, knowledge,
                                      now, limits, values);
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
    AnalyzeMemory* const memory = memory_for(policies, knowledge, limits);
    if (memory != nullptr)
        for (auto& entry : memory->raises) entry.second.evaluate(knowledge.series, now, limits.evaluation);
    for (std::size_t i = 0; i < policies.symptoms.size(); ++i) {
        AnalyzeMemory::OfSymptom* const remembered = memory != nullptr ? &memory->symptoms[i] : nullptr;
        if (remembered != nullptr && is_quiet(*remembered)) continue;
        const Symptom& symptom = policies.symptoms[i];
        SymptomMemory& life =
            remembered != nullptr ? *remembered->life : knowledge.symptoms[symptom.rule.name.text];
        promql::Lanes* const clear = memory != nullptr && memory->clears[i] ? &*memory->clears[i] : nullptr;
        SymptomTick(symptom, remembered != nullptr ? remembered->raise : AnalyzeMemory::Place{}, clear, life,
                    knowledge, now, periodic, limits, decisions)
            .run();
        if (remembered != nullptr) remembered->idle = is_idle(life);
    }
}

} // namespace homeostat
