#include "tests/engine/scenario.hpp"

#include "engine/check.hpp"
#include "engine/config.hpp"

#include <algorithm>
#include <stdexcept>

namespace homeostat::test {

namespace {

constexpr Instant start = at_ms(1'000'000'000'000);

std::string with_lines(std::string_view config, const std::vector<std::string>& lines) {
    std::string text(config);
    for (const std::string& line : lines) text += line + "\n";
    return text;
}

} // namespace

GenerationPtr generation_of(const std::vector<std::string>& policies, std::uint64_t number,
                            std::string_view config_text) {
    Diagnostics diagnostics;
    const auto config = read_config(config_text, "config.toml", diagnostics);
    GenerationPtr generation;
    if (config) {
        std::vector<PolicyDocument> documents;
        for (const std::string& policy : policies)
            documents.push_back(read_policy("version = 1\n" + policy, "policy.toml", diagnostics));
        generation = make_generation(*config, std::move(documents), {}, number, diagnostics);
    }
    std::string mistakes;
    for (const Diagnostic& diagnostic : diagnostics) mistakes += to_text(diagnostic) + "\n";
    if (!generation) throw std::invalid_argument(mistakes);
    return generation;
}

Scenario::Scenario(const std::vector<std::string>& policies, ScenarioOptions options)
    : state(generation_of(policies, 1, with_lines(small_config, options.config_changes))),
      options_(std::move(options)) {
    next_.observed = kernel.read_back();
}

void Scenario::reload(const std::vector<std::string>& policies) {
    next_.reload = generation_of(policies, state.generation->number + 1,
                                 with_lines(small_config, options_.config_changes));
}

void Scenario::link(const std::string& interface, bool present) {
    next_.readings.links.push_back({.interface = interface, .present = present, .up = present, .index = 1});
}

SampleBatch Scenario::batch(Instant now, std::vector<std::pair<std::string, double>> samples) {
    SampleBatch read;
    read.time = now;
    read.error = std::exchange(sensor_error_, "");
    if (!read.error.empty()) return read;
    if (options_.backwards) std::ranges::reverse(samples);
    for (const auto& [series, value] : samples) {
        const auto known = std::ranges::find(series_, series);
        const auto local = static_cast<std::uint32_t>(known - series_.begin());
        if (known == series_.end()) {
            series_.push_back(series);
            read.defined.push_back({local, labels_of(series)});
        }
        if (is_stale(value))
            read.ended.push_back(local);
        else
            read.samples.push_back({local, value});
    }
    return read;
}

Decisions Scenario::tick(Duration at, const std::vector<std::pair<std::string, double>>& samples) {
    return tick(at, true, samples);
}

Decisions Scenario::urgent_tick(Duration at, const std::vector<std::pair<std::string, double>>& samples) {
    return tick(at, false, samples);
}

void Scenario::hold_outcomes(bool held) {
    is_holding_ = held;
    if (!held) next_.outcomes = std::exchange(held_, {});
}

Decisions Scenario::tick(Duration at, bool periodic,
                         const std::vector<std::pair<std::string, double>>& samples) {
    now_ = start + at;
    Inputs inputs = std::exchange(next_, Inputs{});
    inputs.now = now_;
    inputs.periodic = periodic;
    inputs.readings.batches.push_back(batch(now_, samples));
    const Decisions decisions = homeostat::tick(state, inputs);
    expect_no_contradictions(decisions);
    for (const PlannedTransaction& planned : decisions.transactions)
        (is_holding_ ? held_ : next_.outcomes).push_back(datapath_.apply(planned.transaction));
    history.push_back(decisions);
    return decisions;
}

std::vector<std::string> Scenario::play(const std::vector<ScriptedSeries>& script, Duration from,
                                        Duration step) {
    return play_script(script, from, step,
                       [this](Duration at, const auto& samples) { return tick(at, samples); });
}

std::optional<double> Scenario::value(const std::string& series) const {
    const SeriesStore& store = state.knowledge.series;
    const Labels labels = labels_of(series);
    for (const SeriesId id : store.named(labels.metric_name())) {
        if (store.labels(id) != labels) continue;
        const auto point = store.newest(id, now_, std::chrono::minutes{5});
        return point ? std::optional(point->value) : std::nullopt;
    }
    return std::nullopt;
}

} // namespace homeostat::test
