#include "policies/evidence.hpp"

#include "policies/by_key.hpp"
#include "policies/promql/introspect.hpp"
#include "policies/promql/parser.hpp"

#include <algorithm>
#include <bit>
#include <set>
#include <string>
#include <utility>

namespace homeostat {

namespace {

struct OneTruth {
    Truth truth = Truth::missing;
    std::optional<double> value{};
};

OneTruth judge(const promql::Expr& expr, const promql::Expr& presence, const SymptomEvidence& evidence,
               const std::vector<SeenValue>& seen) {
    const auto in_e = ByKey::from(promql::evaluate_from(expr, seen, evidence.at));
    if (!in_e) return {};
    if (const promql::Sample* sample = in_e->find(evidence.key)) return {Truth::yes, sample->value};
    const auto in_p = ByKey::from(promql::evaluate_from(presence, seen, evidence.at));
    const bool present = in_p && in_p->find(evidence.key) != nullptr;
    return {present ? Truth::no : Truth::missing};
}

Judged judge_all(const promql::Expr& raise, const promql::Expr& raise_presence, const promql::Expr* clear,
                 const promql::Expr* clear_presence, const SymptomEvidence& evidence,
                 const std::vector<SeenValue>& seen) {
    const OneTruth raises = judge(raise, raise_presence, evidence, seen);
    const bool asks_clear = raises.truth != Truth::yes && clear != nullptr && evidence.clear_covered;
    return {raises.truth, asks_clear ? judge(*clear, *clear_presence, evidence, seen).truth : Truth::missing,
            raises.value};
}

Result<promql::Expr> parse_condition(const std::string& text) {
    auto expr = promql::parse(text);
    if (!expr) return failure("the condition of the evidence: " + expr.error().front().what);
    return std::move(*expr);
}

} // namespace

bool operator==(const Judged& a, const Judged& b) {
    const auto bits = [](const Judged& judged) {
        return judged.value ? std::optional(std::bit_cast<std::uint64_t>(*judged.value)) : std::nullopt;
    };
    return a.raise == b.raise && a.clear == b.clear && bits(a) == bits(b);
}

Result<Judged> judge_again(const SymptomEvidence& evidence) {
    const auto raise = parse_condition(evidence.raise);
    if (!raise) return std::unexpected(raise.error());
    const promql::Expr raise_presence = promql::presence(*raise);
    if (evidence.clear.empty())
        return judge_all(*raise, raise_presence, nullptr, nullptr, evidence, evidence.seen);
    const auto clear = parse_condition(evidence.clear);
    if (!clear) return std::unexpected(clear.error());
    const promql::Expr clear_presence = promql::presence(*clear);
    return judge_all(*raise, raise_presence, &*clear, &clear_presence, evidence, evidence.seen);
}

void EvidenceOfTick::look() {
    if (std::exchange(looked_, true)) return;
    look_at(symptom_->rule.raise.expr);
    look_at(symptom_->raise_presence);
    if (symptom_->rule.clear) {
        look_at(symptom_->rule.clear->expr);
        look_at(*symptom_->clear_presence);
    }
    for (std::size_t i = 0; i < all_.size(); ++i) by_key_[all_[i].labels.without_metric_name()].push_back(i);
}

// Time stands still within a tick, so asking again gives the same values; of one text there is one result.
void EvidenceOfTick::look_at(const promql::Expr& expr) {
    promql::Trace trace;
    (void)promql::evaluate(expr, *store_, now_, options_, &trace);
    std::set<std::string> known;
    for (const SeenValue& value : all_) known.insert(value.expression);
    for (const promql::Traced& traced : trace.seen) {
        if (!known.insert(traced.text).second) continue;
        for (const promql::Sample& sample : traced.result)
            all_.push_back({traced.text, sample.labels, sample.value});
    }
}

std::vector<SeenValue> EvidenceOfTick::of_key(const Labels& key) const {
    std::vector<SeenValue> seen;
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return seen;
    for (const std::size_t place : found->second) seen.push_back(all_[place]);
    return seen;
}

std::vector<SeenValue> EvidenceOfTick::agreeing(const Labels& key) const {
    std::vector<SeenValue> seen;
    for (const SeenValue& value : all_)
        if (agree(key, value.labels)) seen.push_back(value);
    return seen;
}

bool EvidenceOfTick::suffices(const SymptomEvidence& evidence, const std::vector<SeenValue>& seen) const {
    const auto& clear = symptom_->rule.clear;
    const Judged judged =
        judge_all(symptom_->rule.raise.expr, symptom_->raise_presence, clear ? &clear->expr : nullptr,
                  clear ? &*symptom_->clear_presence : nullptr, evidence, seen);
    const Judged before{evidence.raise_is, evidence.clear_is,
                        evidence.raise_is == Truth::yes ? std::optional(evidence.value) : std::nullopt};
    return judged == before;
}

void EvidenceOfTick::fill(SymptomEvidence& evidence) {
    look();
    evidence.seen = of_key(evidence.key);
    if (!suffices(evidence, evidence.seen)) evidence.seen = agreeing(evidence.key);
    if (!suffices(evidence, evidence.seen)) evidence.seen = all_;
    evidence.truncated = evidence.seen.size() > evidence_values_max;
    if (evidence.truncated) evidence.seen.resize(evidence_values_max);
}

} // namespace homeostat
