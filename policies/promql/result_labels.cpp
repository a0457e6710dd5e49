#include "policies/promql/result_labels.hpp"

#include "policies/promql/evaluation.hpp"
#include "policies/promql/functions.hpp"

#include <algorithm>
#include <ranges>

namespace homeostat::promql {

namespace {

const ResultLabels unknown{.labels = {}, .open = true};

LabelRange exactly(const std::string& value) {
    return {.always = true, .values = std::set{value}, .also_numbers = false};
}

LabelRange anything(bool always) { return {.always = always, .values = std::nullopt, .also_numbers = false}; }

bool is_number(std::string_view text) {
    if (text.starts_with('-')) text.remove_prefix(1);
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

LabelRange either(const LabelRange& a, const LabelRange& b) {
    LabelRange made{.always = a.always && b.always,
                    .values = std::nullopt,
                    .also_numbers = a.also_numbers || b.also_numbers};
    if (!a.values || !b.values) return made;
    made.values = *a.values;
    made.values->insert(b.values->begin(), b.values->end());
    return made;
}

ResultLabels either(const ResultLabels& a, const ResultLabels& b) {
    ResultLabels made{.labels = {}, .open = a.open || b.open};
    const auto add = [&made](const ResultLabels& from, const ResultLabels& other) {
        for (const auto& [name, range] : from.labels) {
            if (made.labels.contains(name)) continue;
            const auto same = other.labels.find(name);
            LabelRange joined = same != other.labels.end() ? either(range, same->second) : range;
            if (same == other.labels.end()) {
                joined.always = false;
                if (other.open) joined = anything(false);
            }
            made.labels.emplace(name, std::move(joined));
        }
    };
    add(a, b);
    add(b, a);
    return made;
}

// A template is a value that is known later.
bool is_template(const std::string& value) { return value.find("{{") != std::string::npos; }

// What a matcher leaves of a label; none where it leaves nothing. A range without values left, and with no
// sample that lacks the label, is nothing.
std::optional<LabelRange> narrowed(const Matcher& matcher, LabelRange range) {
    if (is_template(matcher.value)) return range;
    const bool takes_absent = matcher.matches("");
    if (!takes_absent) range.always = true;
    if (matcher.op == MatchOp::equal && !takes_absent) {
        if (!range.can_be(matcher.value)) return std::nullopt;
        return exactly(matcher.value);
    }
    if (!range.values) return range;
    std::erase_if(*range.values, [&](const std::string& value) { return !matcher.matches(value); });
    if (!range.values->empty() || range.also_numbers || (takes_absent && !range.always)) return range;
    return std::nullopt;
}

std::optional<ResultLabels> narrowed(const Selector& selector, ResultLabels shape) {
    for (const Matcher& matcher : selector.matchers) {
        if (matcher.label == metric_name_label) continue;
        const bool takes_absent = !is_template(matcher.value) && matcher.matches("");
        if (shape.never_has(matcher.label)) {
            if (!takes_absent) return std::nullopt;
            continue;
        }
        const auto left = narrowed(matcher, shape.range(matcher.label));
        if (!left) return std::nullopt;
        if (matcher.op == MatchOp::equal && takes_absent) {
            if (left->always) return std::nullopt;
            // The matcher says that the label is absent; an open shape cannot express it.
            if (!shape.open) shape.labels.erase(matcher.label);
            continue;
        }
        shape.labels[matcher.label] = *left;
    }
    return shape;
}

ResultLabels only(const ResultLabels& from, const std::vector<std::string>& names) {
    ResultLabels made;
    for (const std::string& name : names)
        if (name != metric_name_label && !from.never_has(name)) made.labels[name] = from.range(name);
    return made;
}

ResultLabels without(ResultLabels from, const std::vector<std::string>& names) {
    for (const std::string& name : names) from.labels.erase(name);
    return from;
}

// Both sides have the labels that take part alike.
ResultLabels refined(const VectorMatching& matching, ResultLabels labels, const ResultLabels& other) {
    for (const auto& [name, range] : other.labels)
        if (takes_part(matching, name) && range.always && !labels.always_has(name) && !labels.never_has(name))
            labels.labels[name] = range;
    return labels;
}

ResultLabels of_matched(const Binary& binary, const ResultLabels& left, const ResultLabels& right) {
    const VectorMatching& matching = binary.matching;
    const bool one_is_right = matching.cardinality != VectorMatching::Cardinality::one_to_many;
    const ResultLabels& one = one_is_right ? right : left;
    ResultLabels many = refined(matching, one_is_right ? left : right, one);
    if (matching.cardinality == VectorMatching::Cardinality::one_to_one)
        return matching.on ? only(many, matching.labels) : without(std::move(many), matching.labels);
    for (const std::string& name : matching.include) {
        many.labels.erase(name);
        if (!one.never_has(name)) many.labels[name] = one.range(name);
    }
    return many;
}

ResultLabels of_binary(const Binary& binary, const Schema& schema) {
    if (binary.left->type != Type::vector)
        return binary.right->type == Type::vector ? labels_of_result(*binary.right, schema) : ResultLabels{};
    ResultLabels left = labels_of_result(*binary.left, schema);
    if (binary.right->type != Type::vector || binary.op == BinaryOp::logical_unless) return left;
    const ResultLabels right = labels_of_result(*binary.right, schema);
    if (binary.op == BinaryOp::logical_or) return either(left, right);
    if (mismatch(binary.matching, left, right)) return unknown;
    if (binary.op == BinaryOp::logical_and) return refined(binary.matching, left, right);
    return of_matched(binary, left, right);
}

ResultLabels of_aggregation(const Aggregation& aggregation, const Schema& schema) {
    ResultLabels operand = labels_of_result(*aggregation.operand, schema);
    if (aggregation.op == AggregateOp::topk || aggregation.op == AggregateOp::bottomk) return operand;
    ResultLabels made =
        aggregation.without ? without(operand, aggregation.labels) : only(operand, aggregation.labels);
    if (aggregation.op == AggregateOp::count_values)
        made.labels[std::get<StringLiteral>(aggregation.parameter->node).value] = anything(true);
    return made;
}

const std::string& text_of(const Call& call, std::size_t i) {
    return std::get<StringLiteral>(call.arguments[i]->node).value;
}

// label_replace(v, to, replacement, from, regex)
ResultLabels of_label_replace(const Call& call, ResultLabels operand) {
    const std::string& to = text_of(call, 1);
    const std::string& replacement = text_of(call, 2);
    const std::string& regex = text_of(call, 4);
    const bool is_constant = !replacement.empty() && replacement.find('$') == std::string::npos;
    const bool always_matches =
        regex == ".*" || regex == "(.*)" || (regex.empty() && text_of(call, 3).empty());
    if (is_constant && always_matches) {
        operand.labels[to] = exactly(replacement);
        return operand;
    }
    if (is_constant && !operand.never_has(to))
        operand.labels[to] = either(operand.range(to), exactly(replacement));
    else
        operand.labels[to] = anything(false);
    return operand;
}

ResultLabels of_label_join(const Call& call, ResultLabels operand) {
    bool always = false;
    for (std::size_t i = 3; i < call.arguments.size(); ++i) always |= operand.always_has(text_of(call, i));
    operand.labels[text_of(call, 1)] = anything(always);
    return operand;
}

ResultLabels of_absent(const Expr& argument) {
    ResultLabels made;
    for (const Label& label : labels_of_absent(argument).all())
        made.labels[label.name] = exactly(label.value);
    return made;
}

ResultLabels of_call(const Call& call, const Schema& schema) {
    const std::string_view name = call.function->name;
    if (name == "absent" || name == "absent_over_time") return of_absent(*call.arguments.front());
    if (name == "vector") return {};
    const auto is_samples = [](const ExprPtr& argument) {
        return argument->type == Type::vector || argument->type == Type::matrix;
    };
    const auto samples = std::ranges::find_if(call.arguments, is_samples);
    if (samples == call.arguments.end()) return {}; // hour() and its kin
    ResultLabels operand = labels_of_result(**samples, schema);
    if (name == "label_replace") return of_label_replace(call, std::move(operand));
    if (name == "label_join") return of_label_join(call, std::move(operand));
    if (name == "histogram_quantile") return without(std::move(operand), {"le"});
    return operand;
}

} // namespace

bool LabelRange::can_be(const std::string& value) const {
    return !values || values->contains(value) || (also_numbers && is_number(value));
}

bool ResultLabels::always_has(const std::string& label) const {
    const auto found = labels.find(label);
    return found != labels.end() && found->second.always;
}

LabelRange ResultLabels::range(const std::string& label) const {
    const auto found = labels.find(label);
    return found != labels.end() ? found->second : anything(false);
}

ResultLabels any_of(const std::vector<ResultLabels>& shapes) {
    if (shapes.empty()) return unknown;
    ResultLabels made = shapes.front();
    for (const ResultLabels& shape : shapes | std::views::drop(1)) made = either(made, shape);
    return made;
}

std::vector<ResultLabels> shapes_of(const Selector& selector, const Schema& schema) {
    const auto metric = schema.find(selector.metric_name);
    const bool is_known = metric != schema.end() && !metric->second.shapes.empty();
    std::vector<ResultLabels> left;
    for (const ResultLabels& shape : is_known ? metric->second.shapes : std::vector{unknown})
        if (auto narrow = narrowed(selector, shape)) left.push_back(std::move(*narrow));
    return left;
}

bool takes_part(const VectorMatching& matching, const std::string& label) {
    return matching.on == (std::ranges::find(matching.labels, label) != matching.labels.end());
}

std::optional<std::string> mismatch(const VectorMatching& matching, const ResultLabels& left,
                                    const ResultLabels& right) {
    const auto found = [&](const ResultLabels& one, const ResultLabels& other) -> std::optional<std::string> {
        for (const auto& [name, range] : one.labels) {
            if (!takes_part(matching, name) || !range.always) continue;
            if (other.never_has(name)) return name;
            const LabelRange there = other.range(name);
            if (!there.always || !range.values || !there.values || range.also_numbers || there.also_numbers)
                continue;
            if (std::ranges::none_of(*range.values,
                                     [&](const std::string& value) { return there.values->contains(value); }))
                return name;
        }
        return std::nullopt;
    };
    const auto label = found(left, right);
    return label ? label : found(right, left);
}

ResultLabels labels_of_result(const Expr& expr, const Schema& schema) {
    if (const auto* selector = std::get_if<Selector>(&expr.node)) return any_of(shapes_of(*selector, schema));
    if (const auto* subquery = std::get_if<Subquery>(&expr.node))
        return labels_of_result(*subquery->inner, schema);
    if (const auto* negation = std::get_if<Negation>(&expr.node))
        return labels_of_result(*negation->inner, schema);
    if (const auto* binary = std::get_if<Binary>(&expr.node)) return of_binary(*binary, schema);
    if (const auto* aggregation = std::get_if<Aggregation>(&expr.node))
        return of_aggregation(*aggregation, schema);
    if (const auto* call = std::get_if<Call>(&expr.node)) return of_call(*call, schema);
    return {};
}

MetricKind kind_of_result(const Expr& expr, const Schema& schema) {
    using enum MetricKind;
    if (const auto* selector = std::get_if<Selector>(&expr.node)) {
        const auto metric = schema.find(selector->metric_name);
        return metric == schema.end() ? unknown : metric->second.kind;
    }
    if (const auto* binary = std::get_if<Binary>(&expr.node)) {
        if (is_comparison(binary->op) && binary->returns_bool) return state;
        const bool is_filter = is_comparison(binary->op) || is_set_operator(binary->op);
        if (!is_filter || binary->left->type != Type::vector) return gauge;
        const MetricKind left = kind_of_result(*binary->left, schema);
        if (binary->op != BinaryOp::logical_or) return left;
        return left == kind_of_result(*binary->right, schema) ? left : unknown;
    }
    if (const auto* aggregation = std::get_if<Aggregation>(&expr.node)) {
        using enum AggregateOp;
        if (aggregation->op == group) return state;
        const bool keeps = aggregation->op == topk || aggregation->op == bottomk || aggregation->op == max ||
                           aggregation->op == min;
        return keeps ? kind_of_result(*aggregation->operand, schema) : gauge;
    }
    if (const auto* call = std::get_if<Call>(&expr.node)) {
        const std::string_view name = call->function->name;
        if (name.starts_with("absent") || name == "present_over_time") return state;
        if (name == "label_replace" || name == "label_join")
            return kind_of_result(*call->arguments.front(), schema);
        return gauge;
    }
    return gauge;
}

} // namespace homeostat::promql
