// Which labels the samples of an expression's result can have, known before there is any sample. Pure.
#pragma once

#include "policies/promql/ast.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace homeostat::promql {

struct LabelRange {
    bool always = false;                         // every sample has it
    std::optional<std::set<std::string>> values; // that it can have; none: any
    bool also_numbers = false;                   // beside `values`: an enum shows a number it has no word for

    bool operator==(const LabelRange&) const = default;
    bool can_be(const std::string& value) const;
};

// Without the metric name.
struct ResultLabels {
    std::map<std::string, LabelRange> labels;
    bool open = false; // samples may have other labels too

    bool operator==(const ResultLabels&) const = default;
    bool never_has(const std::string& label) const { return !open && !labels.contains(label); }
    bool always_has(const std::string& label) const;
    LabelRange range(const std::string& label) const; // any value, where nothing is known
};

// What is known of a metric: its series are of one of these shapes.
enum class MetricKind { unknown, counter, gauge, state }; // state: 0 or 1

struct MetricSchema {
    std::vector<ResultLabels> shapes; // empty: nothing is known of its labels
    MetricKind kind = MetricKind::unknown;
};

using Schema = std::map<std::string, MetricSchema, std::less<>>; // a metric that it lacks is unknown

// Holds for every result. A part that can have no sample counts as unknown, so that one mistake does not look
// like many.
ResultLabels labels_of_result(const Expr& expr, const Schema& schema);

// The shapes' union: what holds of a sample that is of any of them.
ResultLabels any_of(const std::vector<ResultLabels>& shapes);

// Those of a selector's series, with what its matchers leave of them; none where they leave nothing.
std::vector<ResultLabels> shapes_of(const Selector& selector, const Schema& schema);

// What of the labels takes part in the matching of two vectors.
bool takes_part(const VectorMatching& matching, const std::string& label);

// A label that keeps two samples from ever matching; none where they may.
std::optional<std::string> mismatch(const VectorMatching& matching, const ResultLabels& left,
                                    const ResultLabels& right);

// What the kind of a result's samples is: a counter keeps its kind through filters and signals.
MetricKind kind_of_result(const Expr& expr, const Schema& schema);

} // namespace homeostat::promql
