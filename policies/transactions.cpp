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

void note_ladder(const Step& step, std::vector<XdpMode>& settled) {
    if (const auto* attach = std::get_if<AttachXdp>(&step)) settled = attach->ladder;
    if (const auto* change = std::get_if<SwitchXdpMode>(&step)) settled = change->ladder;
}

// What a switch is to be judged by is no part of what it does: it changes with each one.
void price(std::vector<Step>& steps, const TargetMemory& target) {
    for (Step& step : steps)
        if (auto* change = std::get_if<SwitchXdpMode>(&step)) change->gap.expected_ns = target.gap_longest_ns;
}

// The receipts of this tick that touch the interface learn which transaction carries them out.
void link_receipts(Decisions& decisions, const std::string& interface, TransactionId id) {
    for (Receipt& receipt : decisions.receipts)
        if (receipt.action != Receipt::Action::wait &&
            std::ranges::find(receipt.targets, interface) != receipt.targets.end())
            receipt.transactions.push_back(id);
}

} // namespace

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
        target.last_steps = steps;
        price(steps, target);
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
    if (outcome.gap) {
        target.gap_newest = outcome.gap;
        target.gap_longest_ns = std::max(target.gap_longest_ns.value_or(0), outcome.gap->ns);
    }
    if (outcome.ok)
        for (const Step& step : target.last_steps) note_ladder(step, target.settled);
    // The same steps at once again after a success would mean that the read-back does not show what was
    // written: that waits too.
    target.failures = outcome.ok ? 0 : target.failures + 1;
    ++(outcome.ok ? target.succeeded_total : target.failed_total);
    target.retry_at = now + retry_after(target.failures);
}

} // namespace homeostat
