#include "adapters/cli/report.hpp"

#include "adapters/cli/decision_json.hpp"
#include "knowledge/overloaded.hpp"
#include "knowledge/text.hpp"
#include "policies/template.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace homeostat::cli {

namespace json = boost::json;

namespace {

json::object begin(std::string_view type, Instant now, std::uint64_t generation) {
    return {{"type", type}, {"time", seconds_json(now)}, {"generation", generation}};
}

std::string closed_gates(const Receipt& receipt) {
    std::vector<std::string> closed;
    for (const GateVerdict& gate : receipt.gates)
        if (!gate.open) closed.push_back(gate.gate + " (" + gate.detail + ")");
    return joined(closed, "; ");
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
    return joined(parts, "; ");
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
    if (receipt.action == Receipt::Action::apply) text += ", sets " + joined(receipt.sets, "; ");
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
    for (const auto& [direction, tc] : outcome.actual.tc)
        text += ", " + tc.program + " runs as program " + std::to_string(tc.program_id) + " at TC " +
                std::string(to_text(direction));
    for (const std::string& note : outcome.notes) text += "; " + note;
    return {outcome.notes.empty() ? LogLine::Level::info : LogLine::Level::warning, std::move(text)};
}

} // namespace

LogLine log_line(const Decided& decided) {
    return std::visit(
        Overloaded{[](const SymptomChange& change) { return symptom_line(change); },
                   [](const Receipt& receipt) { return receipt_line(receipt); },
                   [](const PlannedTransaction& planned) { return transaction_line(planned); },
                   [](const Outcome& outcome) { return outcome_line(outcome); },
                   [](const std::string& message) { return LogLine{LogLine::Level::warning, message}; }},
        decided.what);
}

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
