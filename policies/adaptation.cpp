#include "policies/adaptation.hpp"

#include "policies/gates.hpp"
#include "policies/overlay.hpp"
#include "policies/receipts.hpp"
#include "policies/verification.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace homeostat {

namespace {

// At most `max` times within the window.
GateFacts rate_facts(const std::deque<Instant>& times, std::size_t max, Duration window) {
    GateFacts facts{.span = window, .count = times.size(), .limit = max};
    if (max > 0 && times.size() >= max) facts.since = times[times.size() - max];
    return facts;
}

std::string name_of(const std::string& adaptation, const Labels& key) { return adaptation + to_text(key); }

void forget_older(std::deque<Instant>& times, Instant horizon) {
    while (!times.empty() && times.front() <= horizon) times.pop_front();
}

// An enforced adaptation is not moved by one that only pretends.
bool is_as_real_as(const AdaptationRule& other, const AdaptationRule& rule) {
    return other.enforcement == Enforcement::enforce || rule.enforcement != Enforcement::enforce;
}

// One adaptation at one instant.
class AdaptationTick {
  public:
    AdaptationTick(const AdaptationRule& rule, const PolicySet& policies, const DesiredState& baseline,
                   Knowledge& knowledge, Instant now, const PlanLimits& limits, Decisions& decisions)
        : rule_(rule), policies_(policies), baseline_(baseline),
          memory_(knowledge.adaptations[rule.name.text]), knowledge_(knowledge), now_(now), limits_(limits),
          decisions_(decisions) {}

    // Whether an overlay came or went.
    bool run() {
        if (rule_.budget) forget_older(memory_.applied, now_ - rule_.budget->window);
        const std::set<Labels> wanted = instances_of(rule_.when, knowledge_.symptoms);
        make_instances(wanted);
        bool changed = false;
        for (auto it = memory_.instances.begin(); it != memory_.instances.end();) {
            auto& [key, instance] = *it;
            if (!decisions_.symptoms.empty()) take_evidence(rule_, key, instance, knowledge_, decisions_);
            const bool is_wanted = wanted.contains(key);
            changed |= advance_one(key, instance, is_wanted);
            it = is_wanted || instance.active || remembers(instance) ? std::next(it)
                                                                     : memory_.instances.erase(it);
        }
        return changed;
    }

  private:
    void make_instances(const std::set<Labels>& wanted) {
        bool refused = false;
        for (const Labels& key : wanted) {
            if (memory_.instances.contains(key)) continue;
            refused = memory_.instances.size() >= limits_.instances_per_adaptation_max;
            if (refused) break;
            AdaptationInstance instance;
            instance.fact =
                key.with(metric_name_label, "adaptation_active").with("adaptation", rule_.name.text);
            memory_.instances.emplace(key, std::move(instance));
        }
        if (refused && !memory_.at_limit)
            decisions_.messages.push_back("adaptation " + rule_.name.text + " has " +
                                          std::to_string(limits_.instances_per_adaptation_max) +
                                          " instances, its limit: more are ignored");
        memory_.at_limit = refused;
    }

    bool advance_one(const Labels& key, AdaptationInstance& instance, bool is_wanted) {
        bool changed = false;
        if (instance.active) changed = withdraw_if_barred(key, instance);
        if (instance.active && instance.verification) changed |= verify(key, instance, is_wanted);
        if (is_wanted && !instance.active) return try_apply(key, instance) || changed;
        if (!is_wanted && instance.active) return try_remove(key, instance) || changed;
        instance.gates.clear();
        return changed;
    }

    // An instance with nothing to remember need not be kept.
    bool remembers(const AdaptationInstance& instance) const {
        const bool cooling = instance.removed_at && now_ - *instance.removed_at < rule_.cooldown;
        const bool flaps = rule_.damp && penalty_now(instance) > rule_.damp->forgotten_below();
        return cooling || flaps || is_suspended_twofold(instance);
    }

    // ---- gates

    GateVerdict enforcement_gate() const {
        return judge(Gate::enforcement, {.obstacle = rule_.enforcement == Enforcement::off ? "off" : ""});
    }

    GateVerdict target_gate(const Labels& key) const {
        const auto settings = bind_settings(rule_, key);
        if (!settings) return judge(Gate::target, {.obstacle = settings.error().what});
        for (const std::string& interface : interfaces_of(*settings))
            if (!baseline_.contains(interface))
                return judge(Gate::target, {.obstacle = "interface '" + interface + "' is not managed here"});
        return judge(Gate::target, {});
    }

    // The active instance of an adaptation that agrees with the key, as its name; "" where there is none.
    std::string active_instance(const AdaptationRule& other, const Labels& key) const {
        const auto memory = knowledge_.adaptations.find(other.name.text);
        if (memory == knowledge_.adaptations.end() || !is_as_real_as(other, rule_)) return "";
        for (const auto& [labels, instance] : memory->second.instances)
            if (instance.active && agree(labels, key)) return name_of(other.name.text, labels);
        return "";
    }

    GateVerdict requires_gate(const Labels& key) const {
        for (const SourceText& required : rule_.requirements) {
            const AdaptationRule* other = find_adaptation(policies_, required.text);
            if (other == nullptr || active_instance(*other, key).empty())
                return judge(Gate::requirements, {.obstacle = required.text + " is not active"});
        }
        return judge(Gate::requirements, {});
    }

    GateVerdict inhibits_gate(const Labels& key) const {
        for (const AdaptationRule& other : policies_.adaptations) {
            if (std::ranges::find(other.inhibits, rule_.name.text, &SourceText::text) == other.inhibits.end())
                continue;
            if (const std::string name = active_instance(other, key); !name.empty())
                return judge(Gate::inhibits, {.obstacle = name + " is active"});
        }
        return judge(Gate::inhibits, {});
    }

    GateVerdict backoff_gate(const AdaptationInstance& instance) const {
        if (!rule_.verify || !instance.suspended_at) return judge(Gate::backoff, {});
        return judge(Gate::backoff, {.now = now_,
                                     .since = instance.suspended_at,
                                     .span = suspension(*rule_.verify, instance.verifications_failed),
                                     .count = instance.verifications_failed});
    }

    // Long enough that a failure after the suspension doubles the next one.
    bool is_suspended_twofold(const AdaptationInstance& instance) const {
        return rule_.verify && instance.suspended_at &&
               now_ - *instance.suspended_at < 2 * suspension(*rule_.verify, instance.verifications_failed);
    }

    GateVerdict cooldown_gate(const AdaptationInstance& instance) const {
        return judge(Gate::cooldown, {.now = now_, .since = instance.removed_at, .span = rule_.cooldown});
    }

    double reuse() const { return rule_.damp ? static_cast<double>(rule_.damp->reuse) : 0; }

    double penalty_now(const AdaptationInstance& instance) const {
        if (!rule_.damp || instance.penalty.value == 0) return 0;
        const auto age = static_cast<double>((now_ - instance.penalty.at).count());
        return instance.penalty.value * std::exp2(-age / static_cast<double>(rule_.damp->half_life.count()));
    }

    void add_penalty(AdaptationInstance& instance) const {
        FlapPenalty next{
            .value = penalty_now(instance) + Damping::penalty, .at = now_, .suppressed_until = {}};
        if (next.value >= static_cast<double>(rule_.damp->suppress)) {
            const double half_lives = std::log2(next.value / reuse());
            const double span_ms = half_lives * static_cast<double>(rule_.damp->half_life.count());
            next.suppressed_until = now_ + Duration{static_cast<Duration::rep>(std::ceil(span_ms))};
        }
        instance.penalty = next;
    }

    GateVerdict damp_gate(const AdaptationInstance& instance) const {
        const FlapPenalty& penalty = instance.penalty;
        if (!rule_.damp || !penalty.suppressed_until) return judge(Gate::damp, {});
        return judge(Gate::damp,
                     {.now = now_, .since = penalty.at, .span = *penalty.suppressed_until - penalty.at});
    }

    GateVerdict max_active_gate() const {
        if (!rule_.max_active) return judge(Gate::max_active, {.limit = 1});
        const auto active =
            std::ranges::count_if(memory_.instances, [](const auto& entry) { return entry.second.active; });
        return judge(Gate::max_active,
                     {.count = static_cast<std::size_t>(active), .limit = *rule_.max_active});
    }

    GateVerdict budget_gate() const {
        if (!rule_.budget) return judge(Gate::budget, {.limit = 1});
        return judge(Gate::budget, rate_facts(memory_.applied, rule_.budget->count, rule_.budget->window));
    }

    // An overlay of higher priority that is being verified on one of these interfaces.
    GateVerdict verification_gate(const std::set<std::string>& interfaces) const {
        for (const AdaptationRule& other : policies_.adaptations) {
            if (!other.verify || other.priority <= rule_.priority || !is_as_real_as(other, rule_)) continue;
            const auto memory = knowledge_.adaptations.find(other.name.text);
            if (memory == knowledge_.adaptations.end()) continue;
            for (const auto& [key, instance] : memory->second.instances) {
                const auto settings =
                    instance.verification ? bind_settings(other, key) : failure("nothing is verified");
                if (!settings) continue;
                for (const std::string& interface : interfaces_of(*settings))
                    if (interfaces.contains(interface))
                        return judge(Gate::verification, {.obstacle = name_of(other.name.text, key) +
                                                                      " is being verified on " + interface});
            }
        }
        return judge(Gate::verification, {});
    }

    GateVerdict in_flight_gate(const std::set<std::string>& interfaces) const {
        if (rule_.enforcement == Enforcement::enforce)
            for (const std::string& interface : interfaces)
                if (const auto target = knowledge_.targets.find(interface);
                    target != knowledge_.targets.end() && target->second.in_flight)
                    return judge(
                        Gate::in_flight,
                        {.obstacle = "transaction " +
                                     std::to_string(static_cast<std::uint64_t>(*target->second.in_flight)) +
                                     " on " + interface});
        return judge(Gate::in_flight, {});
    }

    std::set<std::string> interfaces(const Labels& key) const {
        const auto settings = bind_settings(rule_, key);
        return settings ? interfaces_of(*settings) : std::set<std::string>();
    }

    // ---- changes

    bool withdraw_if_barred(const Labels& key, AdaptationInstance& instance) {
        for (const GateVerdict& gate : {requires_gate(key), inhibits_gate(key)}) {
            if (gate.open) continue;
            end(key, instance, Receipt::Action::remove, {gate});
            return true;
        }
        return false;
    }

    bool try_apply(const Labels& key, AdaptationInstance& instance) {
        const std::set<std::string> targets = interfaces(key);
        std::vector<GateVerdict> gates{
            enforcement_gate(),
            target_gate(key),
            requires_gate(key),
            inhibits_gate(key),
            backoff_gate(instance),
            cooldown_gate(instance),
            damp_gate(instance),
            max_active_gate(),
            budget_gate(),
            verification_gate(targets),
            in_flight_gate(targets),
            judge(Gate::changes_per_minute,
                  rate_facts(knowledge_.changes, limits_.changes_per_minute_max, changes_window))};
        if (first_closed(gates) != nullptr) return wait(key, instance, std::move(gates));
        instance.active = true;
        ++memory_.totals.applied;
        instance.applied_at = now_;
        instance.lost.clear();
        if (rule_.budget) memory_.applied.push_back(now_);
        if (rule_.damp) add_penalty(instance);
        if (rule_.enforcement == Enforcement::enforce) {
            knowledge_.changes.push_back(now_);
            if (rule_.verify) instance.verification.emplace();
        }
        write_receipt(key, instance, Receipt::Action::apply, std::move(gates));
        return true;
    }

    bool try_remove(const Labels& key, AdaptationInstance& instance) {
        const std::set<std::string> targets = interfaces(key);
        std::vector<GateVerdict> gates{
            judge(Gate::min_hold, {.now = now_, .since = instance.applied_at, .span = rule_.min_hold}),
            verification_gate(targets), in_flight_gate(targets)};
        if (first_closed(gates) != nullptr) return wait(key, instance, std::move(gates));
        end(key, instance, Receipt::Action::remove, std::move(gates));
        return true;
    }

    void end(const Labels& key, AdaptationInstance& instance, Receipt::Action action,
             std::vector<GateVerdict> gates) {
        instance.active = false;
        ++memory_.totals.removed;
        instance.removed_at = now_;
        instance.verification.reset();
        write_receipt(key, instance, action, std::move(gates));
        instance.gates.clear();
    }

    bool wait(const Labels& key, AdaptationInstance& instance, std::vector<GateVerdict> gates) {
        if (!same_verdicts(gates, instance.gates))
            write_receipt(key, instance, Receipt::Action::wait, std::move(gates));
        return false;
    }

    Receipt& write_receipt(const Labels& key, AdaptationInstance& instance, Receipt::Action action,
                           std::vector<GateVerdict> gates) {
        instance.gates = gates;
        return decisions_.receipts.emplace_back(
            make_receipt(rule_, key, instance, action, std::move(gates), knowledge_, decisions_));
    }

    // ---- verification

    // Whether the overlay was taken away.
    bool verify(const Labels& key, AdaptationInstance& instance, bool is_wanted) {
        if (instance.applied_at == now_) return false;
        if (!is_wanted) return conclude(key, instance, "moot: its symptoms have cleared", std::nullopt);
        const auto settings = bind_settings(rule_, key);
        if (!settings || instance.lost.size() == settings->size())
            return conclude(key, instance, "moot: it has lost every attribute", std::nullopt);
        OpenVerification& open = *instance.verification;
        if (!open.in_effect_at && in_effect(knowledge_, interfaces_of(*settings))) open.in_effect_at = now_;
        const Instant since = open.in_effect_at.value_or(instance.applied_at);
        const bool is_over = now_ - since >= rule_.verify->within;
        if (!open.in_effect_at)
            return is_over && fail(key, instance, "the change is not in effect", std::nullopt);
        if (now_ - since < rule_.verify->settle) return false;
        auto evidence = ask_expectation(*rule_.verify, key, knowledge_, now_, limits_.evaluation);
        if (evidence.is == Truth::yes) {
            ++memory_.totals.verified;
            instance.verifications_failed = 0;
            instance.suspended_at.reset();
            return conclude(key, instance, "", std::move(evidence));
        }
        if (!is_over) return false;
        const std::string why = evidence.is == Truth::no ? "expect does not hold" : "expect has no data";
        return fail(key, instance, why, std::move(evidence));
    }

    // Ends the verification; the overlay stays. False: nothing came or went.
    bool conclude(const Labels& key, AdaptationInstance& instance, const std::string& obstacle,
                  std::optional<ExpectationEvidence> evidence) {
        instance.verification.reset();
        write_receipt(key, instance, Receipt::Action::verify, {verdict(instance, obstacle)}).expectation =
            std::move(evidence);
        return false;
    }

    bool fail(const Labels& key, AdaptationInstance& instance, const std::string& why,
              std::optional<ExpectationEvidence> evidence) {
        if (!rule_.verify->rollback) return conclude(key, instance, why, std::move(evidence));
        ++memory_.totals.rolled_back;
        ++instance.verifications_failed;
        instance.suspended_at = now_;
        end(key, instance, Receipt::Action::rollback, {verdict(instance, why)});
        decisions_.receipts.back().expectation = std::move(evidence);
        return true;
    }

    GateVerdict verdict(const AdaptationInstance& instance, const std::string& obstacle) const {
        return judge(
            Gate::verify,
            {.now = now_, .since = instance.applied_at, .span = rule_.verify->within, .obstacle = obstacle});
    }

    const AdaptationRule& rule_;
    const PolicySet& policies_;
    const DesiredState& baseline_;
    AdaptationMemory& memory_;
    Knowledge& knowledge_;
    Instant now_;
    const PlanLimits& limits_;
    Decisions& decisions_;
};

} // namespace

bool advance_adaptation(const AdaptationRule& rule, const PolicySet& policies, const DesiredState& baseline,
                        Knowledge& knowledge, Instant now, const PlanLimits& limits, Decisions& decisions) {
    return AdaptationTick(rule, policies, baseline, knowledge, now, limits, decisions).run();
}

} // namespace homeostat
