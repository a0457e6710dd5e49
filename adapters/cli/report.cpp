#include "adapters/cli/report.hpp"

#include "policies/template.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace homeostat::cli {

namespace json = boost::json;

namespace {

// JSON knows no NaN and no infinity: those become text, as in Prometheus's API.
json::value number(double value) {
    if (std::isfinite(value)) return value;
    return json::value(number_text(value));
}

json::object labels_json(const Labels& labels) {
    json::object object;
    for (const Label& label : labels.all()) object[label.name] = label.value;
    return object;
}

json::array seen_json(const std::vector<SeenValue>& seen) {
    json::array array;
    for (const SeenValue& s : seen)
        array.push_back(
            {{"expression", s.expression}, {"labels", labels_json(s.labels)}, {"value", number(s.value)}});
    return array;
}

json::object begin(std::string_view type, Instant now, std::uint64_t generation) {
    return {{"type", type}, {"time", static_cast<double>(to_ms(now)) / 1000}, {"generation", generation}};
}

json::object evidence_json(const SymptomEvidence& evidence) {
    return {{"symptom", evidence.symptom},
            {"labels", labels_json(evidence.key)},
            {"state", to_text(evidence.state)},
            {"at", static_cast<double>(to_ms(evidence.at)) / 1000},
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
    json::object object{{"now", static_cast<double>(to_ms(facts.now)) / 1000},
                        {"span", to_text(facts.span)},
                        {"count", facts.count},
                        {"limit", facts.limit},
                        {"obstacle", facts.obstacle}};
    if (facts.since) object["since"] = static_cast<double>(to_ms(*facts.since)) / 1000;
    return object;
}

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
    if (outcome.actual.xdp)
        object["xdp"] = {{"program", outcome.actual.xdp->program},
                         {"mode", to_text(outcome.actual.xdp->mode)},
                         {"id", outcome.actual.xdp->program_id}};
    else
        object["xdp"] = nullptr;
    return object;
}

std::string joined(const std::vector<std::string>& parts) {
    std::string text;
    for (const std::string& part : parts) text += (text.empty() ? "" : "; ") + part;
    return text;
}

std::string closed_gates(const Receipt& receipt) {
    std::vector<std::string> closed;
    for (const GateVerdict& gate : receipt.gates)
        if (!gate.open) closed.push_back(gate.gate + " (" + gate.detail + ")");
    return joined(closed);
}

// Each value once: signals and symptoms may read the same ones.
std::string seen_text(const Receipt& receipt) {
    std::vector<std::string> parts;
    const auto add = [&](const std::vector<SeenValue>& seen) {
        for (const SeenValue& s : seen) {
            std::string part = s.expression + " = " + number_text(s.value);
            if (std::ranges::find(parts, part) == parts.end()) parts.push_back(std::move(part));
        }
    };
    for (const SymptomEvidence& evidence : receipt.symptoms) add(evidence.seen);
    if (receipt.expectation) add(receipt.expectation->seen);
    return joined(parts);
}

LogLine symptom_line(const SymptomChange& change) {
    const bool raised = change.to == SymptomState::raised;
    std::string text = "symptom " + change.symptom + to_text(change.key) + ": " +
                       std::string(to_text(change.from)) + " -> " + std::string(to_text(change.to));
    if (raised && !change.summary.empty()) text += " [" + change.severity + "] " + change.summary;
    return {raised ? LogLine::Level::warning : LogLine::Level::info, std::move(text)};
}

LogLine receipt_line(const Receipt& receipt) {
    std::string text = "receipt " + std::to_string(receipt.id) + ": " + std::string(to_text(receipt.action)) +
                       " " + receipt.adaptation + to_text(receipt.key);
    if (receipt.enforcement != Enforcement::enforce)
        text += " [" + std::string(to_text(receipt.enforcement)) + "]";
    if (const std::string closed = closed_gates(receipt); !closed.empty())
        text += (receipt.action == Receipt::Action::wait ? ", held by " : ", because of ") + closed;
    for (const LostAttribute& lost : receipt.lost) text += ", loses " + lost.attribute + " to " + lost.winner;
    if (receipt.action == Receipt::Action::apply) text += ", sets " + joined(receipt.sets);
    if (const std::string seen = seen_text(receipt); !seen.empty()) text += ", saw " + seen;
    // Neither is what its policy asks for.
    const bool is_held =
        receipt.action == Receipt::Action::wait || receipt.action == Receipt::Action::rollback;
    return {is_held ? LogLine::Level::warning : LogLine::Level::info, std::move(text)};
}

LogLine transaction_line(const PlannedTransaction& planned) {
    std::string text = "transaction " + std::to_string(static_cast<std::uint64_t>(planned.transaction.id)) +
                       " on " + planned.transaction.interface + ": ";
    for (std::size_t i = 0; i < planned.transaction.steps.size(); ++i)
        text += (i == 0 ? "" : ", ") + to_text(planned.transaction.steps[i]);
    return {LogLine::Level::info, std::move(text)};
}

LogLine outcome_line(const Outcome& outcome) {
    std::string text = "transaction " + std::to_string(static_cast<std::uint64_t>(outcome.id)) + " on " +
                       outcome.interface + ": ";
    if (!outcome.ok) return {LogLine::Level::error, text + "failed: " + outcome.error};
    text += "done in " + fmt::format("{:.3f}", static_cast<double>(outcome.took_ns) / 1e6) + " ms";
    if (outcome.actual.xdp)
        text += ", " + outcome.actual.xdp->program + " runs as program " +
                std::to_string(outcome.actual.xdp->program_id) + " in mode " +
                std::string(to_text(outcome.actual.xdp->mode));
    for (const std::string& note : outcome.notes) text += "; " + note;
    return {outcome.notes.empty() ? LogLine::Level::info : LogLine::Level::warning, std::move(text)};
}

} // namespace

std::vector<LogLine> log_lines(const Decisions& decisions) {
    std::vector<LogLine> lines;
    for (const std::string& message : decisions.messages) lines.push_back({LogLine::Level::warning, message});
    for (const Outcome& outcome : decisions.outcomes) lines.push_back(outcome_line(outcome));
    for (const SymptomChange& change : decisions.symptoms) lines.push_back(symptom_line(change));
    for (const Receipt& receipt : decisions.receipts) lines.push_back(receipt_line(receipt));
    for (const PlannedTransaction& planned : decisions.transactions)
        lines.push_back(transaction_line(planned));
    return lines;
}

std::vector<std::string> json_lines(const Decisions& decisions) {
    std::vector<std::string> lines;
    const auto add = [&](std::string_view type, json::object body) {
        json::object object = begin(type, decisions.now, decisions.generation);
        for (auto& [key, value] : body) object[key] = std::move(value);
        lines.push_back(json::serialize(object));
    };
    for (const std::string& message : decisions.messages) add("message", {{"text", message}});
    for (const Outcome& outcome : decisions.outcomes) add("outcome", outcome_json(outcome));
    for (const SymptomChange& change : decisions.symptoms) add("symptom", symptom_json(change));
    for (const Receipt& receipt : decisions.receipts) add("receipt", receipt_json(receipt));
    for (const PlannedTransaction& planned : decisions.transactions)
        add("transaction", transaction_json(planned));
    return lines;
}

std::string signals_json(const EngineState& state, Instant now) {
    json::array values;
    const SeriesStore& store = state.knowledge.series;
    for (const SignalRule& signal : state.generation->policies.signals)
        for (const SeriesId id : store.named(signal.name.text))
            if (const auto point = store.newest(id, now, state.generation->limits.lookback))
                values.push_back({{"signal", signal.name.text},
                                  {"labels", labels_json(store.labels_without_name(id))},
                                  {"value", number(point->value)}});
    json::object object = begin("signals", now, state.generation->number);
    object["values"] = std::move(values);
    return json::serialize(object);
}

std::string ready_json(const Generation& generation, Instant now) {
    return json::serialize(begin("ready", now, generation.number));
}

} // namespace homeostat::cli
