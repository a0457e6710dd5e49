#include "tests/policies/script.hpp"

#include "knowledge/series_store.hpp"
#include "policies/contradictions.hpp"
#include "policies/promql/parser.hpp"
#include "policies/template.hpp"

#include <limits>
#include <sstream>
#include <stdexcept>

namespace homeostat::test {

Labels labels_of(std::string_view selector) {
    const auto expr = promql::parse(selector);
    const auto* parsed = expr ? std::get_if<promql::Selector>(&expr->node) : nullptr;
    if (parsed == nullptr) throw std::invalid_argument("no selector: " + std::string(selector));
    std::vector<Label> labels{{std::string(metric_name_label), parsed->metric_name}};
    for (const promql::Matcher& matcher : parsed->matchers) labels.push_back({matcher.label, matcher.value});
    return Labels(std::move(labels));
}

namespace {

double number_of(const std::string& word) {
    if (word == "stale") return stale_marker;
    if (word == "NaN") return std::numeric_limits<double>::quiet_NaN();
    std::size_t end = 0;
    const double number = std::stod(word, &end);
    if (end != word.size()) throw std::invalid_argument("no value: " + word);
    return number;
}

// "1+2x3", "7-2x3", "5x3" or "_x3".
void append_run(const std::string& word, std::size_t times_at, std::vector<std::optional<double>>& values) {
    const std::string what = word.substr(0, times_at);
    const int times = std::stoi(word.substr(times_at + 1));
    const std::size_t sign = what.find_first_of("+-", 1);
    const std::string start = what.substr(0, sign);
    const double step = sign == std::string::npos ? 0 : number_of(what.substr(sign));
    for (int i = 0; i <= times; ++i)
        values.push_back(start == "_" ? std::nullopt : std::optional(number_of(start) + i * step));
}

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

std::vector<std::optional<double>> values_of(std::string_view script) {
    std::vector<std::optional<double>> values;
    std::istringstream words{std::string(script)};
    for (std::string word; words >> word;) {
        if (const std::size_t times = word.find('x'); times != std::string::npos)
            append_run(word, times, values);
        else
            values.push_back(word == "_" ? std::nullopt : std::optional(number_of(word)));
    }
    return values;
}

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

void expect_no_contradictions(const Decisions& decisions) {
    std::string told;
    const auto take = [&](const std::string& of, const std::vector<std::string>& lines) {
        for (const std::string& line : lines) told += of + ": " + line + "\n";
    };
    for (const SymptomChange& change : decisions.symptoms)
        take("symptom " + change.symptom, contradictions(change.evidence));
    for (const Receipt& receipt : decisions.receipts) take(line_of(receipt), contradictions(receipt));
    if (!told.empty()) throw std::logic_error(told);
}

std::vector<std::string> play_script(const std::vector<ScriptedSeries>& script, Duration from, Duration step,
                                     const ScriptTick& tick) {
    std::vector<std::vector<std::optional<double>>> values;
    std::size_t steps = 0;
    for (const ScriptedSeries& series : script) {
        values.push_back(values_of(series.values));
        steps = std::max(steps, values.back().size());
    }
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < steps; ++i) {
        std::vector<std::pair<std::string, double>> samples;
        for (std::size_t s = 0; s < script.size(); ++s)
            if (i < values[s].size() && values[s][i]) samples.emplace_back(script[s].series, *values[s][i]);
        const Duration at = from + step * static_cast<Duration::rep>(i);
        for (const std::string& line : lines_of(tick(at, samples))) lines.push_back(to_text(at) + " " + line);
    }
    return lines;
}

} // namespace homeostat::test
