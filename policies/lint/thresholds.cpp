#include "policies/lint/thresholds.hpp"

#include "policies/lint/one_of.hpp"
#include "policies/promql/functions.hpp"
#include "policies/template.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace homeostat {

namespace {

using promql::Aggregation;
using promql::Binary;
using promql::BinaryOp;
using promql::Call;
using promql::Expr;
using promql::ExprPtr;
using promql::MetricKind;
using promql::Negation;
using promql::NumberLiteral;
using promql::Schema;
using promql::Selector;
using promql::Subquery;
using promql::Type;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr std::size_t conjunctions_max = 64;

// Over time, these are the value itself while it rests.
constexpr std::array<std::string_view, 5> resting{"max_over_time", "min_over_time", "avg_over_time",
                                                  "last_over_time", "quantile_over_time"};

ExprPtr shared(Expr expr) { return std::make_shared<const Expr>(std::move(expr)); }

Expr without_range(const Expr& matrix);

Expr steady(const Expr& expr) {
    Expr made = expr;
    if (auto* call = std::get_if<Call>(&made.node)) {
        const std::string_view name = call->function->name;
        if (is_one_of(name, resting)) return without_range(*call->arguments.back());
        if (name == "irate") call->function = promql::find_function("rate");
        for (ExprPtr& argument : call->arguments) argument = shared(steady(*argument));
        if (call->function->name != "rate") return made;
        Expr window = *call->arguments.front();
        if (auto* selector = std::get_if<Selector>(&window.node)) selector->range = std::chrono::seconds{1};
        call->arguments.front() = shared(std::move(window));
    } else if (auto* binary = std::get_if<Binary>(&made.node)) {
        binary->left = shared(steady(*binary->left));
        binary->right = shared(steady(*binary->right));
    } else if (auto* aggregation = std::get_if<Aggregation>(&made.node)) {
        aggregation->operand = shared(steady(*aggregation->operand));
    } else if (auto* negation = std::get_if<Negation>(&made.node)) {
        negation->inner = shared(steady(*negation->inner));
    }
    return made;
}

Expr without_range(const Expr& matrix) {
    if (const auto* subquery = std::get_if<Subquery>(&matrix.node)) return steady(*subquery->inner);
    Expr made = matrix;
    made.type = Type::vector;
    if (auto* selector = std::get_if<Selector>(&made.node)) selector->range.reset();
    return made;
}

Interval from(BinaryOp op, double threshold) {
    switch (op) {
    case BinaryOp::gt:
        return {.low = threshold, .high = infinity, .low_open = true, .high_open = false};
    case BinaryOp::ge:
        return {.low = threshold, .high = infinity, .low_open = false, .high_open = false};
    case BinaryOp::lt:
        return {.low = -infinity, .high = threshold, .low_open = false, .high_open = true};
    case BinaryOp::le:
        return {.low = -infinity, .high = threshold, .low_open = false, .high_open = false};
    default:
        return {.low = threshold, .high = threshold, .low_open = false, .high_open = false};
    }
}

BinaryOp mirrored(BinaryOp op) {
    switch (op) {
    case BinaryOp::gt:
        return BinaryOp::lt;
    case BinaryOp::ge:
        return BinaryOp::le;
    case BinaryOp::lt:
        return BinaryOp::gt;
    case BinaryOp::le:
        return BinaryOp::ge;
    default:
        return op;
    }
}

// A filter lets through the value of what it filters.
const Expr* filtered(const Expr* expr) {
    for (;;) {
        const auto* binary = std::get_if<Binary>(&expr->node);
        if (binary == nullptr) return expr;
        const bool is_filter = promql::is_comparison(binary->op) && !binary->returns_bool;
        const bool keeps_left = binary->op == BinaryOp::logical_and || binary->op == BinaryOp::logical_unless;
        if (keeps_left || (is_filter && constant(*binary->right)))
            expr = binary->left.get();
        else if (is_filter && constant(*binary->left))
            expr = binary->right.get();
        else
            return expr;
    }
}

Conjunction unreadable() { return {.thresholds = {}, .is_all = false}; }

Conjunction both(Conjunction a, const Conjunction& b) {
    a.is_all &= b.is_all;
    for (const auto& [text, threshold] : b.thresholds) {
        const auto [known, is_new] = a.thresholds.try_emplace(text, threshold);
        if (!is_new) known->second.interval = intersection(known->second.interval, threshold.interval);
    }
    return a;
}

std::vector<Conjunction> all_pairs(const std::vector<Conjunction>& left,
                                   const std::vector<Conjunction>& right) {
    if (left.size() * right.size() > conjunctions_max) return {unreadable()};
    std::vector<Conjunction> made;
    for (const Conjunction& a : left)
        for (const Conjunction& b : right) made.push_back(both(a, b));
    return made;
}

std::vector<Conjunction> of_comparison(const Binary& binary, Terms terms) {
    const auto right = constant(*binary.right);
    const auto left = constant(*binary.left);
    if (binary.returns_bool || right.has_value() == left.has_value() || binary.op == BinaryOp::ne)
        return {unreadable()};
    const Expr& operand = right ? *binary.left : *binary.right;
    const Interval interval = from(right ? binary.op : mirrored(binary.op), right ? *right : *left);
    Expr term = *filtered(&operand);
    if (terms == Terms::steady) term = steady(term);
    Conjunction own;
    const std::string text = promql::to_text(term);
    own.thresholds.emplace(text, Threshold{std::move(term), interval});
    const bool is_filtered = filtered(&operand) != &operand;
    return is_filtered ? all_pairs(conjunctions_of(operand, terms), {own}) : std::vector{own};
}

// ---- ranges

constexpr std::array<std::string_view, 12> never_negative{
    "rate", "irate", "increase", "changes",          "resets",           "count_over_time",
    "abs",  "sqrt",  "exp",      "stddev_over_time", "stdvar_over_time", "timestamp"};
constexpr std::array<std::string_view, 11> as_operand{
    "max_over_time",      "min_over_time", "avg_over_time", "last_over_time",
    "quantile_over_time", "sort",          "sort_desc",     "label_replace",
    "label_join",         "ceil",          "round"};
constexpr std::array<std::string_view, 3> always_one{"absent", "absent_over_time", "present_over_time"};

constexpr Interval positive{.low = 0, .high = infinity, .low_open = false, .high_open = false};
constexpr Interval zero_or_one{.low = 0, .high = 1, .low_open = false, .high_open = false};
constexpr Interval one{.low = 1, .high = 1, .low_open = false, .high_open = false};

Interval range_of_call(const Call& call, const Schema& schema) {
    const std::string_view name = call.function->name;
    if (is_one_of(name, never_negative)) return positive;
    if (is_one_of(name, always_one)) return one;
    if (name == "vector")
        if (const auto value = constant(*call.arguments.front())) return from(BinaryOp::eq, *value);
    if (name == "sum_over_time" && range_of(*call.arguments.front(), schema).low >= 0) return positive;
    if (!is_one_of(name, as_operand)) return {};
    return range_of(name == "quantile_over_time" ? *call.arguments.back() : *call.arguments.front(), schema);
}

Interval range_of_aggregation(const Aggregation& aggregation, const Schema& schema) {
    using enum promql::AggregateOp;
    switch (aggregation.op) {
    case group:
        return one;
    case count:
    case count_values:
        return {.low = 1, .high = infinity, .low_open = false, .high_open = false};
    case stddev:
    case stdvar:
        return positive;
    case sum:
        return range_of(*aggregation.operand, schema).low >= 0 ? positive : Interval{};
    case avg:
    case min:
    case max:
    case topk:
    case bottomk:
        return range_of(*aggregation.operand, schema);
    default:
        return {};
    }
}

} // namespace

bool Interval::contains(const Interval& other) const {
    const bool low_is_in = low < other.low || (low == other.low && (!low_open || other.low_open));
    const bool high_is_in = high > other.high || (high == other.high && (!high_open || other.high_open));
    return low_is_in && high_is_in;
}

Interval intersection(const Interval& a, const Interval& b) {
    Interval made = a;
    if (b.low > a.low || (b.low == a.low && b.low_open)) {
        made.low = b.low;
        made.low_open = b.low_open;
    }
    if (b.high < a.high || (b.high == a.high && b.high_open)) {
        made.high = b.high;
        made.high_open = b.high_open;
    }
    return made;
}

double value_in(const Interval& interval) {
    if (!interval.low_open && std::isfinite(interval.low)) return interval.low;
    if (!interval.high_open && std::isfinite(interval.high)) return interval.high;
    if (std::isinf(interval.low) && std::isinf(interval.high)) return 0;
    if (std::isinf(interval.low)) return interval.high - 1;
    if (std::isinf(interval.high)) return interval.low + 1;
    const double middle = interval.low + (interval.high - interval.low) / 2;
    const double whole = std::floor(middle);
    return whole > interval.low ? whole : middle;
}

std::string to_text(const Interval& interval) {
    if (interval.low == interval.high) return "== " + number_text(interval.low);
    std::string text;
    if (std::isfinite(interval.low)) text = (interval.low_open ? "> " : ">= ") + number_text(interval.low);
    if (std::isfinite(interval.high))
        text += (text.empty() ? "" : " and ") + std::string(interval.high_open ? "< " : "<= ") +
                number_text(interval.high);
    return text;
}

std::vector<Conjunction> conjunctions_of(const Expr& condition, Terms terms) {
    const auto* binary = std::get_if<Binary>(&condition.node);
    if (binary == nullptr) return {unreadable()};
    if (promql::is_comparison(binary->op)) return of_comparison(*binary, terms);
    if (!promql::is_set_operator(binary->op)) return {unreadable()};
    std::vector<Conjunction> left = conjunctions_of(*binary->left, terms);
    // With `on` or `ignoring`, the other side speaks of other samples.
    const bool is_of_same = !binary->matching.on && binary->matching.labels.empty();
    if (binary->op == BinaryOp::logical_and)
        return all_pairs(left,
                         is_of_same ? conjunctions_of(*binary->right, terms) : std::vector{unreadable()});
    if (binary->op == BinaryOp::logical_unless) return all_pairs(left, {unreadable()});
    for (Conjunction& conjunction : conjunctions_of(*binary->right, terms))
        left.push_back(std::move(conjunction));
    return left.size() > conjunctions_max ? std::vector{unreadable()} : left;
}

std::optional<double> constant(const Expr& expr) {
    if (const auto* number = std::get_if<NumberLiteral>(&expr.node)) return number->value;
    if (const auto* negation = std::get_if<Negation>(&expr.node)) {
        const auto inner = constant(*negation->inner);
        return inner ? std::optional(-*inner) : std::nullopt;
    }
    const auto* binary = std::get_if<Binary>(&expr.node);
    if (binary == nullptr) return std::nullopt;
    const auto left = constant(*binary->left);
    const auto right = left ? constant(*binary->right) : std::nullopt;
    if (!right) return std::nullopt;
    switch (binary->op) {
    case BinaryOp::add:
        return *left + *right;
    case BinaryOp::sub:
        return *left - *right;
    case BinaryOp::mul:
        return *left * *right;
    case BinaryOp::div:
        return *left / *right;
    default:
        return std::nullopt;
    }
}

Interval range_of(const Expr& expr, const Schema& schema) {
    if (const auto* selector = std::get_if<Selector>(&expr.node)) {
        const auto metric = schema.find(selector->metric_name);
        if (metric == schema.end()) return {};
        if (metric->second.kind == MetricKind::state) return zero_or_one;
        return metric->second.kind == MetricKind::counter ? positive : Interval{};
    }
    if (const auto* subquery = std::get_if<Subquery>(&expr.node)) return range_of(*subquery->inner, schema);
    if (const auto* binary = std::get_if<Binary>(&expr.node))
        return binary->returns_bool ? zero_or_one : Interval{};
    if (const auto* aggregation = std::get_if<Aggregation>(&expr.node))
        return range_of_aggregation(*aggregation, schema);
    if (const auto* call = std::get_if<Call>(&expr.node)) return range_of_call(*call, schema);
    return {};
}

} // namespace homeostat
