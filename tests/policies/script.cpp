#include "tests/policies/script.hpp"

#include "policies/contradictions.hpp"
#include "policies/promql/series_notation.hpp"

#include <stdexcept>

namespace homeostat::test {

Labels labels_of(std::string_view selector) {
    auto labels = promql::parse_series(selector);
    if (!labels) throw std::invalid_argument("no series: " + std::string(selector));
    return std::move(*labels);
}

std::vector<std::optional<double>> values_of(std::string_view script) {
    auto values = promql::parse_series_values(script);
    if (!values) throw std::invalid_argument(values.error().what);
    return std::move(*values);
}

void expect_no_contradictions(const Decisions& decisions) {
    std::string told;
    const auto take = [&](const std::string& of, const std::vector<std::string>& lines) {
        for (const std::string& line : lines) told += of + ": " + line + "\n";
    };
    for (const SymptomChange& change : decisions.symptoms)
        take("symptom " + change.symptom, contradictions(change.evidence));
    for (const Receipt& receipt : decisions.receipts)
        take("receipt " + std::to_string(receipt.id), contradictions(receipt));
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
