// Evidence: the values that a symptom's conditions saw, as few as suffice to judge one key again.
#pragma once

#include "knowledge/receipt.hpp"
#include "policies/policy_set.hpp"
#include "policies/promql/evaluate.hpp"

#include <cstddef>
#include <optional>
#include <unordered_map>
#include <vector>

namespace homeostat {

// More values than these are not carried: the evidence is marked as truncated.
inline constexpr std::size_t evidence_values_max = 10'000;

// What the conditions of a symptom say of one key.
struct Judged {
    Truth raise = Truth::missing;
    Truth clear = Truth::missing;  // also where raise is true, where there is no clear, or it is not covered
    std::optional<double> value{}; // of raise, where it is true

    friend bool operator==(const Judged& a, const Judged& b); // values bit for bit
};

// Judges the evidence's key by its texts and values alone. Fails where a text is no expression.
Result<Judged> judge_again(const SymptomEvidence& evidence);

// What the conditions of one symptom saw at one instant; looked at once, whatever the number of keys.
class EvidenceOfTick {
  public:
    EvidenceOfTick(const Symptom& symptom, const SeriesStore& store, Instant now,
                   const promql::EvalOptions& options)
        : symptom_(&symptom), store_(&store), now_(now), options_(options) {}

    // Fills `seen` and `truncated` of evidence that is complete otherwise: with the values of the key alone
    // where they suffice to judge it as it was judged, else with those that agree with the key, else with
    // all.
    void fill(SymptomEvidence& evidence);

  private:
    void look();
    void look_at(const promql::Expr& expr);
    std::vector<SeenValue> of_key(const Labels& key) const;
    std::vector<SeenValue> agreeing(const Labels& key) const;
    bool suffices(const SymptomEvidence& evidence, const std::vector<SeenValue>& seen) const;

    const Symptom* symptom_;
    const SeriesStore* store_;
    Instant now_;
    promql::EvalOptions options_;
    bool looked_ = false;
    std::vector<SeenValue> all_; // each selector and call once, in the order of evaluation
    std::unordered_map<Labels, std::vector<std::size_t>, LabelsHash> by_key_; // places; never iterated
};

} // namespace homeostat
