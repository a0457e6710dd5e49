#include "policies/plan.hpp"

#include "policies/overlay.hpp"
#include "policies/reconcile.hpp"

#include <algorithm>
#include <utility>

namespace homeostat {

namespace {

constexpr Duration retry_first = std::chrono::seconds{1};
constexpr Duration retry_longest = std::chrono::minutes{5};
constexpr Duration changes_window = std::chrono::minutes{1};
// Of one target; more would be a quarrel between what is written and what is read back.
constexpr std::size_t transactions_per_second_max = 10;

void drop_older(std::deque<Instant>& times, Instant horizon) {
    while (!times.empty() && times.front() <= horizon) times.pop_front();
}

GateVerdict open_gate(std::string gate) { return {std::move(gate), true, ""}; }
GateVerdict closed_gate(std::string gate, std::string detail) {
    return {std::move(gate), false, std::move(detail)};
}

// At most `max` times within the window; the detail is stable while nothing happens, so that waiting makes
// one receipt.
GateVerdict rate_gate(std::string gate, const std::deque<Instant>& times, std::size_t max, Duration window) {
    if (times.size() < max) return open_gate(std::move(gate));
    // Of a rate of none, nothing will open it.
    const std::string until = max == 0 ? "" : ", until " + to_text(times[times.size() - max] + window);
    return closed_gate(std::move(gate), std::to_string(max) + " in the last " + to_text(window) + until);
}

bool all_open(const std::vector<GateVerdict>& gates) {
    return std::ranges::all_of(gates, &GateVerdict::open);
}

void describe_overlay(const AdaptationRule& rule, const Labels& key, Receipt& receipt) {
    const auto settings = bind_settings(rule, key);
    if (!settings) return;
    for (const auto& [attribute, value] : *settings) {
        receipt.sets.push_back(to_text(attribute) + " = " + to_text(value));
        if (std::ranges::find(receipt.targets, attribute.interface) == receipt.targets.end())
            receipt.targets.push_back(attribute.interface);
    }
}

// What the instance's symptoms saw: those that are raised, and those that have cleared in this tick.
std::vector<SeenValue> seen_by(const AdaptationRule& rule, const Labels& key, const Knowledge& knowledge,
                               const Decisions& decisions) {
    std::vector<SeenValue> seen;
    const auto take = [&](const std::vector<SeenValue>& more) {
        seen.insert(seen.end(), more.begin(), more.end());
    };
    for (const auto& [symptom, evidence] : evidence_of(rule.when, key, knowledge.symptoms))
        take(evidence->seen);
    const auto names = symptoms_of(rule.when);
    for (const SymptomChange& change : decisions.symptoms)
        if (change.to == SymptomState::inactive && agree(change.key, key) &&
            std::ranges::find(names, change.symptom, &std::pair<std::string, std::size_t>::first) !=
                names.end())
            take(change.seen);
    return seen;
}

Receipt make_receipt(const AdaptationRule& rule, const Labels& key, AdaptationInstance& instance,
                     Receipt::Action action, std::vector<GateVerdict> gates, Knowledge& knowledge,
                     const Decisions& decisions) {
    if (auto seen = seen_by(rule, key, knowledge, decisions); !seen.empty()) instance.seen = std::move(seen);
    Receipt receipt{.id = knowledge.next_receipt++,
                    .generation = decisions.generation,
                    .adaptation = rule.name.text,
                    .key = key,
                    .action = action,
                    .enforcement = rule.enforcement,
                    .when = rule.when_source.text,
                    .seen = instance.seen,
                    .gates = std::move(gates),
                    .lost = {},
                    .targets = {},
                    .sets = {},
                    .transactions = {}};
    describe_overlay(rule, key, receipt);
    return receipt;
}

// One adaptation at one instant.
class AdaptationTick {
  public:
    AdaptationTick(const AdaptationRule& rule, const DesiredState& baseline, Knowledge& knowledge,
                   Instant now, const PlanLimits& limits, Decisions& decisions)
        : rule_(rule), baseline_(baseline), memory_(knowledge.adaptations[rule.name.text]),
          knowledge_(knowledge), now_(now), limits_(limits), decisions_(decisions) {}

    // Whether an overlay came or went.
    bool run() {
        if (rule_.budget) drop_older(memory_.applied, now_ - rule_.budget->window);
        const std::set<Labels> wanted = instances_of(rule_.when, knowledge_.symptoms);
        make_instances(wanted);
        bool changed = false;
        for (auto it = memory_.instances.begin(); it != memory_.instances.end();) {
            auto& [key, instance] = *it;
            const bool is_wanted = wanted.contains(key);
            if (is_wanted && !instance.active)
                changed |= try_apply(key, instance);
            else if (!is_wanted && instance.active)
                changed |= try_remove(key, instance);
            else
                instance.gates.clear();
            it = is_wanted || instance.active || cooling(instance) ? std::next(it)
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

    bool cooling(const AdaptationInstance& instance) const {
        return instance.removed_at && now_ - *instance.removed_at < rule_.cooldown;
    }

    GateVerdict enforcement_gate() const {
        return rule_.enforcement == Enforcement::off ? closed_gate("enforcement", "off")
                                                     : open_gate("enforcement");
    }

    GateVerdict target_gate(const Labels& key) const {
        const auto settings = bind_settings(rule_, key);
        if (!settings) return closed_gate("target", settings.error().what);
        for (const auto& [attribute, value] : *settings)
            if (!baseline_.contains(attribute.interface))
                return closed_gate("target", "interface '" + attribute.interface + "' is not managed here");
        return open_gate("target");
    }

    GateVerdict cooldown_gate(const AdaptationInstance& instance) const {
        if (!cooling(instance)) return open_gate("cooldown");
        return closed_gate("cooldown", "until " + to_text(*instance.removed_at + rule_.cooldown));
    }

    GateVerdict budget_gate() const {
        if (!rule_.budget) return open_gate("budget");
        return rate_gate("budget", memory_.applied, rule_.budget->count, rule_.budget->window);
    }

    GateVerdict min_hold_gate(const AdaptationInstance& instance) const {
        const Instant end = instance.applied_at + rule_.min_hold;
        return now_ >= end ? open_gate("min_hold") : closed_gate("min_hold", "until " + to_text(end));
    }

    bool try_apply(const Labels& key, AdaptationInstance& instance) {
        std::vector<GateVerdict> gates{enforcement_gate(), target_gate(key), cooldown_gate(instance),
                                       budget_gate(),
                                       rate_gate("changes_per_minute", knowledge_.changes,
                                                 limits_.changes_per_minute_max, changes_window)};
        if (!all_open(gates)) return wait(key, instance, std::move(gates));
        instance.active = true;
        instance.applied_at = now_;
        instance.lost.clear();
        if (rule_.budget) memory_.applied.push_back(now_);
        if (rule_.enforcement == Enforcement::enforce) knowledge_.changes.push_back(now_);
        write_receipt(key, instance, Receipt::Action::apply, std::move(gates));
        return true;
    }

    bool try_remove(const Labels& key, AdaptationInstance& instance) {
        std::vector<GateVerdict> gates{min_hold_gate(instance)};
        if (!all_open(gates)) return wait(key, instance, std::move(gates));
        instance.active = false;
        instance.removed_at = now_;
        write_receipt(key, instance, Receipt::Action::remove, std::move(gates));
        instance.gates.clear();
        return true;
    }

    bool wait(const Labels& key, AdaptationInstance& instance, std::vector<GateVerdict> gates) {
        if (gates != instance.gates) write_receipt(key, instance, Receipt::Action::wait, std::move(gates));
        return false;
    }

    void write_receipt(const Labels& key, AdaptationInstance& instance, Receipt::Action action,
                       std::vector<GateVerdict> gates) {
        instance.gates = gates;
        decisions_.receipts.push_back(
            make_receipt(rule_, key, instance, action, std::move(gates), knowledge_, decisions_));
    }

    const AdaptationRule& rule_;
    const DesiredState& baseline_;
    AdaptationMemory& memory_;
    Knowledge& knowledge_;
    Instant now_;
    const PlanLimits& limits_;
    Decisions& decisions_;
};

// The overlays that count. One whose templates no longer bind, after a reload, lays nothing.
std::vector<Overlay> active_overlays(const PolicySet& policies, const Knowledge& knowledge,
                                     const DesiredState& baseline) {
    std::vector<Overlay> overlays;
    for (const AdaptationRule& rule : policies.adaptations) {
        const auto memory = knowledge.adaptations.find(rule.name.text);
        if (memory == knowledge.adaptations.end() || rule.enforcement != Enforcement::enforce) continue;
        for (const auto& [key, instance] : memory->second.instances) {
            auto settings = instance.active ? bind_settings(rule, key) : failure("not active");
            if (!settings) continue;
            std::erase_if(*settings, [&](const auto& s) { return !baseline.contains(s.first.interface); });
            overlays.push_back({rule.name.text, key, rule.priority, std::move(*settings)});
        }
    }
    return overlays;
}

Receipt* receipt_of(Decisions& decisions, const std::string& adaptation, const Labels& key) {
    const auto found = std::ranges::find_if(decisions.receipts, [&](const Receipt& receipt) {
        return receipt.adaptation == adaptation && receipt.key == key;
    });
    return found == decisions.receipts.end() ? nullptr : &*found;
}

// Losers are recorded, once per change of what they lost.
void note_losers(const PolicySet& policies, const Arbitration& arbitration, Knowledge& knowledge,
                 Decisions& decisions) {
    for (const AdaptationRule& rule : policies.adaptations) {
        const auto lost_by_key = arbitration.lost.find(rule.name.text);
        for (auto& [key, instance] : knowledge.adaptations[rule.name.text].instances) {
            std::vector<LostAttribute> lost;
            if (lost_by_key != arbitration.lost.end())
                if (const auto found = lost_by_key->second.find(key); found != lost_by_key->second.end())
                    lost = found->second;
            if (lost == instance.lost || !instance.active) continue;
            instance.lost = lost;
            if (Receipt* receipt = receipt_of(decisions, rule.name.text, key)) {
                receipt->lost = std::move(lost);
                continue;
            }
            Receipt receipt = make_receipt(rule, key, instance, Receipt::Action::arbitrate, instance.gates,
                                           knowledge, decisions);
            receipt.lost = std::move(lost);
            decisions.receipts.push_back(std::move(receipt));
        }
    }
}

Duration retry_after(unsigned failures) {
    Duration delay = retry_first;
    for (unsigned i = 1; i < failures && delay < retry_longest; ++i) delay *= 2;
    return std::min(delay, retry_longest);
}

void note_ladder(const Step& step, std::vector<XdpMode>& settled) {
    if (const auto* attach = std::get_if<AttachXdp>(&step)) settled = attach->ladder;
    if (const auto* change = std::get_if<SwitchXdpMode>(&step)) settled = change->ladder;
}

// The receipts of this tick that touch the interface learn which transaction carries them out.
void link_receipts(Decisions& decisions, const std::string& interface, TransactionId id) {
    for (Receipt& receipt : decisions.receipts)
        if (receipt.action != Receipt::Action::wait &&
            std::ranges::find(receipt.targets, interface) != receipt.targets.end())
            receipt.transactions.push_back(id);
}

} // namespace

void plan_overlays(const PolicySet& policies, const DesiredState& baseline, Knowledge& knowledge, Instant now,
                   const PlanLimits& limits, bool generation_changed, Decisions& decisions) {
    drop_older(knowledge.changes, now - changes_window);
    bool changed = generation_changed;
    for (const AdaptationRule& rule : policies.adaptations)
        changed |= AdaptationTick(rule, baseline, knowledge, now, limits, decisions).run();
    if (!changed) return;
    Arbitration arbitration = arbitrate(baseline, active_overlays(policies, knowledge, baseline));
    note_losers(policies, arbitration, knowledge, decisions);
    knowledge.desired = std::move(arbitration.desired);
    knowledge.desired_because = std::move(arbitration.because);
}

void end_overlays(const AdaptationRule& rule, const std::string& why, Knowledge& knowledge,
                  Decisions& decisions) {
    for (auto& [key, instance] : knowledge.adaptations[rule.name.text].instances) {
        if (!std::exchange(instance.active, false)) continue;
        instance.removed_at = decisions.now;
        instance.gates.clear();
        decisions.receipts.push_back(make_receipt(rule, key, instance, Receipt::Action::remove,
                                                  {{"reload", true, why}}, knowledge, decisions));
    }
}

void plan_transactions(Knowledge& knowledge, Instant now, Decisions& decisions) {
    for (const auto& [interface, desired] : knowledge.desired) {
        TargetMemory& target = knowledge.targets[interface];
        if (target.in_flight) continue;
        std::vector<Step> steps = reconcile(desired, knowledge.actual[interface], target.settled);
        if (steps.empty()) continue;
        if (steps != target.last_steps)
            target.failures = 0;
        else if (now < target.retry_at)
            continue;
        drop_older(target.begun, now - std::chrono::seconds{1});
        if (target.begun.size() >= transactions_per_second_max) {
            if (!std::exchange(target.held_back, true))
                decisions.messages.push_back("interface " + interface + " changes more than " +
                                             std::to_string(transactions_per_second_max) +
                                             " times a second: further changes are held back");
            continue;
        }
        target.held_back = false;
        target.begun.push_back(now);
        const auto id = static_cast<TransactionId>(knowledge.next_transaction++);
        target.in_flight = id;
        target.last_steps = steps;
        link_receipts(decisions, interface, id);
        const auto because = knowledge.desired_because.find(interface);
        decisions.transactions.push_back(
            {.transaction = {.id = id, .interface = interface, .steps = std::move(steps)},
             .because = because == knowledge.desired_because.end() ? std::vector<std::string>{"baseline"}
                                                                   : because->second});
    }
}

void note_outcome(Knowledge& knowledge, const Outcome& outcome, Instant now) {
    // Whether the interface is there at all, link events tell; of another device, this outcome says nothing.
    const auto [known, is_new] = knowledge.actual.try_emplace(outcome.interface, outcome.actual);
    if (!is_new && known->second.index == outcome.actual.index) {
        known->second.xdp = outcome.actual.xdp;
        known->second.entries = outcome.actual.entries;
    }
    TargetMemory& target = knowledge.targets[outcome.interface];
    if (target.in_flight != outcome.id) return;
    target.in_flight.reset();
    if (outcome.ok)
        for (const Step& step : target.last_steps) note_ladder(step, target.settled);
    // The same steps at once again after a success would mean that the read-back does not show what was
    // written: that waits too.
    target.failures = outcome.ok ? 0 : target.failures + 1;
    ++(outcome.ok ? target.succeeded_total : target.failed_total);
    target.retry_at = now + retry_after(target.failures);
}

} // namespace homeostat
