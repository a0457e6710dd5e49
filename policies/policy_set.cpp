#include "policies/policy_set.hpp"

#include <algorithm>
#include <iterator>

namespace homeostat {

namespace {

void report(Diagnostics& diagnostics, const SourceText& source, std::size_t offset, std::string what,
            std::string expected = {}) {
    diagnostics.push_back({.file = source.file,
                           .at = source.position(offset),
                           .what = std::move(what),
                           .expected = std::move(expected)});
}

// Sorts by name and drops, with a report, what stands twice.
template <class Rule, class NameOf> void order_by_name(std::vector<Rule>& rules, std::string_view what,
                                                       NameOf name_of, Diagnostics& diagnostics) {
    std::ranges::stable_sort(rules, {}, [&](const Rule& rule) { return name_of(rule).text; });
    for (std::size_t i = 1; i < rules.size();) {
        const SourceText& first = name_of(rules[i - 1]);
        const SourceText& second = name_of(rules[i]);
        if (first.text != second.text) {
            ++i;
            continue;
        }
        report(diagnostics, second, 0, std::string(what) + " '" + second.text + "' stands twice",
               "the first is at " + first.file + ":" + std::to_string(first.position(0).line));
        rules.erase(rules.begin() + static_cast<std::ptrdiff_t>(i));
    }
}

// Depth-first: a signal after those that it reads.
class SignalOrder {
  public:
    SignalOrder(std::vector<SignalRule>& signals, Diagnostics& diagnostics)
        : signals_(&signals), diagnostics_(&diagnostics), state_(signals.size(), State::unseen) {
        for (std::size_t i = 0; i < signals.size(); ++i) index_[signals[i].name.text] = i;
    }

    std::vector<SignalRule> sorted() {
        for (std::size_t i = 0; i < signals_->size(); ++i) visit(i);
        std::vector<SignalRule> result;
        for (const std::size_t i : order_) result.push_back(std::move((*signals_)[i]));
        return result;
    }

  private:
    enum class State { unseen, open, done };

    void visit(std::size_t i) {
        if (state_[i] != State::unseen) return;
        state_[i] = State::open;
        const Condition& condition = (*signals_)[i].expr;
        for (const promql::MetricName& metric : promql::metric_names(condition.expr)) {
            const auto other = index_.find(metric.name);
            if (other == index_.end()) continue;
            if (state_[other->second] == State::open)
                report(*diagnostics_, condition.source, metric.at.offset,
                       "signal '" + (*signals_)[i].name.text + "' reads '" + metric.name +
                           "', which reads it in turn",
                       "break the circle");
            visit(other->second);
        }
        state_[i] = State::done;
        order_.push_back(i);
    }

    std::vector<SignalRule>* signals_;
    Diagnostics* diagnostics_;
    std::map<std::string, std::size_t> index_;
    std::vector<State> state_;
    std::vector<std::size_t> order_;
};

void check_metrics(const Condition& condition, const ProvidedMetrics& provided, Diagnostics& diagnostics) {
    for (const promql::MetricName& metric : promql::metric_names(condition.expr)) {
        if (provided.contains(metric.name)) continue;
        const std::string meant = nearest(metric.name, {provided.begin(), provided.end()});
        report(diagnostics, condition.source, metric.at.offset,
               "no sensor and no signal provides '" + metric.name + "'",
               meant.empty() ? "declare a sensor or a signal of this name" : "did you mean '" + meant + "'?");
    }
}

void check_symptom_names(const AdaptationRule& rule, const std::vector<Symptom>& symptoms,
                         std::vector<std::string> names, Diagnostics& diagnostics) {
    for (const Symptom& symptom : symptoms) names.push_back(symptom.rule.name.text);
    for (const auto& [name, offset] : symptoms_of(rule.when)) {
        if (std::ranges::find(names, name) != names.end()) continue;
        const std::string meant = nearest(name, names);
        report(diagnostics, rule.when_source, offset, "no symptom is named '" + name + "'",
               meant.empty() ? "declare it with [[symptom]]" : "did you mean '" + meant + "'?");
    }
}

Symptom derive(SymptomRule rule) {
    promql::Expr raise_presence = promql::presence(rule.raise.expr);
    std::optional<promql::Expr> clear_presence;
    Duration window{0};
    if (rule.clear) {
        clear_presence = promql::presence(rule.clear->expr);
        window = promql::longest_window(rule.clear->expr);
    }
    return {std::move(rule), std::move(raise_presence), std::move(clear_presence), window};
}

} // namespace

PolicySet make_policy_set(std::vector<PolicyDocument> documents, const ProvidedMetrics* provided,
                          Diagnostics& diagnostics) {
    PolicySet set;
    std::vector<std::string> left_out;
    for (PolicyDocument& document : documents) {
        std::ranges::move(document.left_out, std::back_inserter(left_out));
        std::ranges::move(document.signals, std::back_inserter(set.signals));
        for (SymptomRule& rule : document.symptoms) set.symptoms.push_back(derive(std::move(rule)));
        std::ranges::move(document.adaptations, std::back_inserter(set.adaptations));
    }
    order_by_name(
        set.signals, "signal", [](const SignalRule& s) -> const SourceText& { return s.name; }, diagnostics);
    order_by_name(
        set.symptoms, "symptom", [](const Symptom& s) -> const SourceText& { return s.rule.name; },
        diagnostics);
    order_by_name(
        set.adaptations, "adaptation", [](const AdaptationRule& a) -> const SourceText& { return a.name; },
        diagnostics);
    set.signals = SignalOrder(set.signals, diagnostics).sorted();

    ProvidedMetrics all = provided != nullptr ? *provided : ProvidedMetrics{};
    all.insert(left_out.begin(), left_out.end());
    for (const SignalRule& signal : set.signals) {
        if (provided != nullptr && provided->contains(signal.name.text))
            report(diagnostics, signal.name, 0,
                   "'" + signal.name.text + "' is a metric that a sensor or the controller provides",
                   "name the signal differently");
        all.insert(signal.name.text);
    }
    const auto take = [&](const Condition& condition) {
        if (provided != nullptr) check_metrics(condition, all, diagnostics);
        std::ranges::move(promql::selectors(condition.expr), std::back_inserter(set.selectors));
    };
    for (const SignalRule& signal : set.signals) take(signal.expr);
    for (const Symptom& symptom : set.symptoms) {
        take(symptom.rule.raise);
        if (symptom.rule.clear) take(*symptom.rule.clear);
    }
    for (const AdaptationRule& adaptation : set.adaptations)
        check_symptom_names(adaptation, set.symptoms, left_out, diagnostics);
    return set;
}

} // namespace homeostat
