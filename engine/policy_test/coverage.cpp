#include "engine/policy_test/coverage.hpp"

#include "policies/gates.hpp"
#include "policies/overlay.hpp"
#include "policies/promql/evaluate.hpp"
#include "policies/promql/introspect.hpp"
#include "policies/when.hpp"

#include <algorithm>
#include <set>
#include <span>
#include <tuple>

namespace homeostat::policy_test {

namespace {

std::string transition_key(const std::string& symptom, SymptomState from, SymptomState to) {
    return "symptom " + symptom + ": " + std::string(to_text(from)) + " -> " + std::string(to_text(to));
}

std::string gate_key(const std::string& adaptation, const std::string& gate, bool open) {
    return "adaptation " + adaptation + ", gate " + gate + (open ? ": open" : ": closed");
}

std::string outcome_key(const std::string& adaptation, std::string_view outcome) {
    return "adaptation " + adaptation + ": " + std::string(outcome);
}

std::string text_of(const promql::Expr& expr, const Condition& condition) {
    return "'" + condition.source.text.substr(expr.at.offset, expr.at.length) + "'";
}

std::set<Labels> keys_of(const promql::Expr& expr, const EngineState& state, Instant now) {
    std::set<Labels> keys;
    const auto value =
        promql::evaluate(expr, state.knowledge.series, now, {.lookback = state.generation->limits.lookback});
    if (value && std::holds_alternative<promql::Vector>(*value))
        for (const promql::Sample& sample : std::get<promql::Vector>(*value))
            keys.insert(sample.labels.without_metric_name());
    return keys;
}

// A gate that waits after something says something only once there was such a thing.
bool counts_as_open(const GateVerdict& verdict) {
    const GateTraits* gate = find_gate(verdict.gate);
    return verdict.open && (gate == nullptr || !gate->is_after || verdict.facts.since.has_value());
}

// The operands of `and` and `or`, and of these again; empty where it has none.
std::vector<When> operands_of(const When& when) {
    std::vector<When> operands;
    if (when.kind != When::Kind::all && when.kind != When::Kind::any) return operands;
    for (const When& operand : when.operands) {
        const std::vector<When> inner = operands_of(operand);
        if (inner.empty()) operands.push_back(operand);
        operands.insert(operands.end(), inner.begin(), inner.end());
    }
    return operands;
}

} // namespace

Coverage::Coverage(const PolicyTest& test) {
    const std::size_t tested = test.policies.size() - std::min(test.beside, test.policies.size());
    std::vector<AdaptationRule> all;
    for (const PolicyDocument& policy : test.policies)
        all.insert(all.end(), policy.adaptations.begin(), policy.adaptations.end());
    for (const PolicyDocument& policy : std::span(test.policies).first(tested)) {
        for (const SignalRule& rule : policy.signals)
            add_parts("signal " + rule.name.text, rule.expr, rule.expr.expr, "");
        for (const SymptomRule& rule : policy.symptoms) add_symptom(rule);
        for (const AdaptationRule& rule : policy.adaptations) add_adaptation(rule, all);
    }
}

Coverage::Point Coverage::add(const SourceText& source, Position at, std::string what, std::string wanted) {
    points_.push_back({source.file, at, std::move(what), std::move(wanted), false});
    return points_.size() - 1;
}

void Coverage::reach(const std::string& key) {
    if (const auto found = keyed_.find(key); found != keyed_.end()) points_[found->second].reached = true;
}

void Coverage::add_condition(const std::string& whose, const Condition& condition, bool missing,
                             const std::string& symptom) {
    const Position at = condition.source.position(0);
    Part part{.expr = condition.expr,
              .presence = promql::presence(condition.expr),
              .only_with = symptom,
              .is_true = add(condition.source, at, whose, "true"),
              .is_false = add(condition.source, at, whose, "false"),
              .is_missing = {}};
    if (missing) part.is_missing = add(condition.source, at, whose, "missing");
    parts_.push_back(std::move(part));
    // The whole condition has been told; its parts are what is in it.
    if (const auto* binary = std::get_if<promql::Binary>(&condition.expr.node);
        binary != nullptr && promql::is_comparison(binary->op))
        promql::for_each_child(
            condition.expr, [&](const promql::Expr& child) { add_parts(whose, condition, child, symptom); });
    else
        add_parts(whose, condition, condition.expr, symptom);
}

// Each comparison, and each operand of a set operator.
void Coverage::add_parts(const std::string& whose, const Condition& condition, const promql::Expr& expr,
                         const std::string& symptom) {
    const auto add_side = [&](const promql::Expr& side) {
        const Position at = condition.source.position(side.at.offset);
        const std::string what = whose + ": " + text_of(side, condition);
        parts_.push_back({.expr = side,
                          .presence = promql::presence(side),
                          .only_with = symptom,
                          .is_true = add(condition.source, at, what, "true"),
                          .is_false = add(condition.source, at, what, "false"),
                          .is_missing = {}});
    };
    const auto* binary = std::get_if<promql::Binary>(&expr.node);
    const bool is_set = binary != nullptr && promql::is_set_operator(binary->op);
    if (binary != nullptr && promql::is_comparison(binary->op) && expr.type == promql::Type::vector)
        add_side(expr);
    promql::for_each_child(expr, [&](const promql::Expr& child) {
        const auto* inner = std::get_if<promql::Binary>(&child.node);
        const bool tells_itself =
            inner != nullptr && (promql::is_comparison(inner->op) || promql::is_set_operator(inner->op));
        if (is_set && !tells_itself) add_side(child);
        add_parts(whose, condition, child, symptom);
    });
}

void Coverage::add_symptom(const SymptomRule& rule) {
    const std::string whose = "symptom " + rule.name.text;
    add_condition(whose + ", raise", rule.raise, true, "");
    if (rule.clear) add_condition(whose + ", clear", *rule.clear, false, rule.name.text);
    const auto transition = [&](SymptomState from, SymptomState to, const char* key, const char* wanted) {
        const auto place = rule.places.find(key);
        const std::string name = transition_key(rule.name.text, from, to);
        keyed_[name] =
            add(rule.name, place == rule.places.end() ? rule.name.position(0) : place->second, name, wanted);
    };
    using enum SymptomState;
    if (rule.timing.for_ > Duration{0}) {
        transition(inactive, pending, "name", "taken");
        transition(pending, raised, "for", "taken");
        transition(pending, inactive, "for", "taken (for cut short)");
    } else {
        transition(inactive, raised, "name", "taken");
    }
    if (rule.timing.keep > Duration{0}) {
        transition(raised, clearing, "name", "taken");
        transition(clearing, inactive, "keep", "taken");
        transition(clearing, raised, "keep", "taken (keep cut short)");
    } else {
        transition(raised, inactive, "name", "taken");
    }
}

// An operand that drives is false where nothing drives at all; another one where an instance goes without it.
void Coverage::add_when(const AdaptationRule& rule) {
    const std::vector<std::string> drivers = drivers_of(rule.when);
    for (When& operand : operands_of(rule.when)) {
        const Position at = rule.when_source.position(operand.offset);
        const std::string what = "adaptation " + rule.name.text + ", when: '" + to_text(operand) + "'";
        const bool drives = operand.kind == When::Kind::symptom &&
                            std::ranges::find(drivers, operand.symptom) != drivers.end();
        operands_.push_back({.when = rule.when,
                             .operand = std::move(operand),
                             .drives = drives,
                             .is_true = add(rule.when_source, at, what, "true"),
                             .is_false = add(rule.when_source, at, what, "false")});
    }
}

void Coverage::add_adaptation(const AdaptationRule& rule, std::span<const AdaptationRule> all) {
    if (rule.enforcement == Enforcement::off) return;
    const auto add_keyed = [&](const std::string& name, const std::string& key, const char* wanted) {
        const auto place = rule.places.find(key);
        keyed_[name] =
            add(rule.name, place == rule.places.end() ? rule.name.position(0) : place->second, name, wanted);
    };
    add_keyed(outcome_key(rule.name.text, "applied"), "name", "seen");
    add_keyed(outcome_key(rule.name.text, "removed"), "name", "seen");
    add_when(rule);
    for (const GateTraits& gate : all_gates())
        if (gate.is_asked != nullptr && gate.is_asked(rule, all))
            for (const bool open : {false, true})
                add_keyed(gate_key(rule.name.text, std::string(gate.name), open), std::string(gate.key),
                          "seen");
    if (rule.enforcement != Enforcement::enforce) return;
    if (rule.verify)
        for (const char* outcome : {"verification held", "verification failed", "verification was moot"})
            add_keyed(outcome_key(rule.name.text, outcome), "verify", "seen");
    for (const OverlaySetting& setting : rule.settings) {
        AdaptationRule one = rule;
        one.settings = {setting};
        const std::string key = outcome_key(rule.name.text, "attribute " + std::to_string(settings_.size()));
        keyed_[key] = add(rule.name, setting.at,
                          "adaptation " + rule.name.text + ": " + attribute_text(setting), "winning");
        settings_.emplace_back(key, std::move(one));
    }
}

void Coverage::observe(const Simulation& simulation, const Decisions& decisions) {
    observe_conditions(simulation.state(), decisions);
    observe_operands(simulation.state().knowledge);
    for (const SymptomChange& change : decisions.symptoms)
        reach(transition_key(change.symptom, change.from, change.to));
    for (const Receipt& receipt : decisions.receipts) observe_receipt(receipt);
    if (!decisions.receipts.empty()) observe_overlays(simulation.state());
}

// Conditions read what the tick wrote before them, and nothing after them writes: asking again gives the
// same.
void Coverage::observe_conditions(const EngineState& state, const Decisions& decisions) {
    for (const Part& part : parts_) {
        std::vector<Labels> instances;
        if (!part.only_with.empty()) {
            const auto memory = state.knowledge.symptoms.find(part.only_with);
            if (memory != state.knowledge.symptoms.end())
                for (const auto& [key, instance] : memory->second.instances) instances.push_back(key);
            for (const SymptomChange& change : decisions.symptoms)
                if (change.symptom == part.only_with) instances.push_back(change.key);
            if (instances.empty()) continue;
        }
        const std::set<Labels> holding = keys_of(part.expr, state, decisions.now);
        const std::set<Labels> present = keys_of(part.presence, state, decisions.now);
        if (!holding.empty()) points_[part.is_true].reached = true;
        if (holding.empty() || !std::ranges::includes(holding, present)) {
            if (!present.empty() || !part.is_missing) points_[part.is_false].reached = true;
        }
        if (part.is_missing && present.empty()) points_[*part.is_missing].reached = true;
    }
}

void Coverage::observe_operands(const Knowledge& knowledge) {
    for (const Operand& operand : operands_) {
        const std::set<Labels> keys = candidates_of(operand.when, knowledge.symptoms);
        if (keys.empty() && operand.drives) points_[operand.is_false].reached = true;
        for (const Labels& key : keys) {
            const bool is_true = holds(operand.operand, key, knowledge.symptoms);
            points_[is_true ? operand.is_true : operand.is_false].reached = true;
        }
    }
}

void Coverage::observe_receipt(const Receipt& receipt) {
    using enum Receipt::Action;
    if (receipt.action == apply) reach(outcome_key(receipt.adaptation, "applied"));
    if (receipt.action == remove || receipt.action == rollback)
        reach(outcome_key(receipt.adaptation, "removed"));
    for (const GateVerdict& verdict : receipt.gates) {
        if (!verdict.open || counts_as_open(verdict))
            reach(gate_key(receipt.adaptation, verdict.gate, verdict.open));
        if (verdict.gate != "verify") continue;
        const bool moot = verdict.facts.obstacle.starts_with("moot");
        reach(outcome_key(receipt.adaptation, verdict.open ? "verification held"
                                              : moot       ? "verification was moot"
                                                           : "verification failed"));
    }
}

void Coverage::observe_overlays(const EngineState& state) {
    for (const auto& [key, rule] : settings_) {
        const auto memory = state.knowledge.adaptations.find(rule.name.text);
        if (memory == state.knowledge.adaptations.end()) continue;
        for (const auto& [labels, instance] : memory->second.instances) {
            const auto bound = instance.active ? bind_settings(rule, labels) : failure("not active");
            if (!bound) continue;
            const bool lost = std::ranges::all_of(*bound, [&](const auto& setting) {
                return std::ranges::find(instance.lost, to_text(setting.first), &LostAttribute::attribute) !=
                       instance.lost.end();
            });
            if (!lost) reach(key);
        }
    }
}

std::vector<CoveragePoint> Coverage::points() const {
    std::vector<CoveragePoint> sorted = points_;
    std::ranges::stable_sort(sorted, {}, [](const CoveragePoint& p) { return std::tie(p.file, p.at); });
    return sorted;
}

} // namespace homeostat::policy_test
