// explain: a decision in plain words, with what carried it out.
#include "engine/answering.hpp"
#include "policies/gates.hpp"
#include "policies/template.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

namespace homeostat {

namespace {

using Lines = std::vector<std::string>;

std::string_view said(Truth truth) {
    return truth == Truth::yes ? "holds" : truth == Truth::no ? "does not hold" : "has no data";
}

void tell_evidence(const SymptomEvidence& evidence, Lines& lines) {
    lines.push_back("  " + instance_text(evidence.symptom, evidence.key) + " was " +
                    std::string(to_text(evidence.state)) + " since " + to_text(evidence.at) + ", value " +
                    number_text(evidence.value));
    lines.push_back("    raise: " + evidence.raise + ": " + std::string(said(evidence.raise_is)));
    if (!evidence.clear.empty())
        lines.push_back("    clear: " + evidence.clear + ": " + std::string(said(evidence.clear_is)) +
                        (evidence.clear_covered ? "" : " (its windows are not covered yet)"));
    if (const std::string seen = seen_text(evidence.seen); !seen.empty())
        lines.push_back("    saw: " + seen + (evidence.truncated ? "; and more" : ""));
}

void tell_gates(const std::vector<GateVerdict>& gates, Instant at, Lines& lines) {
    std::string open;
    for (const GateVerdict& gate : gates)
        if (gate.open) open += (open.empty() ? "" : ", ") + gate.gate;
    if (!open.empty()) lines.push_back("  gates open: " + open);
    for (const GateVerdict& gate : gates)
        if (!gate.open) lines.push_back("  " + closed_text(gate, at));
}

void tell_transaction(const PlannedTransaction& planned, Lines& lines) {
    std::string because;
    for (const std::string& name : planned.because) because += (because.empty() ? "" : ", ") + name;
    lines.push_back("  transaction " + std::to_string(static_cast<std::uint64_t>(planned.transaction.id)) +
                    " on " + planned.transaction.interface + ": " + steps_text(planned.transaction.steps) +
                    " (because of " + because + ")");
}

void tell_outcome(const Outcome& outcome, Instant at, Lines& lines) {
    if (!outcome.ok) return lines.push_back("    failed at " + to_text(at) + ": " + outcome.error);
    const double took_ms = std::round(static_cast<double>(outcome.took_ns) / 1e3) / 1e3;
    std::string text = "    done at " + to_text(at) + " in " + number_text(took_ms) + " ms";
    if (outcome.actual.xdp)
        text += ": " + outcome.actual.xdp->program + " runs as program " +
                std::to_string(outcome.actual.xdp->program_id) + " in mode " +
                std::string(to_text(outcome.actual.xdp->mode));
    for (const auto& [direction, tc] : outcome.actual.tc)
        text += ", " + tc.program + " runs as program " + std::to_string(tc.program_id) + " at TC " +
                std::string(to_text(direction));
    for (const std::string& note : outcome.notes) text += "; " + note;
    lines.push_back(std::move(text));
}

// The transaction and its outcome; the outcome may be still to come.
void tell_carried_out(const Asked& asked, TransactionId id, Explanation& explanation) {
    const Decided* planned = nullptr;
    const Decided* ended = nullptr;
    for (const Decided& decided : asked.state.history.decided()) {
        if (const auto* t = std::get_if<PlannedTransaction>(&decided.what); t && t->transaction.id == id)
            planned = &decided;
        if (const auto* o = std::get_if<Outcome>(&decided.what); o && o->id == id) ended = &decided;
    }
    if (planned != nullptr) {
        tell_transaction(std::get<PlannedTransaction>(planned->what), explanation.lines);
        explanation.carried_out.push_back(*planned);
    }
    if (ended != nullptr) {
        tell_outcome(std::get<Outcome>(ended->what), ended->at, explanation.lines);
        explanation.carried_out.push_back(*ended);
    } else {
        explanation.lines.emplace_back("    still in flight");
    }
}

// What the receipt is to the settings that it names.
std::string_view verb_of(const Receipt& receipt) {
    using Action = Receipt::Action;
    const bool is_real = receipt.enforcement == Enforcement::enforce;
    if (receipt.action == Action::remove || receipt.action == Action::rollback)
        return is_real ? "takes away" : "would take away";
    const bool is_laid = receipt.action != Action::wait || !receipt.when_holds; // else it waits to be
    return is_real && is_laid ? "sets" : "would set";
}

Explanation explain_receipt(const Asked& asked, const Decided& decided) {
    const auto& receipt = std::get<Receipt>(decided.what);
    Explanation explanation{decided, {}, {}};
    Lines& lines = explanation.lines;
    lines.push_back("receipt " + std::to_string(receipt.id) + " of " + to_text(receipt.at) + ", generation " +
                    std::to_string(receipt.generation) + ": " + std::string(to_text(receipt.action)) + " " +
                    instance_text(receipt.adaptation, receipt.key) +
                    (receipt.enforcement == Enforcement::enforce
                         ? ""
                         : ", enforcement " + std::string(to_text(receipt.enforcement))));
    lines.push_back("  when: " + receipt.when + (receipt.when_holds ? ": held" : ": did not hold"));
    for (const SymptomEvidence& evidence : receipt.symptoms) tell_evidence(evidence, lines);
    tell_gates(receipt.gates, receipt.at, lines);
    for (const LostAttribute& lost : receipt.lost)
        lines.push_back("  lost " + lost.attribute + " to " + lost.winner);
    for (const std::string& set : receipt.sets)
        lines.push_back("  " + std::string(verb_of(receipt)) + " " + set);
    if (receipt.expectation) {
        const std::string seen = seen_text(receipt.expectation->seen);
        lines.push_back("  expected " + receipt.expectation->expect + ": " +
                        std::string(said(receipt.expectation->is)) + (seen.empty() ? "" : ", saw " + seen));
    }
    for (const TransactionId id : receipt.transactions) tell_carried_out(asked, id, explanation);
    return explanation;
}

Explanation explain_change(const Decided& decided) {
    const auto& change = std::get<SymptomChange>(decided.what);
    Explanation explanation{decided, {}, {}};
    explanation.lines.push_back("symptom " + instance_text(change.symptom, change.key) + " went from " +
                                std::string(to_text(change.from)) + " to " + std::string(to_text(change.to)) +
                                " at " + to_text(decided.at) + ", generation " +
                                std::to_string(decided.generation));
    if (!change.summary.empty()) explanation.lines.push_back("  " + change.severity + ": " + change.summary);
    tell_evidence(change.evidence, explanation.lines);
    return explanation;
}

std::optional<std::uint64_t> receipt_id(const std::string& text) {
    std::uint64_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return id;
}

std::string remembered_since(const Asked& asked) {
    return "the history begins at " + to_text(*asked.state.history.begins());
}

// The newest at or before the time that is asked about: one for each key, or where no selector asks for that,
// one.
template <class Decision> std::vector<const Decided*> newest_of(const Asked& asked, const Named& named) {
    std::map<Labels, const Decided*> by_key;
    const auto& all = asked.state.history.decided();
    for (auto it = all.rbegin(); it != all.rend() && (named.is_selective || by_key.empty()); ++it) {
        const auto* decision = std::get_if<Decision>(&it->what);
        if (decision == nullptr || it->at > asked.at) continue;
        std::string_view name;
        if constexpr (std::is_same_v<Decision, Receipt>)
            name = decision->adaptation;
        else
            name = decision->symptom;
        if (name == named.name && named.matches(decision->key)) by_key.try_emplace(decision->key, &*it);
    }
    std::vector<const Decided*> newest;
    for (const auto& [key, decided] : by_key) newest.push_back(decided);
    return newest;
}

} // namespace

void answer_explain(const Asked& asked, Answer& answer, Result<void>& result) {
    std::vector<Explanation> explanations;
    if (const auto id = receipt_id(asked.question.text)) {
        for (const Decided& decided : asked.state.history.decided())
            if (const auto* receipt = std::get_if<Receipt>(&decided.what); receipt && receipt->id == *id)
                explanations.push_back(explain_receipt(asked, decided));
        if (explanations.empty())
            return void(result = failure("there is no receipt " + std::to_string(*id) + ": " +
                                         remembered_since(asked) + ", the next receipt is " +
                                         std::to_string(asked.state.knowledge.next_receipt)));
        answer.what = std::move(explanations);
        return;
    }
    const auto named = parse_named(asked.question.text);
    if (!named) return void(result = std::unexpected(named.error()));
    const bool is_adaptation = find_adaptation(asked.policies(), named->name) != nullptr;
    if (!is_adaptation && find_symptom(asked.policies(), named->name) == nullptr)
        return void(result = unknown(
                        "adaptation or symptom", named->name,
                        concatenated(names_of_adaptations(asked.state), names_of_symptoms(asked.state))));
    for (const Decided* decided :
         is_adaptation ? newest_of<Receipt>(asked, *named) : newest_of<SymptomChange>(asked, *named))
        explanations.push_back(is_adaptation ? explain_receipt(asked, *decided) : explain_change(*decided));
    if (explanations.empty()) {
        const std::string unknown_labels = unknown_labels_text(asked, *named);
        return void(result = failure("nothing was decided about " + asked.question.text + ": " +
                                     (unknown_labels.empty()
                                          ? remembered_since(asked) + "; whynot tells what stands in its way"
                                          : unknown_labels)));
    }
    answer.what = std::move(explanations);
}

} // namespace homeostat
