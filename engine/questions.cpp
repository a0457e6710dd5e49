#include "engine/questions.hpp"

#include "engine/answering.hpp"
#include "knowledge/enum_table.hpp"
#include "knowledge/text.hpp"
#include "policies/gates.hpp"
#include "policies/promql/parser.hpp"
#include "policies/template.hpp"

#include <algorithm>
#include <array>

namespace homeostat {

promql::EvalOptions Asked::evaluation() const {
    const Limits& own = state.generation->limits;
    return {.lookback = own.lookback,
            .samples_max = std::min(own.samples_per_evaluation_max, limits.samples_max),
            .series_max = own.store.series_max,
            .result_max = own.store.series_max,
            .work_max = own.work_per_evaluation_max};
}

// ---- names

bool Named::matches(const Labels& key) const {
    return std::ranges::all_of(matchers,
                               [&](const promql::Matcher& m) { return m.matches(key.get(m.label)); });
}

Labels Named::labels() const {
    std::vector<Label> labels;
    for (const promql::Matcher& matcher : matchers)
        if (matcher.op == promql::MatchOp::equal) labels.push_back({matcher.label, matcher.value});
    return Labels(std::move(labels));
}

Result<Named> parse_named(const std::string& text) {
    Named named;
    const std::size_t brace = text.find('{');
    named.name = text.substr(0, brace);
    while (named.name.ends_with(' ')) named.name.pop_back();
    if (brace == std::string::npos) return named;
    named.is_selective = true;
    const auto parsed = promql::parse("x" + text.substr(brace));
    if (!parsed)
        return failure("'" + text + "': " + parsed.error().front().what +
                       "; expected NAME or NAME{label=\"value\"}");
    const auto* selector = std::get_if<promql::Selector>(&parsed->node);
    if (selector == nullptr || selector->range || selector->at || selector->offset != Duration{0})
        return failure("'" + text + "': expected NAME or NAME{label=\"value\"}");
    named.matchers = selector->matchers;
    return named;
}

std::unexpected<Error> unknown(const std::string& what, const std::string& name,
                               const std::vector<std::string>& known) {
    std::string text = "there is no " + what + " '" + name + "'";
    if (const std::string meant = nearest(name, known); !meant.empty())
        text += "; did you mean '" + meant + "'?";
    else if (known.empty())
        text += "; the policies declare none";
    else
        text += "; there are:" + one_a_line(known);
    return failure(std::move(text));
}

std::vector<std::string> names_of_adaptations(const EngineState& state) {
    std::vector<std::string> names;
    for (const AdaptationRule& rule : state.generation->policies.adaptations) names.push_back(rule.name.text);
    return names;
}

std::vector<std::string> names_of_symptoms(const EngineState& state) {
    std::vector<std::string> names;
    for (const Symptom& symptom : state.generation->policies.symptoms)
        names.push_back(symptom.rule.name.text);
    return names;
}

std::vector<std::string> names_of_signals(const EngineState& state) {
    std::vector<std::string> names;
    for (const SignalRule& signal : state.generation->policies.signals) names.push_back(signal.name.text);
    return names;
}

// ---- words

std::string instance_text(const std::string& name, const Labels& key) {
    return key.empty() ? name : name + to_text(key);
}

std::string seen_text(const std::vector<SeenValue>& seen) {
    std::vector<std::string> parts;
    for (const SeenValue& s : seen) {
        const Labels labels = s.labels.without_metric_name();
        std::string part =
            s.expression + (labels.empty() ? "" : " of " + to_text(labels)) + " = " + number_text(s.value);
        if (std::ranges::find(parts, part) == parts.end()) parts.push_back(std::move(part));
    }
    return joined(parts, "; ");
}

std::string steps_text(const std::vector<Step>& steps) {
    std::string text;
    for (const Step& step : steps) text += (text.empty() ? "" : ", then ") + to_text(step);
    return text;
}

std::string left_text(Instant until, Instant now) {
    return until > now ? ", " + to_text(until - now) + " left" : "";
}

std::string closed_text(const GateVerdict& gate, Instant now) {
    std::string text = "gate " + gate.gate + " is closed";
    if (const GateTraits* known = find_gate(gate.gate)) text += ": " + std::string(known->in_words);
    const bool opens_by_time = gate.facts.since && gate.detail.find("until ") != std::string::npos;
    return text + " (" + gate.detail +
           (opens_by_time ? left_text(*gate.facts.since + gate.facts.span, now) : "") + ")";
}

// ---- rows

namespace {

std::optional<Error> refusal_of_name(const std::string& what, const Named& named,
                                     const std::vector<std::string>& known) {
    if (named.name.empty() || std::ranges::find(known, named.name) != known.end()) return std::nullopt;
    return unknown(what, named.name, known).error();
}

void answer_symptoms(const Asked& asked, Answer& answer, Result<void>& result) {
    const auto named = parse_named(asked.question.text);
    const auto refusal =
        named ? refusal_of_name("symptom", *named, names_of_symptoms(asked.state)) : named.error();
    if (refusal) return void(result = std::unexpected(*refusal));
    std::vector<SymptomRow> rows;
    for (const std::string& name : names_of_symptoms(asked.state)) {
        if (!named->name.empty() && name != named->name) continue;
        const auto memory = asked.state.knowledge.symptoms.find(name);
        if (memory == asked.state.knowledge.symptoms.end()) continue;
        const std::string& error = memory->second.error;
        const std::size_t before = rows.size();
        for (const auto& [key, instance] : memory->second.instances)
            if (named->matches(key))
                rows.push_back({name, key, instance.state, instance.since, instance.value, error});
        if (rows.size() == before && !named->is_selective)
            rows.push_back({name, {}, SymptomState::inactive, std::nullopt, 0, error});
    }
    answer.what = std::move(rows);
}

void answer_signals(const Asked& asked, Answer& answer, Result<void>& result) {
    const auto named = parse_named(asked.question.text);
    const auto refusal =
        named ? refusal_of_name("signal", *named, names_of_signals(asked.state)) : named.error();
    if (refusal) return void(result = std::unexpected(*refusal));
    const Knowledge& knowledge = asked.state.knowledge;
    std::vector<SignalRow> rows;
    for (const std::string& name : names_of_signals(asked.state)) {
        if (!named->name.empty() && name != named->name) continue;
        const auto recorded = knowledge.recorded.find(name);
        const std::string error = recorded == knowledge.recorded.end() ? "" : recorded->second.error;
        const std::size_t before = rows.size();
        for (const SeriesId id : knowledge.series.named(name)) {
            const Labels& key = knowledge.series.labels_without_name(id);
            if (!named->matches(key)) continue;
            if (const auto point =
                    knowledge.series.newest(id, asked.now, asked.state.generation->limits.lookback))
                rows.push_back({name, key, point, error});
        }
        if (rows.size() == before && !named->is_selective) rows.push_back({name, {}, std::nullopt, error});
    }
    answer.what = std::move(rows);
}

constexpr std::array<std::string_view, 5> kinds_of_decisions{"symptom", "receipt", "transaction", "outcome",
                                                             "message"}; // in the order of Decided::what
static_assert(kinds_of_decisions.size() == std::variant_size_v<decltype(Decided::what)>);

// Whom a decision is about; "" for nobody by name.
std::pair<std::string, Labels> subject_of(const Decided& decided) {
    if (const auto* change = std::get_if<SymptomChange>(&decided.what)) return {change->symptom, change->key};
    if (const auto* receipt = std::get_if<Receipt>(&decided.what)) return {receipt->adaptation, receipt->key};
    return {};
}

Instant time_of(const Moment& moment, Instant now) {
    if (const auto* time = std::get_if<Instant>(&moment)) return *time;
    return now - std::get<Duration>(moment);
}

void answer_decisions(const Asked& asked, Answer& answer, Result<void>& result) {
    const Question& question = asked.question;
    const auto known = concatenated(names_of_adaptations(asked.state), names_of_symptoms(asked.state));
    const auto named = parse_named(question.text);
    const auto refusal = named ? refusal_of_name("adaptation or symptom", *named, known) : named.error();
    if (refusal) return void(result = std::unexpected(*refusal));
    const auto kind = std::ranges::find(kinds_of_decisions, question.only);
    if (!question.only.empty() && kind == kinds_of_decisions.end())
        return void(result = unknown("kind of decisions", question.only,
                                     {kinds_of_decisions.begin(), kinds_of_decisions.end()}));
    const std::optional<Instant> since =
        question.since ? std::optional(time_of(*question.since, asked.now)) : std::nullopt;
    std::vector<Decided> rows;
    const auto& all = asked.state.history.decided();
    for (auto it = all.rbegin(); it != all.rend() && rows.size() < question.newest; ++it) {
        if (since && it->at < *since) break;
        const auto [name, key] = subject_of(*it);
        if (!named->name.empty() && (name != named->name || !named->matches(key))) continue;
        if (!question.only.empty() && kinds_of_decisions[it->what.index()] != *kind) continue;
        rows.push_back(*it);
    }
    std::ranges::reverse(rows);
    const auto begins = asked.state.history.begins();
    if (since && begins && *since < *begins && asked.state.history.forgotten() > 0)
        answer.notes.push_back("decisions before " + to_text(*begins) + " are forgotten");
    answer.what = std::move(rows);
}

struct QuestionRow {
    Question::Kind kind;
    std::string_view name;
    void (*answer)(const Asked&, Answer&, Result<void>&);
};
constexpr std::array<QuestionRow, 6> questions{{{Question::Kind::eval, "eval", answer_eval},
                                                {Question::Kind::explain, "explain", answer_explain},
                                                {Question::Kind::whynot, "whynot", answer_whynot},
                                                {Question::Kind::symptoms, "symptoms", answer_symptoms},
                                                {Question::Kind::decisions, "decisions", answer_decisions},
                                                {Question::Kind::signals, "signals", answer_signals}}};
static_assert(has_row_for_each(questions, &QuestionRow::kind, Question::Kind::signals));

// The newest decisions stay, of everything else the first rows.
void truncate(Answer& answer, std::size_t rows_max) {
    const auto cut = [&](auto& rows) {
        if (rows.size() <= rows_max) return;
        answer.left_out = rows.size() - rows_max;
        const auto many = static_cast<std::ptrdiff_t>(answer.left_out);
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(rows)>, std::vector<Decided>>)
            rows.erase(rows.begin(), rows.begin() + many);
        else
            rows.erase(rows.end() - many, rows.end());
    };
    if (auto* evaluation = std::get_if<Evaluation>(&answer.what)) {
        if (auto* vector = std::get_if<promql::Vector>(&evaluation->value)) cut(*vector);
        if (auto* series = std::get_if<std::vector<SeriesSamples>>(&evaluation->value)) cut(*series);
    }
    if (auto* rows = std::get_if<std::vector<Explanation>>(&answer.what)) cut(*rows);
    if (auto* rows = std::get_if<std::vector<WhyNot>>(&answer.what)) cut(*rows);
    if (auto* rows = std::get_if<std::vector<SymptomRow>>(&answer.what)) cut(*rows);
    if (auto* rows = std::get_if<std::vector<Decided>>(&answer.what)) cut(*rows);
    if (auto* rows = std::get_if<std::vector<SignalRow>>(&answer.what)) cut(*rows);
}

} // namespace

std::string_view to_text(Question::Kind kind) { return questions[static_cast<std::size_t>(kind)].name; }

std::optional<Question::Kind> parse_question_kind(std::string_view text) {
    const auto row = std::ranges::find(questions, text, &QuestionRow::name);
    return row == questions.end() ? std::nullopt : std::optional(row->kind);
}

std::vector<std::string> question_names() {
    std::vector<std::string> names;
    for (const QuestionRow& question : questions) names.emplace_back(question.name);
    return names;
}

std::span<const std::string_view> decision_kinds() { return kinds_of_decisions; }

Result<Answer> ask(const EngineState& state, const Question& question, const QuestionLimits& limits) {
    const auto now = state.history.now();
    if (!now) return failure("the controller has not made its first tick yet; ask again");
    const Instant at = question.at ? time_of(*question.at, *now) : *now;
    if (at > *now) return failure(to_text(at) + " is in the future: it is " + to_text(*now) + " here");
    Answer answer{.at = *now, .generation = state.generation->number, .what = {}, .notes = {}};
    Result<void> result;
    const Asked asked{state, question, limits, *now, at};
    questions[static_cast<std::size_t>(question.kind)].answer(asked, answer, result);
    if (!result) return std::unexpected(result.error());
    const auto named = question.kind == Question::Kind::eval ? Named{} : parse_named(question.text);
    if (std::string note = named ? unknown_labels_text(asked, *named) : ""; !note.empty())
        answer.notes.push_back(std::move(note));
    truncate(answer, limits.rows_max);
    return answer;
}

} // namespace homeostat
