#include "adapters/cli/decision_json.hpp"

#include "policies/template.hpp"

#include <boost/json.hpp>

#include <cmath>

namespace homeostat::cli {

namespace json = boost::json;

json::value number(double value) {
    if (std::isfinite(value)) return value;
    return json::value(number_text(value));
}

json::object labels_json(const Labels& labels) {
    json::object object;
    for (const Label& label : labels.all()) object[label.name] = label.value;
    return object;
}

double seconds_json(Instant time) { return static_cast<double>(to_ms(time)) / 1000; }

namespace {

json::array seen_json(const std::vector<SeenValue>& seen) {
    json::array array;
    for (const SeenValue& s : seen)
        array.push_back(
            {{"expression", s.expression}, {"labels", labels_json(s.labels)}, {"value", number(s.value)}});
    return array;
}

json::object evidence_json(const SymptomEvidence& evidence) {
    return {{"symptom", evidence.symptom},
            {"labels", labels_json(evidence.key)},
            {"state", to_text(evidence.state)},
            {"at", seconds_json(evidence.at)},
            {"value", number(evidence.value)},
            {"raise", evidence.raise},
            {"clear", evidence.clear},
            {"raise_is", to_text(evidence.raise_is)},
            {"clear_is", to_text(evidence.clear_is)},
            {"clear_covered", evidence.clear_covered},
            {"seen", seen_json(evidence.seen)},
            {"truncated", evidence.truncated}};
}

json::value expectation_json(const std::optional<ExpectationEvidence>& expectation) {
    if (!expectation) return nullptr;
    return json::object{{"expect", expectation->expect},
                        {"is", to_text(expectation->is)},
                        {"seen", seen_json(expectation->seen)}};
}

json::object facts_json(const GateFacts& facts) {
    json::object object{{"now", seconds_json(facts.now)},
                        {"span", to_text(facts.span)},
                        {"count", facts.count},
                        {"limit", facts.limit},
                        {"obstacle", facts.obstacle}};
    if (facts.since) object["since"] = seconds_json(*facts.since);
    return object;
}

} // namespace

json::object symptom_json(const SymptomChange& change) {
    return {{"symptom", change.symptom},     {"labels", labels_json(change.key)},
            {"from", to_text(change.from)},  {"to", to_text(change.to)},
            {"value", number(change.value)}, {"severity", change.severity},
            {"summary", change.summary},     {"evidence", evidence_json(change.evidence)}};
}

json::object receipt_json(const Receipt& receipt) {
    json::array gates;
    for (const GateVerdict& gate : receipt.gates)
        gates.push_back({{"gate", gate.gate},
                         {"open", gate.open},
                         {"detail", gate.detail},
                         {"facts", facts_json(gate.facts)}});
    json::array symptoms;
    for (const SymptomEvidence& evidence : receipt.symptoms) symptoms.push_back(evidence_json(evidence));
    json::array lost;
    for (const LostAttribute& l : receipt.lost)
        lost.push_back({{"attribute", l.attribute}, {"winner", l.winner}});
    json::array transactions;
    for (const TransactionId id : receipt.transactions)
        transactions.push_back(static_cast<std::uint64_t>(id));
    return {{"receipt", receipt.id},
            {"adaptation", receipt.adaptation},
            {"labels", labels_json(receipt.key)},
            {"action", to_text(receipt.action)},
            {"enforcement", to_text(receipt.enforcement)},
            {"when", receipt.when},
            {"when_holds", receipt.when_holds},
            {"symptoms", std::move(symptoms)},
            {"expectation", expectation_json(receipt.expectation)},
            {"gates", std::move(gates)},
            {"lost", std::move(lost)},
            {"targets", json::value_from(receipt.targets)},
            {"sets", json::value_from(receipt.sets)},
            {"transactions", std::move(transactions)}};
}

json::object transaction_json(const PlannedTransaction& planned) {
    json::array steps;
    for (const Step& step : planned.transaction.steps) steps.push_back(json::value(to_text(step)));
    return {{"transaction", static_cast<std::uint64_t>(planned.transaction.id)},
            {"interface", planned.transaction.interface},
            {"steps", std::move(steps)},
            {"because", json::value_from(planned.because)}};
}

json::object outcome_json(const Outcome& outcome) {
    json::object object{{"transaction", static_cast<std::uint64_t>(outcome.id)},
                        {"interface", outcome.interface},
                        {"ok", outcome.ok},
                        {"error", outcome.error},
                        {"notes", json::value_from(outcome.notes)},
                        {"took_ns", outcome.took_ns},
                        {"done_monotonic_ns", outcome.done_monotonic_ns}};
    if (outcome.gap) object["gap"] = {{"ns", outcome.gap->ns}, {"covered", outcome.gap->covered}};
    if (outcome.actual.xdp)
        object["xdp"] = {{"program", outcome.actual.xdp->program},
                         {"mode", to_text(outcome.actual.xdp->mode)},
                         {"id", outcome.actual.xdp->program_id}};
    else
        object["xdp"] = nullptr;
    json::object tc;
    for (const auto& [direction, attached] : outcome.actual.tc)
        tc[to_text(direction)] = {{"program", attached.program}, {"id", attached.program_id}};
    object["tc"] = std::move(tc);
    return object;
}

} // namespace homeostat::cli
