// eval: an expression at a time, over what the store still has of it.
#include "engine/answering.hpp"
#include "policies/promql/introspect.hpp"
#include "policies/promql/parser.hpp"

#include <algorithm>

namespace homeostat {

namespace {

std::string mistakes_text(const std::vector<promql::ParseError>& errors) {
    std::string text;
    for (const promql::ParseError& error : errors) {
        text += (text.empty() ? "" : "\n") + std::string("column ") + std::to_string(error.offset + 1) +
                ": " + error.what;
        if (!error.expected.empty()) text += "; expected " + error.expected;
    }
    return text;
}

// The store keeps of a series what the policies read, and one sample before it. Whether it also has what is
// asked for shows in a sample that is older still.
bool is_covered(const Asked& asked, SeriesId id, const promql::SelectorNeed& need) {
    const SeriesStore& store = asked.state.knowledge.series;
    const Duration kept = asked.state.generation->policies.history_for(store.labels(id));
    const Instant from = asked.at - need.history;
    return from >= asked.now - kept || !store.window(id, Instant::min(), from).empty();
}

void note_coverage(const Asked& asked, const promql::Expr& expr, Answer& answer) {
    const SeriesStore& store = asked.state.knowledge.series;
    for (const promql::SelectorNeed& need : promql::selectors(expr)) {
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

void answer_eval(const Asked& asked, Answer& answer, Result<void>& result) {
    const auto expr = promql::parse(asked.question.text);
    if (!expr) return void(result = failure(mistakes_text(expr.error())));
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
