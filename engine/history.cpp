#include "engine/history.hpp"

namespace homeostat {

namespace {

std::size_t size_of(const Decisions& decisions) {
    return decisions.messages.size() + decisions.outcomes.size() + decisions.symptoms.size() +
           decisions.receipts.size() + decisions.transactions.size();
}

} // namespace

void DecisionHistory::add(Decisions& decisions, std::size_t decisions_max) {
    now_ = decisions.now;
    if (!begins_) begins_ = decisions.now;
    if (forgotten_ == 0 && decided_.size() + size_of(decisions) > decisions_max)
        decisions.messages.push_back("the history holds " + std::to_string(decisions_max) +
                                     " decisions, its limit: the oldest are forgotten");
    const auto remember = [&](const auto& list) {
        for (const auto& what : list)
            decided_.push_back({next_++, decisions.now, decisions.generation, what});
    };
    remember(decisions.messages);
    remember(decisions.outcomes);
    remember(decisions.symptoms);
    remember(decisions.receipts);
    remember(decisions.transactions);
    forget(decisions_max);
}

void DecisionHistory::forget(std::size_t decisions_max) {
    while (decided_.size() > decisions_max) {
        // Others of the same tick may be the next to go.
        begins_ = decided_.front().at + Duration{1};
        decided_.pop_front();
        ++forgotten_;
    }
}

} // namespace homeostat
