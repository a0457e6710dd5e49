#include "engine/policy_test/check_case.hpp"

#include "engine/policy_test/evidence_text.hpp"
#include "knowledge/text.hpp"
#include "policies/gates.hpp"
#include "policies/interface_settings.hpp"
#include "policies/promql/evaluate.hpp"
#include "policies/template.hpp"

#include <algorithm>
#include <cmath>

namespace homeostat::policy_test {

// A case after one of its ticks.
struct CaseCheck::Moment {
    Duration now;
    Instant instant;
    const EngineState& state;
    const ActualState& actual;

    Result<promql::Vector> ask(const promql::Expr& expr) const {
        auto value = promql::evaluate(expr, state.knowledge.series, instant,
                                      {.lookback = state.generation->limits.lookback});
        if (!value) return std::unexpected(value.error());
        return std::get<promql::Vector>(std::move(*value));
    }
};

namespace {

std::string joined_or(const std::vector<std::string>& words, const std::string& none) {
    return words.empty() ? none : joined(words);
}

bool same_value(double a, double b) {
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
    constexpr double relative = 1e-9;
    return a == b || std::abs(a - b) <= relative * std::max(std::abs(a), std::abs(b));
}

std::string samples_text(const std::vector<std::pair<Labels, double>>& samples) {
    std::vector<std::string> words;
    for (const auto& [labels, value] : samples) words.push_back(to_text(labels) + " = " + number_text(value));
    return joined_or(words, "no sample");
}

std::string entries_text(const std::map<std::string, MapValue>& entries) {
    std::vector<std::string> words;
    for (const auto& [key, value] : entries) words.push_back(key + " = " + value_text(value));
    return joined_or(words, "no entries");
}

bool is_decisive(Receipt::Action action) {
    return action != Receipt::Action::wait && action != Receipt::Action::arbitrate;
}

// Two lists side by side: what is only in the expected one with '-', only in the other with '+'.
std::vector<std::string> difference(const std::vector<std::string>& expected,
                                    const std::vector<std::string>& actual,
                                    const std::function<bool(std::size_t, std::size_t)>& same) {
    const std::size_t n = expected.size();
    const std::size_t m = actual.size();
    std::vector<std::vector<std::size_t>> common(n + 1, std::vector<std::size_t>(m + 1));
    for (std::size_t i = n; i-- > 0;)
        for (std::size_t j = m; j-- > 0;)
            common[i][j] =
                same(i, j) ? common[i + 1][j + 1] + 1 : std::max(common[i + 1][j], common[i][j + 1]);
    std::vector<std::string> lines;
    for (std::size_t i = 0, j = 0; i < n || j < m;)
        if (i < n && j < m && same(i, j))
            lines.push_back("  " + actual[j]), ++i, ++j;
        else if (j == m || (i < n && common[i + 1][j] >= common[i][j + 1]))
            lines.push_back("- " + expected[i++]);
        else
            lines.push_back("+ " + actual[j++]);
    return lines;
}

DesiredInterface as_desired(const ActualInterface& actual) {
    DesiredInterface seen;
    if (actual.xdp) {
        seen.program = actual.xdp->program;
        seen.ladder = {actual.xdp->mode};
    }
    seen.entries = actual.entries;
    for (const auto& [direction, attached] : actual.tc) seen.tc.emplace(direction, attached.program);
    return seen;
}

} // namespace

CaseCheck::CaseCheck(const PolicyTest& test, const TestCase& test_case)
    : test_(test), case_(test_case), settled_(test_case.expectations.size()),
      broken_(test_case.invariants.size()), changes_(test_case.invariants.size()) {}

void CaseCheck::add(Finding finding) { findings_.push_back(std::move(finding)); }

void CaseCheck::see(Duration now, std::optional<Duration> next, const Simulation& simulation,
                    const Decisions& decisions) {
    ticks_.push_back(now);
    for (const Receipt& receipt : decisions.receipts)
        if (is_decisive(receipt.action))
            decisions_.push_back({now, receipt.action, receipt.adaptation, receipt.key});
    for (const std::string& message : decisions.messages) messages_.emplace_back(now, message);
    for (std::size_t i = 0; i < case_.invariants.size(); ++i)
        for (const PlannedTransaction& planned : decisions.transactions) {
            const Invariant& invariant = case_.invariants[i];
            if (now >= invariant.from && (!invariant.until || now <= *invariant.until))
                ++changes_[i][planned.transaction.interface];
        }
    const Moment moment{now, decisions.now, simulation.state(), simulation.actual()};
    for (std::size_t i = 0; i < case_.expectations.size(); ++i) {
        const Expectation& expectation = case_.expectations[i];
        if (settled_[i]) continue;
        const bool is_time = expectation.is_range
                                 ? expectation.from <= now && now <= expectation.until
                                 : now <= expectation.from && (!next || expectation.from < *next);
        if (!is_time) continue;
        const std::size_t before = findings_.size();
        judge(expectation, moment);
        settled_[i] = !expectation.is_range || findings_.size() > before;
    }
    for (std::size_t i = 0; i < case_.invariants.size(); ++i) judge_invariant(i, moment);
}

void CaseCheck::finish() {
    const Duration last = ticks_.empty() ? Duration{0} : ticks_.back();
    for (const Expectation& expectation : case_.expectations) {
        judge_decisions(expectation, last);
        judge_messages(expectation, last);
        const auto [from, until] = range_of(expectation, last);
        if (std::ranges::none_of(ticks_, [&](Duration t) { return from <= t && t <= until; }))
            add({.at = expectation.at,
                 .time = from,
                 .what = "the range of this expectation",
                 .expected = "a tick from " + to_text(from) + " until " + to_text(until),
                 .actual = "the last tick was at " + to_text(last),
                 .evidence = {}});
    }
}

void CaseCheck::judge(const Expectation& expectation, const Moment& moment) {
    judge_symptoms(expectation, moment);
    judge_active(expectation, moment);
    judge_waits(expectation, moment);
    judge_interfaces(expectation, moment);
    judge_evaluations(expectation, moment);
    for (const Condition& condition : expectation.holds)
        judge_samples(condition, true, "holds", expectation.at, moment);
    for (const Condition& condition : expectation.empty)
        judge_samples(condition, false, "empty", expectation.at, moment);
}

void CaseCheck::judge_symptoms(const Expectation& expectation, const Moment& moment) {
    for (const ExpectedState& expected : expectation.symptoms) {
        bool met = expected.state == SymptomState::inactive;
        std::vector<std::string> seen;
        const auto memory = moment.state.knowledge.symptoms.find(expected.instance.name);
        if (memory != moment.state.knowledge.symptoms.end()) {
            bool is_any = false;
            bool all = true;
            for (const auto& [key, instance] : memory->second.instances) {
                if (!expected.instance.matches(expected.instance.name, key)) continue;
                if (instance.state == SymptomState::inactive) continue;
                is_any = true;
                all &= instance.state == expected.state;
                seen.push_back(std::string(to_text(instance.state)) + " since " +
                               to_text(instance.since - test_.start) + " " + to_text(key));
            }
            met = is_any ? all : met;
        }
        if (met) continue;
        add({.at = expected.instance.source.position(0),
             .time = moment.now,
             .what = "symptom " + expected.instance.source.text,
             .expected = std::string(to_text(expected.state)),
             .actual = joined_or(seen, "inactive"),
             .evidence = symptom_evidence(expected.instance, moment.state, moment.instant)});
    }
}

void CaseCheck::judge_active(const Expectation& expectation, const Moment& moment) {
    if (!expectation.active) return;
    std::vector<bool> found(expectation.active->size());
    std::vector<std::string> seen;
    std::vector<InstancePattern> unexpected;
    for (const auto& [name, memory] : moment.state.knowledge.adaptations)
        for (const auto& [key, instance] : memory.instances) {
            if (!instance.active) continue;
            seen.push_back(name + to_text(key));
            bool is_expected = false;
            for (std::size_t i = 0; i < found.size(); ++i)
                if ((*expectation.active)[i].matches(name, key)) found[i] = is_expected = true;
            if (!is_expected) unexpected.push_back({.source = {}, .name = name, .labels = key});
        }
    std::vector<std::string> wanted;
    std::vector<std::string> evidence;
    const auto explain = [&](const InstancePattern& pattern) {
        std::ranges::move(adaptation_evidence(pattern, moment.state, test_.start, moment.instant),
                          std::back_inserter(evidence));
    };
    for (std::size_t i = 0; i < found.size(); ++i) {
        const InstancePattern& pattern = (*expectation.active)[i];
        wanted.push_back(pattern.name + (pattern.labels.empty() ? "" : to_text(pattern.labels)));
        if (!found[i]) explain(pattern);
    }
    for (const InstancePattern& pattern : unexpected) explain(pattern);
    if (evidence.empty()) return;
    add({.at = expectation.at,
         .time = moment.now,
         .what = "active adaptations",
         .expected = joined_or(wanted, "none"),
         .actual = joined_or(seen, "none"),
         .evidence = std::move(evidence)});
}

void CaseCheck::judge_waits(const Expectation& expectation, const Moment& moment) {
    for (const ExpectedGate& expected : expectation.waits) {
        std::vector<std::string> seen;
        bool met = false;
        if (const auto memory = moment.state.knowledge.adaptations.find(expected.instance.name);
            memory != moment.state.knowledge.adaptations.end())
            for (const auto& [key, instance] : memory->second.instances) {
                if (!expected.instance.matches(expected.instance.name, key)) continue;
                const GateVerdict* closed = first_closed(instance.gates);
                met |= closed != nullptr && closed->gate == expected.gate;
                seen.push_back(closed != nullptr ? closed_gate_text(instance.gates, test_.start)
                                                 : std::string(instance.active ? "it is active" : "no gate"));
            }
        if (met) continue;
        add({.at = expected.instance.source.position(0),
             .time = moment.now,
             .what = "what " + expected.instance.source.text + " waits for",
             .expected = "gate " + expected.gate + " closed",
             .actual = joined_or(seen, "it waits for nothing"),
             .evidence = adaptation_evidence(expected.instance, moment.state, test_.start, moment.instant)});
    }
}

void CaseCheck::judge_interfaces(const Expectation& expectation, const Moment& moment) {
    for (const ExpectedInterface& expected : expectation.actual)
        if (const auto found = moment.actual.find(expected.interface); found != moment.actual.end())
            judge_interface(expected, as_desired(found->second), "", moment);
    for (const ExpectedInterface& expected : expectation.desired)
        if (const auto found = moment.state.knowledge.desired.find(expected.interface);
            found != moment.state.knowledge.desired.end())
            judge_interface(expected, found->second, "desired ", moment);
}

void CaseCheck::judge_interface(const ExpectedInterface& expected, const DesiredInterface& is,
                                std::string_view what, const Moment& moment) {
    const auto differs = [&](const std::string& attribute, std::string wanted, std::string seen) {
        const auto because = moment.state.knowledge.desired_because.find(expected.interface);
        std::vector<std::string> evidence;
        if (because != moment.state.knowledge.desired_because.end())
            evidence.push_back("desired because of " + joined_or(because->second, "the baseline"));
        const auto target = moment.state.knowledge.targets.find(expected.interface);
        if (target != moment.state.knowledge.targets.end() && target->second.in_flight)
            evidence.emplace_back("a transaction is in flight");
        add({.at = expected.at,
             .time = moment.now,
             .what = std::string(what) + expected.interface + " " + attribute,
             .expected = std::move(wanted),
             .actual = std::move(seen),
             .evidence = std::move(evidence)});
    };
    const std::string program = is.program.value_or(std::string(no_program));
    if (expected.program && *expected.program != program) differs("xdp.program", *expected.program, program);
    for (const auto& [direction, wanted] : expected.tc) {
        const auto tc = is.tc.find(direction);
        const std::string there = tc == is.tc.end() ? std::string(no_program) : tc->second;
        if (wanted != there) differs("tc." + std::string(to_text(direction)) + ".program", wanted, there);
    }
    if (!expected.ladder.empty() && expected.ladder != is.ladder)
        differs("xdp.mode", ladder_text(expected.ladder),
                is.ladder.empty() ? "none" : ladder_text(is.ladder));
    if (expected.gap_max && expected.gap_max != is.gap_max)
        differs("xdp.max_gap", to_text(*expected.gap_max), is.gap_max ? to_text(*is.gap_max) : "none");
    for (const auto& [map, wanted] : expected.maps) {
        std::map<std::string, MapValue> seen;
        for (const auto& [entry, value] : is.entries)
            if (entry.map == map) seen.emplace(entry.key, value);
        if (seen != wanted) differs("maps." + map, entries_text(wanted), entries_text(seen));
    }
}

void CaseCheck::judge_evaluations(const Expectation& expectation, const Moment& moment) {
    for (const ExpectedSamples& expected : expectation.evaluations) {
        const auto result = moment.ask(expected.expr.expr);
        std::vector<std::pair<Labels, double>> samples;
        if (result)
            for (const promql::Sample& sample : *result) samples.emplace_back(sample.labels, sample.value);
        std::ranges::sort(samples, {}, &std::pair<Labels, double>::first);
        const bool met =
            result && std::ranges::equal(samples, expected.samples, [](const auto& a, const auto& b) {
                return a.first == b.first && same_value(a.second, b.second);
            });
        if (met) continue;
        add({.at = expected.expr.source.position(0),
             .time = moment.now,
             .what = "'" + expected.expr.source.text + "'",
             .expected = samples_text(expected.samples),
             .actual = result ? samples_text(samples) : "an error: " + result.error().what,
             .evidence = condition_evidence(expected.expr.expr, moment.state, moment.instant, {})});
    }
}

void CaseCheck::judge_samples(const Condition& condition, bool wants_sample, std::string_view what,
                              Position at, const Moment& moment) {
    const auto result = moment.ask(condition.expr);
    if (result && result->empty() != wants_sample) return;
    std::vector<std::pair<Labels, double>> samples;
    if (result)
        for (const promql::Sample& sample : *result) samples.emplace_back(sample.labels, sample.value);
    const Position place = condition.source.at.empty() ? at : condition.source.position(0);
    add({.at = place,
         .time = moment.now,
         .what = std::string(what) + " '" + condition.source.text + "'",
         .expected = wants_sample ? "a sample" : "no sample",
         .actual = result ? samples_text(samples) : "an error: " + result.error().what,
         .evidence = condition_evidence(condition.expr, moment.state, moment.instant, {})});
}

std::pair<Duration, Duration> CaseCheck::range_of(const Expectation& expectation, Duration last) const {
    if (expectation.is_range) return {expectation.from, std::min(expectation.until, last)};
    Duration tick{0}; // the last one that is not later
    for (const Duration time : ticks_)
        if (time <= expectation.from) tick = time;
    return {tick, tick};
}

void CaseCheck::judge_decisions(const Expectation& expectation, Duration last) {
    if (!expectation.decisions) return;
    const auto [from, until] = range_of(expectation, last);
    std::vector<Decision> seen;
    std::vector<std::string> seen_text;
    for (const Decision& decision : decisions_) {
        if (decision.time < from || decision.time > until) continue;
        seen.push_back(decision);
        seen_text.push_back(to_text(decision.time) + " " + std::string(to_text(decision.action)) + " " +
                            decision.adaptation + to_text(decision.key));
    }
    const std::vector<ExpectedDecision>& wanted = *expectation.decisions;
    const auto same = [&](std::size_t i, std::size_t j) {
        return wanted[i].action == seen[j].action &&
               wanted[i].instance.matches(seen[j].adaptation, seen[j].key) &&
               (!wanted[i].at || *wanted[i].at == seen[j].time);
    };
    bool met = wanted.size() == seen.size();
    for (std::size_t i = 0; met && i < wanted.size(); ++i) met = same(i, i);
    if (met) return;
    std::vector<std::string> wanted_text;
    for (const ExpectedDecision& decision : wanted) wanted_text.push_back(decision.source.text);
    const auto first = std::ranges::find_if(seen, [&](const Decision& decision) {
        const auto place = static_cast<std::size_t>(&decision - seen.data());
        return place >= wanted.size() || !same(place, place);
    });
    add({.at = expectation.at,
         .time = first != seen.end() ? first->time : until,
         .what = "decisions from " + to_text(from) + " until " + to_text(until),
         .expected = joined_or(wanted_text, "none"),
         .actual = joined_or(seen_text, "none"),
         .evidence = difference(wanted_text, seen_text, same)});
}

void CaseCheck::judge_messages(const Expectation& expectation, Duration last) {
    const auto [from, until] = range_of(expectation, last);
    for (const SourceText& wanted : expectation.messages) {
        std::vector<std::string> seen;
        bool met = false;
        for (const auto& [time, message] : messages_) {
            if (time < from || time > until) continue;
            met |= message.find(wanted.text) != std::string::npos;
            seen.push_back("'" + message + "'");
        }
        if (!met)
            add({.at = wanted.position(0),
                 .time = until,
                 .what = "messages from " + to_text(from) + " until " + to_text(until),
                 .expected = "one with '" + wanted.text + "'",
                 .actual = joined_or(seen, "none"),
                 .evidence = {}});
    }
}

void CaseCheck::judge_invariant(std::size_t index, const Moment& moment) {
    const Invariant& invariant = case_.invariants[index];
    if (broken_[index] || moment.now < invariant.from || (invariant.until && moment.now > *invariant.until))
        return;
    const std::size_t before = findings_.size();
    for (const Condition& condition : invariant.always)
        judge_samples(condition, true, "invariant: always", invariant.at, moment);
    for (const Condition& condition : invariant.never)
        judge_samples(condition, false, "invariant: never", invariant.at, moment);
    if (invariant.max_changes)
        for (const auto& [interface, count] : changes_[index])
            if (count > *invariant.max_changes)
                add({.at = invariant.at,
                     .time = moment.now,
                     .what = "invariant: changes of " + interface,
                     .expected = "at most " + std::to_string(*invariant.max_changes),
                     .actual = std::to_string(count),
                     .evidence = {}});
    broken_[index] = findings_.size() > before;
}

} // namespace homeostat::policy_test
