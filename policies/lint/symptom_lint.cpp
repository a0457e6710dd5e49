// When symptoms raise and clear.
#include "policies/lint/lint.hpp"
#include "policies/lint/thresholds.hpp"
#include "policies/lint/warning.hpp"
#include "policies/promql/functions.hpp"

#include <algorithm>
#include <cmath>

namespace homeostat {

namespace {

using promql::AggregateOp;
using promql::Aggregation;
using promql::Binary;
using promql::BinaryOp;
using promql::Call;
using promql::Expr;
using promql::MetricKind;
using promql::Selector;

bool calls(const Expr& expr, std::string_view function) {
    const auto* call = std::get_if<Call>(&expr.node);
    bool found = call != nullptr && call->function->name == function;
    promql::for_each_child(expr, [&](const Expr& child) { found |= calls(child, function); });
    return found;
}

// Holds that one bound of the interval alone decides, and where.
std::optional<double> edge(const Interval& interval) {
    if (std::isfinite(interval.low) == std::isfinite(interval.high)) return std::nullopt;
    return std::isfinite(interval.low) ? interval.low : interval.high;
}

bool looks_back(const Expr& term) {
    const auto* call = std::get_if<Call>(&term.node);
    return call != nullptr &&
           (call->function->name == "max_over_time" || call->function->name == "min_over_time");
}

class SymptomLint {
  public:
    SymptomLint(const SymptomRule& rule, const PolicySet& policies, const LintContext& context,
                Diagnostics& diagnostics)
        : rule_(rule), policies_(policies), context_(context), diagnostics_(diagnostics) {
        if (check_truth()) {
            check_overlap();
            check_hysteresis();
        }
        check_timing();
    }

  private:
    void warn(std::string_view name, const Condition& at, std::string what, std::string what_to_do) {
        diagnostics_.push_back(warning(name, at.source, 0, std::move(what), std::move(what_to_do)));
    }

    // ---- what can never be, or always is

    bool never_holds(const Conjunction& conjunction) const {
        return std::ranges::any_of(conjunction.thresholds, [&](const auto& entry) {
            const Threshold& threshold = entry.second;
            return intersection(threshold.interval, promql_range(threshold)).is_empty();
        });
    }

    bool always_holds(const Conjunction& conjunction) const {
        return conjunction.is_all && !conjunction.thresholds.empty() &&
               std::ranges::all_of(conjunction.thresholds, [&](const auto& entry) {
                   return entry.second.interval.contains(promql_range(entry.second));
               });
    }

    Interval promql_range(const Threshold& threshold) const {
        return range_of(threshold.term, context_.schema);
    }

    // Whether there is more to say of it.
    bool check_truth() {
        bool is_sound = !check_any_sample();
        is_sound &= check_truth_of(rule_.raise, "'raise'");
        if (rule_.clear) is_sound &= check_truth_of(*rule_.clear, "'clear'");
        return is_sound;
    }

    bool check_truth_of(const Condition& condition, const std::string& what) {
        const auto conjunctions = conjunctions_of(condition.expr, Terms::equal);
        const auto never = static_cast<std::size_t>(
            std::ranges::count_if(conjunctions, [&](const Conjunction& c) { return never_holds(c); }));
        if (never == conjunctions.size()) {
            warn("never-true", condition, what + " can never be true",
                 "no value is in all of its thresholds");
            return false;
        }
        if (never > 0)
            warn("never-true", condition, "one side of an 'or' in " + what + " can never be true",
                 "no value is in all of its thresholds");
        for (const Conjunction& conjunction : conjunctions) {
            if (!always_holds(conjunction)) continue;
            const auto& [text, threshold] = *conjunction.thresholds.begin();
            warn("always-true", condition, what + " is true whenever there is data",
                 text + " is always " + to_text(threshold.interval));
            return false;
        }
        return never == 0;
    }

    // Whether the condition can be without a sample while what it reads has some.
    bool can_lack(const Expr& expr) const {
        if (const auto* binary = std::get_if<Binary>(&expr.node)) {
            const bool is_filter = promql::is_comparison(binary->op) && !binary->returns_bool;
            if (is_filter || binary->op == BinaryOp::logical_unless) return true;
            const bool left = binary->left->type == promql::Type::vector && can_lack(*binary->left);
            const bool right = binary->right->type == promql::Type::vector && can_lack(*binary->right);
            return binary->op == BinaryOp::logical_or ? left && right : left || right;
        }
        if (const auto* aggregation = std::get_if<Aggregation>(&expr.node))
            return aggregation->op == AggregateOp::topk || aggregation->op == AggregateOp::bottomk ||
                   can_lack(*aggregation->operand);
        if (const auto* call = std::get_if<Call>(&expr.node)) {
            if (call->function->name.starts_with("absent")) return true;
            return std::ranges::any_of(call->arguments, [&](const promql::ExprPtr& argument) {
                const bool is_samples =
                    argument->type == promql::Type::vector || argument->type == promql::Type::matrix;
                return is_samples && can_lack(*argument);
            });
        }
        if (const auto* selector = std::get_if<Selector>(&expr.node)) return can_lack_series(*selector);
        bool lacks = false;
        promql::for_each_child(expr, [&](const Expr& child) { lacks |= can_lack(child); });
        return lacks;
    }

    // A signal has what its expression has; records of rings come and go; of the unknown all may be.
    bool can_lack_series(const Selector& selector) const {
        if (const SignalRule* signal = find_signal(policies_, selector.metric_name))
            return can_lack(signal->expr.expr);
        const auto metric = context_.schema.find(selector.metric_name);
        if (metric == context_.schema.end()) return true;
        return metric->second.kind != MetricKind::state && metric->second.kind != MetricKind::counter;
    }

    // A comparison that says no by 0, itself or in a signal.
    bool answers_by_number(const Expr& expr) const {
        if (const auto* binary = std::get_if<Binary>(&expr.node)) return binary->returns_bool;
        const auto* selector = std::get_if<Selector>(&expr.node);
        const SignalRule* signal =
            selector != nullptr ? find_signal(policies_, selector->metric_name) : nullptr;
        return signal != nullptr && answers_by_number(signal->expr.expr);
    }

    bool check_any_sample() {
        if (can_lack(rule_.raise.expr) && !answers_by_number(rule_.raise.expr)) return false;
        warn("any-sample-raises", rule_.raise,
             "'raise' has a sample whatever its values are, and any sample raises, even 0",
             "expected a comparison without 'bool', such as > 0");
        return true;
    }

    // ---- raise against clear

    void check_overlap() {
        if (!rule_.clear) return;
        const auto raises = conjunctions_of(rule_.raise.expr, Terms::steady);
        const auto clears = conjunctions_of(rule_.clear->expr, Terms::steady);
        for (const Conjunction& raise : raises)
            for (const Conjunction& clear : clears)
                if (tell_overlap(raise, clear)) return;
    }

    bool tell_overlap(const Conjunction& raise, const Conjunction& clear) {
        const Threshold* raised = nullptr;
        const Threshold* cleared = nullptr;
        for (const auto& [text, threshold] : raise.thresholds) {
            const auto same = clear.thresholds.find(text);
            if (same == clear.thresholds.end()) continue;
            if (intersection(threshold.interval, same->second.interval).is_empty()) return false;
            raised = &threshold;
            cleared = &same->second;
        }
        if (raised == nullptr) return false;
        const double witness = value_in(intersection(raised->interval, cleared->interval));
        warn("overlapping-clear", *rule_.clear,
             "at " + number_text(witness) + " both hold: raise is " + to_text(raised->interval) +
                 ", clear is " + to_text(cleared->interval) + ", and raise wins",
             "let a gap be between them");
        return true;
    }

    // ---- hysteresis

    void check_hysteresis() {
        const SymptomTiming& timing = rule_.timing;
        if (timing.for_ > Duration{0} || timing.keep > Duration{0} || timing.quorum) return;
        const auto raises = conjunctions_of(rule_.raise.expr, Terms::equal);
        const auto clears =
            rule_.clear ? conjunctions_of(rule_.clear->expr, Terms::equal) : std::vector<Conjunction>{};
        for (const Conjunction& raise : raises) {
            if (raise.thresholds.size() != 1 || !raise.is_all) continue;
            const auto& [text, threshold] = *raise.thresholds.begin();
            const auto at = edge(threshold.interval);
            if (!at || *at == 0 || looks_back(threshold.term) || is_state(threshold.term)) continue;
            if (rule_.clear && !is_other_side(clears, text, threshold.interval)) continue;
            warn("no-hysteresis", rule_.clear ? *rule_.clear : rule_.raise,
                 "'" + rule_.name.text + "' raises and clears at " + number_text(*at) +
                     ": it follows each swing around it",
                 rule_.clear ? "let 'clear' lie apart, or give it 'for' or 'keep'"
                             : "give it a 'clear' that lies apart, or 'for' or 'keep'");
            return;
        }
    }

    bool is_state(const Expr& term) const {
        const auto* selector = std::get_if<Selector>(&term.node);
        if (selector == nullptr) return false;
        const auto metric = context_.schema.find(selector->metric_name);
        return metric != context_.schema.end() && metric->second.kind == MetricKind::state;
    }

    // Whether clear begins where raise ends.
    static bool is_other_side(const std::vector<Conjunction>& clears, const std::string& text,
                              const Interval& raise) {
        if (clears.size() != 1 || clears.front().thresholds.size() != 1) return false;
        const auto clear = clears.front().thresholds.find(text);
        if (clear == clears.front().thresholds.end()) return false;
        const Interval& interval = clear->second.interval;
        return (std::isfinite(raise.low) && interval.high == raise.low) ||
               (std::isfinite(raise.high) && interval.low == raise.high);
    }

    // ---- for, keep, forget, quorum

    void check_timing() {
        const SymptomTiming& timing = rule_.timing;
        if (timing.for_ > Duration{0} && calls(rule_.raise.expr, "irate"))
            warn("irate-with-for", rule_.raise, "irate is of two samples: one lull begins 'for' anew",
                 "use rate over a window");
        const Duration longest = std::max(timing.for_, timing.keep);
        if (timing.forget < longest)
            diagnostics_.push_back(warning(
                "forget-too-soon", rule_.name, 0,
                "'" + rule_.name.text + "' is forgotten after " + to_text(timing.forget) +
                    " without data, sooner than its " + (timing.for_ > timing.forget ? "'for'" : "'keep'") +
                    " of " + to_text(timing.for_ > timing.forget ? timing.for_ : timing.keep),
                "let 'forget' be longer"));
        if (!timing.quorum || !context_.period || timing.for_ == Duration{0}) return;
        const Duration sticks = (timing.quorum->ticks - timing.quorum->needed) * *context_.period;
        if (timing.for_ <= sticks)
            diagnostics_.push_back(warning("for-within-quorum", rule_.name, 0,
                                           "a quorum of " + std::to_string(timing.quorum->needed) + "/" +
                                               std::to_string(timing.quorum->ticks) + " holds for " +
                                               to_text(sticks) + " after its last tick: a 'for' of " +
                                               to_text(timing.for_) + " only delays",
                                           "remove 'for', or let it be longer"));
    }

    const SymptomRule& rule_;
    const PolicySet& policies_;
    const LintContext& context_;
    Diagnostics& diagnostics_;
};

} // namespace

void lint_symptoms(const PolicySet& policies, const LintContext& context, Diagnostics& diagnostics) {
    for (const Symptom& symptom : policies.symptoms)
        SymptomLint(symptom.rule, policies, context, diagnostics);
}

} // namespace homeostat
