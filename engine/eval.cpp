// eval: an expression at a time, over what the store still has of it.
#include "engine/answering.hpp"
#include "policies/promql/introspect.hpp"
#include "policies/promql/parser.hpp"

#include <algorithm>

namespace homeostat {

namespace {

// The store keeps of a series what the policies read, and one sample before it. Whether it also has what is
// asked for shows in a sample that is older still.
bool is_covered(const Asked& asked, SeriesId id, const promql::SelectorNeed& need) {
    const SeriesStore& store = asked.state.knowledge.series;
    const Duration kept = asked.state.generation->policies.history_for(store.labels(id));
    const Instant from = asked.at - need.history;
    return from >= asked.now - kept || !store.window(id, Instant::min(), from).empty();
}

// Nothing is known from before.
std::optional<Instant> beginning(const Asked& asked) {
    const DecisionHistory& history = asked.state.history;
    std::optional<Instant> first = history.forgotten() == 0 ? history.begins() : std::nullopt;
    const SeriesStore& store = asked.state.knowledge.series;
    for (const SeriesId id : store.all()) {
        const auto points = store.window(id, Instant::min(), asked.now);
        if (!points.empty() && (!first || points.front().time < *first)) first = points.front().time;
    }
    return first;
}

void note_coverage(const Asked& asked, const promql::Expr& expr, Answer& answer) {
    const SeriesStore& store = asked.state.knowledge.series;
    const std::vector<promql::SelectorNeed> needs = promql::selectors(expr);
    const auto begins = beginning(asked);
    if (!needs.empty() && begins && asked.at < *begins)
        return answer.notes.push_back("nothing is known of " + to_text(asked.at) +
                                      ": the oldest sample is of " + to_text(*begins));
    for (const promql::SelectorNeed& need : needs) {
        if (need.fixed_time) {
            answer.notes.emplace_back("'@' with a time: whether the store still has it is not known");
            continue;
        }
        std::size_t short_ones = 0;
        std::optional<Instant> first;
        for (const SeriesId id : store.all()) {
            if (!need.matches(store.labels(id)) || is_covered(asked, id, need)) continue;
            ++short_ones;
            const auto points = store.window(id, Instant::min(), asked.now);
            if (!points.empty() && (!first || points.front().time < *first)) first = points.front().time;
        }
        if (short_ones == 0) continue;
        answer.notes.push_back((need.metric_name.empty() ? std::string("a selector") : need.metric_name) +
                               ": " + std::to_string(short_ones) +
                               (short_ones == 1 ? " series has" : " series have") + " samples from " +
                               (first ? to_text(*first) : "nowhere") + " on only; this needs them from " +
                               to_text(asked.at - need.history) + " on");
    }
}

// A range vector is shown by its samples.
std::vector<SeriesSamples> samples_of(const Asked& asked, const promql::Selector& selector,
                                      const promql::SelectorNeed& need, Answer& answer) {
    const SeriesStore& store = asked.state.knowledge.series;
    Instant until = asked.at;
    if (selector.at && selector.at->kind == promql::AtModifier::Kind::time) until = selector.at->time;
    until -= selector.offset;
    std::vector<SeriesSamples> rows;
    std::size_t samples = 0;
    for (const SeriesId id : store.all()) {
        if (!need.matches(store.labels(id))) continue;
        const auto window = store.window(id, until - *selector.range, until);
        if (window.empty()) continue;
        SeriesSamples row{store.labels(id), {}};
        for (const Point& point : window)
            if (!is_stale(point.value)) row.points.push_back(point);
        samples += row.points.size();
        if (samples > asked.limits.samples_max) {
            answer.notes.push_back("more than " + std::to_string(asked.limits.samples_max) +
                                   " samples: the other series are not shown");
            break;
        }
        if (!row.points.empty()) rows.push_back(std::move(row));
    }
    return rows;
}

} // namespace

Diagnostics mistakes_of(const std::string& expression) {
    Diagnostics mistakes;
    const auto expr = promql::parse(expression);
    if (expr) return mistakes;
    for (const promql::ParseError& error : expr.error()) {
        const std::string before = expression.substr(0, error.offset);
        const std::size_t last_end = before.rfind('\n'); // npos + 1 is 0
        mistakes.push_back({.file = "",
                            .at = {.line = 1 + static_cast<int>(std::ranges::count(before, '\n')),
                                   .column = 1 + static_cast<int>(before.size() - (last_end + 1))},
                            .what = error.what,
                            .expected = error.expected.empty() ? "" : "expected " + error.expected});
    }
    return mistakes;
}

std::string mistakes_text(const std::string& expression) {
    const bool has_lines = expression.find('\n') != std::string::npos;
    std::string text;
    for (const Diagnostic& mistake : mistakes_of(expression)) {
        text += text.empty() ? "" : "\n";
        if (has_lines) text += "line " + std::to_string(mistake.at.line) + ", ";
        text += "column " + std::to_string(mistake.at.column) + ": " + mistake.what;
        if (!mistake.expected.empty()) text += "; " + mistake.expected;
    }
    return text;
}

void answer_eval(const Asked& asked, Answer& answer, Result<void>& result) {
    const auto expr = promql::parse(asked.question.text);
    if (!expr) return void(result = failure(mistakes_text(asked.question.text)));
    Evaluation evaluation{asked.at, {}};
    note_coverage(asked, *expr, answer);
    if (expr->type == promql::Type::matrix) {
        const auto* selector = std::get_if<promql::Selector>(&expr->node);
        if (selector == nullptr)
            return void(result = failure("a subquery has no samples of its own to show; put a function "
                                         "around it, such as max_over_time"));
        evaluation.value = samples_of(asked, *selector, promql::selectors(*expr).front(), answer);
    } else {
        auto value = promql::evaluate(*expr, asked.state.knowledge.series, asked.at, asked.evaluation());
        if (!value) return void(result = std::unexpected(value.error()));
        std::visit([&](auto& v) { evaluation.value = std::move(v); }, *value);
    }
    answer.what = std::move(evaluation);
}

} // namespace homeostat
