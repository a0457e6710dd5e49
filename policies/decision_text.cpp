#include "policies/decision_text.hpp"

#include "policies/template.hpp"

namespace homeostat {

namespace {

std::string gates_text(const std::vector<GateVerdict>& gates) {
    std::string text;
    for (const GateVerdict& gate : gates)
        if (!gate.open) text += (text.empty() ? "" : "; ") + gate.gate + " closed: " + gate.detail;
    return text;
}

std::string line_of(const Receipt& receipt) {
    std::string line(to_text(receipt.action));
    if (receipt.enforcement != Enforcement::enforce)
        line += " (" + std::string(to_text(receipt.enforcement)) + ")";
    line += " " + receipt.adaptation + to_text(receipt.key);
    if (const std::string closed = gates_text(receipt.gates); !closed.empty()) line += ": " + closed;
    for (const LostAttribute& lost : receipt.lost) line += ", lost " + lost.attribute + " to " + lost.winner;
    return line;
}

std::string line_of(const PlannedTransaction& planned) {
    std::string line = planned.transaction.interface + ": ";
    for (std::size_t i = 0; i < planned.transaction.steps.size(); ++i)
        line += (i == 0 ? "" : ", then ") + to_text(planned.transaction.steps[i]);
    line += " (because ";
    for (std::size_t i = 0; i < planned.because.size(); ++i)
        line += (i == 0 ? "" : ", ") + planned.because[i];
    return line + ")";
}

} // namespace

std::vector<std::string> lines_of(const Decisions& decisions) {
    std::vector<std::string> lines;
    for (const SymptomChange& change : decisions.symptoms)
        lines.push_back(change.symptom + to_text(change.key) + ": " + std::string(to_text(change.from)) +
                        " -> " + std::string(to_text(change.to)) + " (" + number_text(change.value) + ")");
    for (const Receipt& receipt : decisions.receipts) lines.push_back(line_of(receipt));
    for (const PlannedTransaction& planned : decisions.transactions) lines.push_back(line_of(planned));
    for (const Outcome& outcome : decisions.outcomes)
        lines.push_back(outcome.interface + (outcome.ok ? ": done" : ": failed: " + outcome.error));
    for (const std::string& message : decisions.messages) lines.push_back("message: " + message);
    return lines;
}

} // namespace homeostat
