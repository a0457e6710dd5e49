#include "policies/contradictions.hpp"

#include "knowledge/memory.hpp"
#include "policies/evidence.hpp"
#include "policies/gates.hpp"
#include "policies/promql/parser.hpp"
#include "policies/verification.hpp"
#include "policies/when.hpp"

#include <iterator>
#include <map>

namespace homeostat {

namespace {

// `when` over symptoms of which nothing is known but this evidence.
Result<bool> holds_again(const Receipt& receipt) {
    const auto when = parse_when(receipt.when);
    if (!when) return std::unexpected(when.error());
    std::map<std::string, SymptomMemory> symptoms;
    for (const SymptomEvidence& evidence : receipt.symptoms)
        symptoms[evidence.symptom].instances[evidence.key].state = evidence.state;
    return holds(*when, receipt.key, symptoms);
}

std::string unlike(const std::string& what, std::string_view is, std::string_view again) {
    return what + " is '" + std::string(is) + "', but what it saw makes it '" + std::string(again) + "'";
}

} // namespace

std::vector<std::string> contradictions(const SymptomEvidence& evidence) {
    std::vector<std::string> found;
    if (evidence.truncated) return found;
    const std::string name = "symptom " + evidence.symptom + to_text(evidence.key);
    const auto judged = judge_again(evidence);
    if (!judged) return {name + ": " + judged.error().what};
    if (judged->raise != evidence.raise_is)
        found.push_back(unlike(name + ": raise", to_text(evidence.raise_is), to_text(judged->raise)));
    if (judged->clear != evidence.clear_is)
        found.push_back(unlike(name + ": clear", to_text(evidence.clear_is), to_text(judged->clear)));
    return found;
}

std::vector<std::string> contradictions(const Receipt& receipt) {
    std::vector<std::string> found;
    for (const SymptomEvidence& evidence : receipt.symptoms)
        std::ranges::move(contradictions(evidence), std::back_inserter(found));
    const auto truth = [](bool b) { return b ? "yes" : "no"; };
    if (const auto again = holds_again(receipt); !again)
        found.push_back("when: " + again.error().what);
    else if (*again != receipt.when_holds)
        found.push_back(unlike("when", truth(receipt.when_holds), truth(*again)));
    for (const GateVerdict& verdict : receipt.gates) {
        const GateTraits* gate = find_gate(verdict.gate);
        if (gate == nullptr)
            found.push_back("there is no gate " + verdict.gate);
        else if (const GateVerdict again = judge(gate->gate, verdict.facts); again != verdict)
            found.push_back(unlike("gate " + verdict.gate, verdict.detail, again.detail));
    }
    if (receipt.expectation)
        if (const Truth again = judge_again(*receipt.expectation, receipt.at);
            again != receipt.expectation->is)
            found.push_back(unlike("expect", to_text(receipt.expectation->is), to_text(again)));
    return found;
}

} // namespace homeostat
