// From the desired state to transactions, one per interface, and what became of them.
#include "policies/plan.hpp"
#include "policies/reconcile.hpp"

#include <algorithm>
#include <utility>

namespace homeostat {

namespace {

constexpr Duration retry_first = std::chrono::seconds{1};
constexpr Duration retry_longest = std::chrono::minutes{5};
// Of one target; more would be a quarrel between what is written and what is read back.
constexpr std::size_t transactions_per_second_max = 10;

Duration retry_after(unsigned failures) {
    Duration delay = retry_first;
    for (unsigned i = 1; i < failures && delay < retry_longest; ++i) delay *= 2;
    return std::min(delay, retry_longest);
}

constexpr Duration climb_longest = std::chrono::hours{24};

Duration climb_after(const DesiredInterface& desired, unsigned failures) {
    Duration delay = desired.climb_after;
    for (unsigned i = 0; i < failures && delay < climb_longest; ++i) delay *= 2;
    return std::min(delay, climb_longest);
}

// The way up from a lower mode, where it is time for it. Each way costs a gap, so a failure doubles the time.
std::vector<Step> climb(const std::string& interface, const DesiredInterface& desired,
                        const ActualInterface& actual, TargetMemory& target, Instant now,
                        Decisions& decisions) {
    if (!is_fallen(desired, actual)) {
        target.climb_at.reset();
        target.climbs_failed = 0;
        return {};
    }
    if (desired.climb_after == Duration{0}) return {};
    const SwitchXdpMode step = climb_step(desired, actual);
    if (!target.climb_at) {
        const Duration delay = climb_after(desired, target.climbs_failed);
        target.climb_at = now + delay;
        decisions.messages.push_back("interface " + interface + " is in mode " +
                                     std::string(to_text(actual.xdp->mode)) + ", not in " +
                                     std::string(to_text(desired.ladder.front())) + ": " +
                                     ladder_text(step.ladder) + " is tried again in " + to_text(delay));
    }
    return now < *target.climb_at ? std::vector<Step>() : std::vector<Step>{step};
}

void note_ladder(const Step& step, std::vector<XdpMode>& settled) {
    if (const auto* attach = std::get_if<AttachXdp>(&step)) settled = attach->ladder;
    if (const auto* change = std::get_if<SwitchXdpMode>(&step)) settled = change->ladder;
    if (const auto* change = std::get_if<ReplaceForeignXdp>(&step)) settled = change->ladder;
}

// What a switch is to be judged by is no part of what it does: it changes with each one.
void price(std::vector<Step>& steps, const TargetMemory& target) {
    for (Step& step : steps) {
        if (auto* change = std::get_if<SwitchXdpMode>(&step)) change->gap.expected_ns = target.gap_longest_ns;
        if (auto* change = std::get_if<ReplaceForeignXdp>(&step))
            change->gap.expected_ns = target.gap_longest_ns;
    }
}

// The receipts of this tick that touch the interface learn which transaction carries them out.
void link_receipts(Decisions& decisions, const std::string& interface, TransactionId id) {
    for (Receipt& receipt : decisions.receipts)
        if (receipt.action != Receipt::Action::wait &&
            std::ranges::find(receipt.targets, interface) != receipt.targets.end())
            receipt.transactions.push_back(id);
}

std::vector<std::string> because_of(const Knowledge& knowledge, const std::string& interface) {
    const auto because = knowledge.desired_because.find(interface);
    return because == knowledge.desired_because.end() ? std::vector<std::string>{"baseline"}
                                                      : because->second;
}

// A ladder stays settled whether its better modes were taken or not.
void note_climb(TargetMemory& target, bool ok) {
    target.climb_at.reset();
    target.climbs_failed = ok ? 0 : target.climbs_failed + 1;
}

} // namespace

void plan_transactions(Knowledge& knowledge, Instant now, Decisions& decisions) {
    for (const auto& [interface, desired] : knowledge.desired) {
        TargetMemory& target = knowledge.targets[interface];
        if (target.in_flight || target.unread) continue;
        const ActualInterface& actual = knowledge.actual[interface];
        std::vector<Step> steps = reconcile(desired, actual, target.settled);
        const bool is_climb = steps.empty();
        if (is_climb) steps = climb(interface, desired, actual, target, now, decisions);
        if (steps.empty()) continue;
        if (is_climb || steps != target.last_steps)
            target.failures = 0;
        else if (now < target.retry_at)
            continue;
        while (!target.begun.empty() && target.begun.front() <= now - std::chrono::seconds{1})
            target.begun.pop_front();
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
        target.climbing = is_climb;
        target.last_steps = steps;
        price(steps, target);
        link_receipts(decisions, interface, id);
        decisions.transactions.push_back(
            {.transaction = {.id = id, .interface = interface, .steps = std::move(steps)},
             .because = because_of(knowledge, interface)});
    }
}

void note_outcome(Knowledge& knowledge, const Outcome& outcome, Instant now) {
    // Whether the interface is there at all, link events tell; of another device, this outcome says nothing.
    const auto [known, is_new] = knowledge.actual.try_emplace(outcome.interface, outcome.actual);
    const bool is_unread = knowledge.targets[outcome.interface].unread;
    if (!is_new && !is_unread && known->second.index == outcome.actual.index) {
        known->second.xdp = outcome.actual.xdp;
        known->second.tc = outcome.actual.tc;
        known->second.entries = outcome.actual.entries;
    }
    TargetMemory& target = knowledge.targets[outcome.interface];
    if (target.in_flight != outcome.id) return;
    target.in_flight.reset();
    if (outcome.gap) {
        target.gap_newest = outcome.gap;
        target.gap_longest_ns = std::max(target.gap_longest_ns.value_or(0), outcome.gap->ns);
    }
    const bool is_climb = std::exchange(target.climbing, false);
    if (is_climb)
        note_climb(target, outcome.ok);
    else if (outcome.ok)
        for (const Step& step : target.last_steps) note_ladder(step, target.settled);
    // The same steps at once again after a success would mean that the read-back does not show what was
    // written: that waits too.
    target.failures = outcome.ok ? 0 : target.failures + 1;
    ++(outcome.ok ? target.succeeded_total : target.failed_total);
    target.retry_at = now + retry_after(target.failures);
}

} // namespace homeostat
