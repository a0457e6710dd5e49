#include "policies/promql/evaluation.hpp"
#include "policies/promql/regex.hpp"
#include "policies/promql/selection.hpp"

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

namespace homeostat::promql {

namespace {

// The order that the outermost operation makes is kept; every other result is in canonical order.
bool makes_order(const Expr& expr) {
    if (const auto* call = std::get_if<Call>(&expr.node))
        return call->function->name == "sort" || call->function->name == "sort_desc";
    const auto* aggregation = std::get_if<Aggregation>(&expr.node);
    return aggregation && (aggregation->op == AggregateOp::topk || aggregation->op == AggregateOp::bottomk);
}

bool is_sorted_by_labels(const Vector& samples) {
    return std::ranges::is_sorted(samples, {}, &Sample::labels);
}

Error limit_error(std::string_view what, std::size_t limit) {
    return {"the expression " + std::string(what) + " " + std::to_string(limit) +
            ", the limit of one evaluation; narrow its selectors or shorten its ranges"};
}

// Then dropping the name cannot make two label sets the same.
bool is_of_one_metric(const Expr& matrix) {
    const auto* selector = std::get_if<Selector>(&matrix.node);
    return selector && !selector->metric_name.empty();
}

std::size_t index_of_matrix(const Call& call) {
    const auto is_matrix = [](const ExprPtr& argument) { return argument->type == Type::matrix; };
    return static_cast<std::size_t>(std::ranges::find_if(call.arguments, is_matrix) - call.arguments.begin());
}

// Its result does not follow from those of its arguments.
bool is_read_of_store(const Call& call) {
    if (index_of_matrix(call) < call.arguments.size()) return true;
    return call.function->name == "timestamp" && std::holds_alternative<Selector>(call.arguments[0]->node);
}

Result<Value> in_order(const Expr& expr, Evaluation evaluation) {
    if (expr.type == Type::matrix)
        return failure(
            "the expression is a range vector; wrap it in a function such as rate or last_over_time");
    Result<Value> result = evaluation.value(expr);
    if (!result) return result;
    auto* samples = std::get_if<Vector>(&*result);
    if (samples && !makes_order(expr) && !is_sorted_by_labels(*samples))
        std::ranges::stable_sort(*samples, {}, &Sample::labels);
    return result;
}

} // namespace

Result<Value> evaluate(const Expr& expr, const SeriesStore& store, Instant now, const EvalOptions& options,
                       Trace* trace) {
    return in_order(expr, Evaluation(store, now, options, trace));
}

Result<Value> evaluate_from(const Expr& expr, std::span<const SeenValue> seen, Instant now,
                            const EvalOptions& options) {
    Recorded recorded;
    for (const SeenValue& value : seen) recorded[value.expression].push_back({value.labels, value.value});
    for (auto& entry : recorded) std::ranges::stable_sort(entry.second, {}, &Sample::labels);
    const SeriesStore nothing;
    return in_order(expr, Evaluation(nothing, now, options, nullptr, &recorded));
}

Result<std::vector<Series>> evaluate_range_vector(const Expr& matrix, const SeriesStore& store, Instant now,
                                                  const EvalOptions& options) {
    std::vector<Series> made;
    const auto done =
        Evaluation(store, now, options, nullptr)
            .for_each_series(
                matrix,
                [&](const RangeSeries& series) {
                    made.push_back({series.labels, {series.points.begin(), series.points.end()}});
                },
                Keeps::samples);
    if (!done) return std::unexpected(done.error());
    return made;
}

Result<Vector> distinct(Vector samples) {
    if (samples.size() < 2) return samples;
    if (!is_sorted_by_labels(samples)) std::ranges::stable_sort(samples, {}, &Sample::labels);
    const auto same = std::ranges::adjacent_find(samples, {}, &Sample::labels);
    if (same != samples.end())
        return failure("vector cannot contain metrics with the same labelset: " + to_text(same->labels));
    return samples;
}

Result<Value> Evaluation::value(const Expr& expr) {
    Result<Value> made = unlimited_value(expr);
    const auto* samples = made ? std::get_if<Vector>(&*made) : nullptr;
    if (samples && samples->size() > options_.result_max)
        return std::unexpected(limit_error("yields more samples than", options_.result_max));
    if (!made) return made;
    if (auto affordable = spend(samples ? 1 + samples->size() : 1); !affordable)
        return std::unexpected(affordable.error());
    return made;
}

Result<void> Evaluation::spend(std::size_t units) {
    work_ += units;
    return within_limits();
}

Result<const RE2*> Evaluation::regex(const std::string& pattern) {
    std::shared_ptr<const RE2>& place = regexes_[pattern];
    if (!place) place = compile_regex(pattern);
    if (!place->ok()) return failure(place->error(), EINVAL);
    if (auto affordable = spend(regex_size(*place)); !affordable) return std::unexpected(affordable.error());
    return place.get();
}

Result<Value> Evaluation::unlimited_value(const Expr& expr) {
    if (const auto* number = std::get_if<NumberLiteral>(&expr.node)) return number->value;
    if (const auto* selector = std::get_if<Selector>(&expr.node)) return select(expr, *selector);
    if (const auto* called = std::get_if<Call>(&expr.node)) return call(expr, *called);
    if (const auto* binary = std::get_if<Binary>(&expr.node)) return evaluate_binary(*this, *binary);
    if (const auto* aggregation = std::get_if<Aggregation>(&expr.node))
        return evaluate_aggregation(*this, *aggregation);
    if (const auto* string = std::get_if<StringLiteral>(&expr.node)) return string->value;
    const auto& negation = std::get<Negation>(expr.node); // a subquery is a range vector, and no value
    if (expr.type == Type::scalar) {
        const Result<double> inner = scalar(*negation.inner);
        return inner ? Result<Value>(-*inner) : std::unexpected(inner.error());
    }
    Result<Vector> inner = vector(*negation.inner);
    if (!inner) return std::unexpected(std::move(inner.error()));
    for (Sample& sample : *inner) sample = {sample.labels.without_metric_name(), -sample.value};
    return distinct(std::move(*inner));
}

Result<Vector> Evaluation::vector(const Expr& expr) {
    Result<Value> made = value(expr);
    if (!made) return std::unexpected(std::move(made.error()));
    return std::get<Vector>(std::move(*made));
}

Result<double> Evaluation::scalar(const Expr& expr) {
    if (const auto* number = std::get_if<NumberLiteral>(&expr.node)) return number->value;
    const Result<Value> made = value(expr);
    if (!made) return std::unexpected(made.error());
    return std::get<double>(*made);
}

const std::string& Evaluation::string(const Expr& expr) const {
    return std::get<StringLiteral>(expr.node).value;
}

Vector Evaluation::recorded(const Expr& expr) const {
    const auto found = recorded_->find(to_text(expr));
    return found == recorded_->end() ? Vector{} : found->second;
}

void Evaluation::trace(const Expr& expr, const Vector& result) {
    if (trace_) trace_->seen.push_back({expr.at, to_text(expr), result});
}

// ---- what is read of the store

Result<void> Evaluation::within_limits() const {
    if (samples_used_ > options_.samples_max)
        return std::unexpected(limit_error("reads more samples than", options_.samples_max));
    if (series_used_ > options_.series_max)
        return std::unexpected(limit_error("looks at more series than", options_.series_max));
    if (work_ > options_.work_max)
        return failure("the expression takes more work than " + std::to_string(options_.work_max) +
                       " units, the limit of one evaluation; shorten its ranges, lengthen the steps of its "
                       "subqueries or narrow its selectors");
    return {};
}

Instant Evaluation::time_of(const std::optional<AtModifier>& at, Duration offset) const {
    if (!at) return now_ - offset;
    if (at->kind == AtModifier::Kind::time) return at->time - offset;
    return (at->kind == AtModifier::Kind::start ? start_of_query_ : end_of_query_) - offset;
}

TimeRange Evaluation::time_range(const Expr& matrix) const {
    if (const auto* selector = std::get_if<Selector>(&matrix.node)) {
        const Instant end = time_of(selector->at, selector->offset);
        return {end - *selector->range, end};
    }
    const auto& subquery = std::get<Subquery>(matrix.node);
    const Instant end = time_of(subquery.at, subquery.offset);
    return {end - subquery.range, end};
}

Selection& Evaluation::select_series(Selection& searched, const Selector& selector) {
    if (options_.selectors != nullptr) return options_.selectors->selection(selector, std::nullopt, store_);
    work_ += selector.metric_name.empty() ? store_.size() : store_.named(selector.metric_name).size();
    return searched.search(store_);
}

Result<void> Evaluation::for_each_sample(const Selector& selector, Visitor<const SelectedSample&> visit) {
    const Instant at = time_of(selector.at, selector.offset);
    Selection searched(selector);
    const Selection& selection = select_series(searched, selector);
    series_used_ += selection.series().size();
    if (auto in_limits = within_limits(); !in_limits) return in_limits;
    for (const SeriesId id : selection.series()) {
        const auto point = store_.newest(id, at, options_.lookback);
        if (!point) continue;
        ++samples_used_;
        visit({id, *point});
    }
    return within_limits();
}

Result<Vector> Evaluation::select(const Expr& expr, const Selector& selector) {
    if (recorded_ != nullptr) return recorded(expr);
    Vector samples;
    const auto done = for_each_sample(selector, [&](const SelectedSample& found) {
        samples.push_back({store_.labels(found.series), found.point.value});
    });
    if (!done) return std::unexpected(done.error());
    trace(expr, samples);
    return samples;
}

Result<void> Evaluation::for_each_series(const Expr& matrix, Visitor<const RangeSeries&> visit, Keeps keeps) {
    if (const auto* selector = std::get_if<Selector>(&matrix.node))
        return for_each_window(*selector, keeps, visit);
    return for_each_step(std::get<Subquery>(matrix.node), keeps, visit);
}

Result<void> Evaluation::for_each_window(const Selector& selector, Keeps keeps,
                                         Visitor<const RangeSeries&> visit) {
    const Instant end = time_of(selector.at, selector.offset);
    Selection searched(selector);
    // A subquery jumps back and forth in time, which no window follows.
    const bool remembers = options_.selectors != nullptr && now_ == start_of_query_;
    Selection& selection = remembers ? options_.selectors->selection(selector, keeps, store_)
                                     : select_series(searched, selector);
    series_used_ += selection.series().size();
    if (auto in_limits = within_limits(); !in_limits) return in_limits;
    WindowSummary anew(keeps);
    std::vector<Point> fresh;
    for (std::size_t place = 0; place < selection.series().size(); ++place) {
        const SeriesId id = selection.series()[place];
        const History history = store_.history(id);
        WindowSummary& summary = remembers ? selection.window(place) : anew;
        if (!remembers) summary.clear();
        summary.move_to(history, end - *selector.range, end);
        samples_used_ += summary.points();
        // Within a subquery nothing is remembered; elsewhere a window costs what enters and leaves it.
        if (now_ != start_of_query_ || keeps == Keeps::samples) work_ += summary.points();
        if (!within_limits()) break;
        if (summary.empty()) continue;
        const auto points = reads_samples(keeps, summary) ? without_markers(summary.span(history), fresh)
                                                          : std::span<const Point>();
        visit({store_.labels(id), store_.labels_without_name(id), summary, points});
    }
    return within_limits();
}

// Evaluates the inner expression at the multiples of the step in the range, which is open on its left.
Result<void> Evaluation::for_each_step(const Subquery& subquery, Keeps keeps,
                                       Visitor<const RangeSeries&> visit) {
    const std::int64_t end = to_ms(time_of(subquery.at, subquery.offset));
    const std::int64_t start = end - subquery.range.count();
    const std::int64_t step = subquery.step.value_or(options_.subquery_step).count();
    std::int64_t first = start / step * step;
    if (first <= start) first += step;

    std::map<Labels, std::vector<Point>> found;
    const Instant outer_now = now_;
    Trace* const outer_trace = std::exchange(trace_, nullptr);
    Result<void> done{};
    for (std::int64_t t = first; t <= end && done; t += step) {
        now_ = at_ms(t);
        ++samples_used_; // so that an empty inner expression cannot loop beyond the limit
        if (done = spend(1); !done) break;
        Result<Vector> samples = vector(*subquery.inner);
        if (!samples) {
            done = std::unexpected(std::move(samples.error()));
            break;
        }
        samples_used_ += samples->size();
        for (Sample& sample : *samples) found[std::move(sample.labels)].push_back({now_, sample.value});
    }
    now_ = outer_now;
    trace_ = outer_trace;
    if (!done) return done;
    WindowSummary summary(keeps);
    for (const auto& [labels, points] : found) {
        summary.clear();
        summary.move_to({points, 0, 0, &points.back()}, at_ms(start), at_ms(end));
        visit({labels, labels.without_metric_name(), summary, points});
    }
    return {};
}

// ---- calls

Result<Value> Evaluation::call(const Expr& expr, const Call& call) {
    const auto& how = call.function->evaluate;
    const bool reads_store = is_read_of_store(call);
    if (recorded_ != nullptr && reads_store) return recorded(expr);
    if (const auto* function = std::get_if<OfWindow>(&how)) return over_range(expr, call, *function);
    if (const auto* function = std::get_if<OfCall>(&how)) {
        Result<Value> made = (*function)(*this, call);
        if (made && trace_ && reads_store) trace(expr, std::get<Vector>(*made));
        return made;
    }
    return per_sample(call);
}

Result<Parameters> Evaluation::parameters(const Call& call) {
    Parameters made;
    for (const ExprPtr& argument : call.arguments) {
        if (argument->type != Type::scalar) continue;
        const Result<double> value = scalar(*argument);
        if (!value) return std::unexpected(value.error());
        made.values[made.count++] = *value;
    }
    return made;
}

Result<Vector> Evaluation::over_range(const Expr& expr, const Call& call, const OfWindow& function) {
    const Result<Parameters> scalars = parameters(call);
    if (!scalars) return std::unexpected(scalars.error());
    const Expr& matrix = *call.arguments[index_of_matrix(call)];
    const TimeRange range = time_range(matrix);
    const bool keeps_name = call.function->keeps_metric_name;
    Vector samples;
    const auto visit = [&](const RangeSeries& series) {
        const auto value =
            function.value({series.summary, series.points, range.start, range.end, now_, scalars->all()});
        if (value) samples.push_back({keeps_name ? series.labels : series.labels_without_name, *value});
    };
    const auto done = for_each_series(matrix, visit, function.keeps);
    if (!done) return std::unexpected(done.error());
    if (!keeps_name && !is_of_one_metric(matrix)) {
        Result<Vector> unique = distinct(std::move(samples));
        if (!unique) return unique;
        samples = std::move(*unique);
    }
    trace(expr, samples);
    return samples;
}

// A function of the parts of a time may stand without an argument: it means the evaluation's time.
Result<Vector> Evaluation::per_sample(const Call& call) {
    const Result<Parameters> scalars = parameters(call);
    if (!scalars) return std::unexpected(scalars.error());
    const double now_s = static_cast<double>(to_ms(now_)) / 1000.0;
    Result<Vector> samples = call.arguments.empty() ? Vector{{{}, now_s}} : vector(*call.arguments[0]);
    if (!samples) return samples;
    const auto& how = call.function->evaluate;
    Vector made;
    made.reserve(samples->size());
    for (const Sample& sample : *samples) {
        std::optional<double> value;
        if (const auto* function = std::get_if<OfNumber>(&how))
            value = (*function)(sample.value);
        else
            value = std::get<OfNumberAndParameters>(how)(sample.value, scalars->all());
        if (value) made.push_back({sample.labels.without_metric_name(), *value});
    }
    return distinct(std::move(made));
}

} // namespace homeostat::promql
