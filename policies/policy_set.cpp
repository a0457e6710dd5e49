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

// Names that may be meant.
class Names {
  public:
    explicit Names(std::set<std::string> names) : names_(std::move(names)) {}

    void add(const std::string& name) { names_.insert(name); }
    bool contains(const std::string& name) const { return names_.contains(name); }

    // See nearest(); "" also where too many were asked for: each looks at all names.
    std::string nearest_to(const std::string& word) {
        if (++asked_ > asked_max) return "";
        return nearest(word, {names_.begin(), names_.end()});
    }

  private:
    static constexpr std::size_t asked_max = 100;

    std::set<std::string> names_;
    std::size_t asked_ = 0;
};

// What to do about a name that nobody declares.
std::string advice(const std::string& word, Names& known, const std::map<std::string, std::string>& elsewhere,
                   const std::string& otherwise) {
    if (const auto found = elsewhere.find(word); found != elsewhere.end()) return found->second;
    const std::string meant = known.nearest_to(word);
    return meant.empty() ? otherwise : "did you mean '" + meant + "'?";
}

// Sorts by name and drops, with a report, what stands twice.
template <class Rule, class NameOf> void order_by_name(std::vector<Rule>& rules, std::string_view what,
                                                       NameOf name_of, Diagnostics& diagnostics) {
    std::ranges::stable_sort(rules, {},
                             [&](const Rule& rule) -> const std::string& { return name_of(rule).text; });
    std::size_t kept = 0;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const SourceText& second = name_of(rules[i]);
        if (kept > 0 && name_of(rules[kept - 1]).text == second.text) {
            const SourceText& first = name_of(rules[kept - 1]);
            report(diagnostics, second, 0, std::string(what) + " '" + second.text + "' stands twice",
                   "the first is at " + first.file + ":" + std::to_string(first.position(0).line));
            continue;
        }
        if (kept != i) rules[kept] = std::move(rules[i]);
        ++kept;
    }
    rules.erase(rules.begin() + static_cast<std::ptrdiff_t>(kept), rules.end());
}

// One thing that must come first, and what to tell where that closes a circle.
struct Dependency {
    std::size_t on;
    std::function<void()> complain;
};

// Depth-first: each thing after those that it depends on. A chain may be as long as a file has rules, so the
// path is kept here and not on the stack.
class TopologicalOrder {
  public:
    using DependenciesOf = std::function<std::vector<Dependency>(std::size_t)>;

    TopologicalOrder(std::size_t count, DependenciesOf dependencies_of)
        : dependencies_of_(std::move(dependencies_of)), state_(count, State::unseen) {
        for (std::size_t i = 0; i < count; ++i)
            if (state_[i] == State::unseen) visit_from(i);
    }

    const std::vector<std::size_t>& order() const { return order_; }

  private:
    enum class State { unseen, open, done };

    struct Visit {
        std::size_t thing;
        std::vector<Dependency> dependencies;
        std::size_t next = 0;
    };

    void visit_from(std::size_t root) {
        std::vector<Visit> path;
        const auto enter = [&](std::size_t thing) {
            state_[thing] = State::open;
            path.push_back({thing, dependencies_of_(thing)});
        };
        enter(root);
        while (!path.empty()) {
            Visit& visit = path.back();
            if (visit.next == visit.dependencies.size()) {
                state_[visit.thing] = State::done;
                order_.push_back(visit.thing);
                path.pop_back();
                continue;
            }
            const Dependency& dependency = visit.dependencies[visit.next++];
            if (state_[dependency.on] == State::open) dependency.complain();
            if (state_[dependency.on] == State::unseen) enter(dependency.on);
        }
    }

    DependenciesOf dependencies_of_;
    std::vector<State> state_;
    std::vector<std::size_t> order_;
};

std::vector<SignalRule> sorted_signals(std::vector<SignalRule> signals, Diagnostics& diagnostics) {
    std::map<std::string, std::size_t> index;
    for (std::size_t i = 0; i < signals.size(); ++i) index[signals[i].name.text] = i;
    const TopologicalOrder sorted(signals.size(), [&](std::size_t i) {
        const SignalRule& signal = signals[i];
        std::vector<Dependency> dependencies;
        for (const promql::MetricName& metric : promql::metric_names(signal.expr.expr))
            if (const auto other = index.find(metric.name); other != index.end())
                dependencies.push_back({other->second, [&diagnostics, &signal, metric] {
                                            report(diagnostics, signal.expr.source, metric.at.offset,
                                                   "signal '" + signal.name.text + "' reads '" + metric.name +
                                                       "', which reads it in turn",
                                                   "break the circle");
                                        }});
        return dependencies;
    });
    std::vector<SignalRule> result;
    for (const std::size_t i : sorted.order()) result.push_back(std::move(signals[i]));
    return result;
}

// Checks the names in `requires` and `inhibits` too.
std::vector<std::size_t> order_adaptations(const std::vector<AdaptationRule>& rules,
                                           const std::vector<std::string>& left_out,
                                           const NamesElsewhere& elsewhere, Diagnostics& diagnostics) {
    std::map<std::string, std::size_t> index;
    Names names({left_out.begin(), left_out.end()});
    for (std::size_t i = 0; i < rules.size(); ++i) {
        index[rules[i].name.text] = i;
        names.add(rules[i].name.text);
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
        } else if (!names.contains(source.text)) {
            report(diagnostics, source, 0, "no adaptation is named '" + source.text + "'",
                   advice(source.text, names, elsewhere.adaptations,
                          "declare it with [[adaptation]], here or in another policy that is given too"));
        }
    };
    for (std::size_t i = 0; i < rules.size(); ++i) {
        for (const SourceText& source : rules[i].requirements) connect(i, source, true);
        for (const SourceText& source : rules[i].inhibits) connect(i, source, false);
    }
    const TopologicalOrder sorted(rules.size(), [&](std::size_t i) {
        std::vector<Dependency> dependencies;
        for (const Edge& edge : after[i])
            dependencies.push_back({edge.other, [&rules, &diagnostics, i, edge] {
                                        report(diagnostics, *edge.source, 0,
                                               "'" + rules[i].name.text + "' and '" +
                                                   rules[edge.other].name.text +
                                                   "' depend on each other by requires and inhibits",
                                               "break the circle");
                                    }});
        return dependencies;
    });
    return sorted.order();
}

void check_metrics(const Condition& condition, Names& provided, const NamesElsewhere& elsewhere,
                   Diagnostics& diagnostics) {
    for (const promql::MetricName& metric : promql::metric_names(condition.expr))
        if (!provided.contains(metric.name))
            report(diagnostics, condition.source, metric.at.offset,
                   "no sensor and no signal provides '" + metric.name + "'",
                   advice(metric.name, provided, elsewhere.metrics,
                          "declare a sensor or a signal of this name"));
}

void check_symptom_names(const AdaptationRule& rule, Names& symptoms, const NamesElsewhere& elsewhere,
                         Diagnostics& diagnostics) {
    for (const auto& [name, offset] : symptoms_of(rule.when))
        if (!symptoms.contains(name))
            report(diagnostics, rule.when_source, offset, "no symptom is named '" + name + "'",
                   advice(name, symptoms, elsewhere.symptoms,
                          "declare it with [[symptom]], here or in another policy that is given too"));
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

template <class Rules, class NameOf>
auto find_by_name(const Rules& rules, std::string_view name, NameOf name_of) {
    const auto found = std::ranges::find(
        rules, name, [&](const auto& rule) -> std::string_view { return name_of(rule).text; });
    return found == rules.end() ? nullptr : &*found;
}

const SourceText& name_of_signal(const SignalRule& rule) { return rule.name; }
const SourceText& name_of_symptom(const Symptom& symptom) { return symptom.rule.name; }
const SourceText& name_of_adaptation(const AdaptationRule& rule) { return rule.name; }

} // namespace

const SignalRule* find_signal(const PolicySet& policies, std::string_view name) {
    return find_by_name(policies.signals, name, name_of_signal);
}

const Symptom* find_symptom(const PolicySet& policies, std::string_view name) {
    return find_by_name(policies.symptoms, name, name_of_symptom);
}

const AdaptationRule* find_adaptation(const PolicySet& policies, std::string_view name) {
    return find_by_name(policies.adaptations, name, name_of_adaptation);
}

Duration PolicySet::history_for(const Labels& labels) const {
    Duration longest{};
    for (const std::string_view name : {labels.metric_name(), std::string_view()})
        if (const auto needs = selectors.find(name); needs != selectors.end())
            longest = std::max(longest, promql::history_for(needs->second, labels));
    return longest;
}

PolicySet make_policy_set(std::vector<PolicyDocument> documents, const ProvidedMetrics* provided,
                          Diagnostics& diagnostics, NamesElsewhere elsewhere) {
    PolicySet set;
    set.elsewhere = std::move(elsewhere);
    std::vector<std::string> left_out;
    for (PolicyDocument& document : documents) {
        std::ranges::move(document.left_out, std::back_inserter(left_out));
        std::ranges::move(document.warnings_allowed, std::back_inserter(set.warnings_allowed));
        std::ranges::move(document.signals, std::back_inserter(set.signals));
        for (SymptomRule& rule : document.symptoms) set.symptoms.push_back(derive(std::move(rule)));
        std::ranges::move(document.adaptations, std::back_inserter(set.adaptations));
    }
    order_by_name(set.signals, "signal", name_of_signal, diagnostics);
    order_by_name(set.symptoms, "symptom", name_of_symptom, diagnostics);
    order_by_name(set.adaptations, "adaptation", name_of_adaptation, diagnostics);
    set.signals = sorted_signals(std::move(set.signals), diagnostics);
    set.plan_order = order_adaptations(set.adaptations, left_out, set.elsewhere, diagnostics);

    Names symptoms({left_out.begin(), left_out.end()});
    for (const Symptom& symptom : set.symptoms) symptoms.add(symptom.rule.name.text);
    Names all(provided != nullptr ? *provided : ProvidedMetrics{});
    for (const std::string& name : left_out) all.add(name);
    for (const SignalRule& signal : set.signals) {
        if (provided != nullptr && provided->contains(signal.name.text))
            report(diagnostics, signal.name, 0,
                   "'" + signal.name.text + "' is a metric that a sensor or the controller provides",
                   "name the signal differently");
        all.add(signal.name.text);
    }
    const auto take = [&](const Condition& condition, bool has_templates = false) {
        if (provided != nullptr) check_metrics(condition, all, set.elsewhere, diagnostics);
        for (promql::SelectorNeed& need : promql::selectors(condition.expr)) {
            // What a template will be is not known: its matcher may choose anything.
            if (has_templates)
                std::erase_if(need.matchers, [](const promql::Matcher& m) {
                    return m.value.find("{{") != std::string::npos;
                });
            set.selectors[need.metric_name].push_back(std::move(need));
        }
    };
    for (const SignalRule& signal : set.signals) take(signal.expr);
    for (const Symptom& symptom : set.symptoms) {
        take(symptom.rule.raise);
        if (symptom.rule.clear) take(*symptom.rule.clear);
    }
    for (const AdaptationRule& adaptation : set.adaptations) {
        check_symptom_names(adaptation, symptoms, set.elsewhere, diagnostics);
        if (adaptation.verify) take(adaptation.verify->expect, true);
    }
    return set;
}

} // namespace homeostat
