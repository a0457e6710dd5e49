#include "tests/policies/policy_run.hpp"

#include <algorithm>
#include <stdexcept>

namespace homeostat::test {

namespace {

constexpr Instant start = at_ms(1'000'000'000'000);

} // namespace

DesiredState two_interfaces() {
    const DesiredInterface counting{.program = "counter", .ladder = {XdpMode::drv}, .entries = {}};
    return {{"eth0", counting}, {"eth1", counting}};
}

PolicySet policies_of(std::string_view toml) {
    Diagnostics diagnostics;
    std::vector<PolicyDocument> documents;
    documents.push_back(read_policy("version = 1\n" + std::string(toml), "policy.toml", diagnostics));
    PolicySet policies = make_policy_set(std::move(documents), nullptr, diagnostics);
    std::string mistakes;
    for (const Diagnostic& diagnostic : diagnostics) mistakes += to_text(diagnostic) + "\n";
    if (!mistakes.empty()) throw std::invalid_argument(mistakes);
    return policies;
}

PolicyRun::PolicyRun(std::string_view toml) : policies(policies_of(toml)) {}

void PolicyRun::reload(std::string_view toml) {
    policies = policies_of(toml);
    changed_ = true;
}

void PolicyRun::adopt() {
    knowledge.series.set_retention([this](const Labels& labels) { return policies.history_for(labels); });
    if (last_ >= Duration{0}) return;
    for (const Symptom& symptom : policies.symptoms)
        knowledge.symptoms[symptom.rule.name.text].covered_from = start;
}

Decisions PolicyRun::tick(Duration at, const std::vector<std::pair<std::string, double>>& samples) {
    const Instant now = start + at;
    if (changed_) adopt();
    for (const auto& [series, value] : samples)
        if (!knowledge.series.append(knowledge.series.define(labels_of(series)).value(), now, value))
            throw std::invalid_argument("not newer: " + series);
    Decisions decisions;
    decisions.now = now;
    record_signals(policies, knowledge, now, analyze, decisions);
    advance_symptoms(policies, knowledge, now, true, analyze, decisions);
    plan_overlays(policies, baseline, knowledge, now, plan, changed_, decisions);
    changed_ = false;
    last_ = at;
    expect_no_contradictions(decisions);
    return decisions;
}

std::vector<std::string> PolicyRun::play(const std::vector<ScriptedSeries>& script, Duration step) {
    return play_script(script, Duration{0}, step,
                       [this](Duration at, const auto& samples) { return tick(at, samples); });
}

SymptomState PolicyRun::state(const std::string& symptom, const std::string& key) const {
    const auto memory = knowledge.symptoms.find(symptom);
    if (memory == knowledge.symptoms.end()) return SymptomState::inactive;
    const auto instance = memory->second.instances.find(labels_of(key));
    return instance == memory->second.instances.end() ? SymptomState::inactive : instance->second.state;
}

bool PolicyRun::active(const std::string& adaptation, const std::string& key) const {
    const auto memory = knowledge.adaptations.find(adaptation);
    if (memory == knowledge.adaptations.end()) return false;
    const auto instance = memory->second.instances.find(labels_of(key));
    return instance != memory->second.instances.end() && instance->second.active;
}

std::vector<std::string> decisions_of(std::string_view toml, const std::vector<ScriptedSeries>& script,
                                      Duration step) {
    return PolicyRun(toml).play(script, step);
}

} // namespace homeostat::test
