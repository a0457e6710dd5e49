// The result of a condition by key. Internal to this folder.
#pragma once

#include "knowledge/error.hpp"
#include "knowledge/labels.hpp"
#include "policies/promql/evaluate.hpp"

namespace homeostat {

// A condition's result by key: the labels without the metric name, sorted.
class ByKey {
  public:
    // Fails where two samples have one key, or where there is no vector.
    static Result<ByKey> from(Result<promql::Value> value);

    const promql::Vector& samples() const { return samples_; }
    const promql::Sample* find(const Labels& key) const;

  private:
    promql::Vector samples_;
};

} // namespace homeostat
