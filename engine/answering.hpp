// What the answers to all kinds of questions are made with; only for their own files.
#pragma once

#include "engine/questions.hpp"
#include "policies/promql/ast.hpp"

#include <functional>
#include <string>
#include <vector>

namespace homeostat {

// One question being answered.
struct Asked {
    const EngineState& state;
    const Question& question;
    const QuestionLimits& limits;
    Instant now; // of the last tick
    Instant at;  // that is asked about

    bool is_past() const { return at < now; }
    const PolicySet& policies() const { return state.generation->policies; }
    promql::EvalOptions evaluation() const;
};

// NAME or NAME{label="value"}.
struct Named {
    std::string name;
    std::vector<promql::Matcher> matchers;
    bool is_selective = false; // has braces

    bool matches(const Labels& key) const;
    Labels labels() const; // that it demands by equality
};
Result<Named> parse_named(const std::string& text);

// Says which of the labels that are asked for none of the name's instances has, and which there are; "" where
// there are none such.
std::string unknown_labels_text(const Asked& asked, const Named& named);

// Names what was not found, and what may have been meant.
std::unexpected<Error> unknown(const std::string& what, const std::string& name,
                               const std::vector<std::string>& known);
std::vector<std::string> names_of_adaptations(const EngineState& state);
std::vector<std::string> names_of_symptoms(const EngineState& state);
std::vector<std::string> names_of_signals(const EngineState& state);
template <class T> std::vector<T> concatenated(std::vector<T> a, const std::vector<T>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

// "guard{iface="eth0"}", and "guard" for the empty key.
std::string instance_text(const std::string& name, const Labels& key);
// "rate(pps[1s]) of {iface="eth0"} = 10", each once.
std::string seen_text(const std::vector<SeenValue>& seen);
std::string steps_text(const std::vector<Step>& steps);
// ", 3s left"; "" where nothing is.
std::string left_text(Instant until, Instant now);
// "gate cooldown is closed: it was removed lately (until …, 3s left)"
std::string closed_text(const GateVerdict& gate, Instant now);

void answer_eval(const Asked& asked, Answer& answer, Result<void>& result);
void answer_explain(const Asked& asked, Answer& answer, Result<void>& result);
void answer_whynot(const Asked& asked, Answer& answer, Result<void>& result);

// Why a symptom is not raised for the keys that `concerns` names, or since when it is.
std::vector<WhyNot> why_not_raised(const Asked& asked, const Symptom& symptom,
                                   const std::function<bool(const Labels&)>& concerns);

} // namespace homeostat
