#include "policies/policy_set.hpp"

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

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

// Depth-first: each thing after those that it depends on. `depend(i, on)` calls on(j, complain) for each j
// that i depends on; `complain` tells of a circle that this dependency closes.
class TopologicalOrder {
  public:
    using Complain = std::function<void()>;
    using On = std::function<void(std::size_t, const Complain&)>;
    using Depend = std::function<void(std::size_t, const On&)>;

    TopologicalOrder(std::size_t count, Depend depend)
        : depend_(std::move(depend)), state_(count, State::unseen) {
        for (std::size_t i = 0; i < count; ++i) visit(i);
    }

    const std::vector<std::size_t>& order() const { return order_; }

  private:
    enum class State { unseen, open, done };

    void visit(std::size_t i) {
        if (state_[i] != State::unseen) return;
        state_[i] = State::open;
        depend_(i, [&](std::size_t other, const Complain& complain) {
            if (state_[other] == State::open) complain();
            visit(other);
        });
        state_[i] = State::done;
        order_.push_back(i);
    }

    Depend depend_;
    std::vector<State> state_;
    std::vector<std::size_t> order_;
};

std::vector<SignalRule> sorted_signals(std::vector<SignalRule> signals, Diagnostics& diagnostics) {
    std::map<std::string, std::size_t> index;
    for (std::size_t i = 0; i < signals.size(); ++i) index[signals[i].name.text] = i;
    const TopologicalOrder sorted(signals.size(), [&](std::size_t i, const TopologicalOrder::On& on) {
        const Condition& condition = signals[i].expr;
        for (const promql::MetricName& metric : promql::metric_names(condition.expr))
            if (const auto other = index.find(metric.name); other != index.end())
                on(other->second, [&] {
                    report(diagnostics, condition.source, metric.at.offset,
                           "signal '" + signals[i].name.text + "' reads '" + metric.name +
                               "', which reads it in turn",
                           "break the circle");
                });
    });
    std::vector<SignalRule> result;
    for (const std::size_t i : sorted.order()) result.push_back(std::move(signals[i]));
    return result;
}

// Checks the names in `requires` and `inhibits` too.
std::vector<std::size_t> order_adaptations(const std::vector<AdaptationRule>& rules,
                                           const std::vector<std::string>& left_out,
                                           Diagnostics& diagnostics) {
    std::map<std::string, std::size_t> index;
    std::vector<std::string> names = left_out;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        index[rules[i].name.text] = i;
        names.push_back(rules[i].name.text);
    }
    struct Edge {
        std::size_t other;
        const SourceText* source;
    };
    std::vector<std::vector<Edge>> after(rules.size());
    const auto connect = [&](std::size_t i, const SourceText& source, bool other_first) {
        const auto other = index.find(source.text);
        if (other != index.end()) {
            after[other_first ? i : other->second].push_back({other_first ? other->second : i, &source});
        } else if (std::ranges::find(left_out, source.text) == left_out.end()) {
            const std::string meant = nearest(source.text, names);
            report(diagnostics, source, 0, "no adaptation is named '" + source.text + "'",
                   meant.empty() ? "declare it with [[adaptation]]" : "did you mean '" + meant + "'?");
        }
    };
    for (std::size_t i = 0; i < rules.size(); ++i) {
        for (const SourceText& source : rules[i].requirements) connect(i, source, true);
        for (const SourceText& source : rules[i].inhibits) connect(i, source, false);
    }
    const TopologicalOrder sorted(rules.size(), [&](std::size_t i, const TopologicalOrder::On& on) {
        for (const Edge& edge : after[i])
            on(edge.other, [&] {
                report(diagnostics, *edge.source, 0,
                       "'" + rules[i].name.text + "' and '" + rules[edge.other].name.text +
                           "' depend on each other by requires and inhibits",
                       "break the circle");
            });
    });
    return sorted.order();
}

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
        std::ranges::move(document.warnings_allowed, std::back_inserter(set.warnings_allowed));
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
    set.signals = sorted_signals(std::move(set.signals), diagnostics);
    set.plan_order = order_adaptations(set.adaptations, left_out, diagnostics);

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
    for (const AdaptationRule& adaptation : set.adaptations) {
        check_symptom_names(adaptation, set.symptoms, left_out, diagnostics);
        if (!adaptation.verify) continue;
        const std::size_t before = set.selectors.size();
        take(adaptation.verify->expect);
        // What a template will be is not known: its matcher may choose anything.
        for (std::size_t i = before; i < set.selectors.size(); ++i)
            std::erase_if(set.selectors[i].matchers,
                          [](const promql::Matcher& m) { return m.value.find("{{") != std::string::npos; });
    }
    return set;
}

} // namespace homeostat
