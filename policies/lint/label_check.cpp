#include "policies/lint/label_check.hpp"

#include "policies/lint/warning.hpp"
#include "policies/promql/literals.hpp"

#include <algorithm>

namespace homeostat {

namespace {

using promql::Aggregation;
using promql::Binary;
using promql::BinaryOp;
using promql::LabelRange;
using promql::Matcher;
using promql::MatchOp;
using promql::ResultLabels;
using promql::Schema;
using promql::Selector;
using promql::VectorMatching;

constexpr std::size_t listed_max = 12;

template <class Words> std::string list_of(const Words& words) {
    std::string list;
    std::size_t count = 0;
    for (const std::string& word : words) {
        if (++count > listed_max) return list + ", …";
        list += (list.empty() ? "" : ", ") + word;
    }
    return list;
}

std::vector<std::string> names_in(const ResultLabels& labels) {
    std::vector<std::string> names;
    for (const auto& [name, range] : labels.labels) names.push_back(name);
    return names;
}

std::string suggestion(const std::string& word, const std::vector<std::string>& candidates,
                       const std::string& what) {
    if (const std::string meant = nearest(word, candidates); !meant.empty())
        return "did you mean '" + meant + "'?";
    return candidates.empty() ? "there is no " + what : what + ": " + list_of(candidates);
}

std::string labels_suggestion(const std::string& label, const ResultLabels& known) {
    const std::vector<std::string> names = names_in(known);
    return names.empty() ? "it has no labels" : suggestion(label, names, "its labels");
}

bool is_template(const std::string& value) { return value.find("{{") != std::string::npos; }

// The labels that one condition names.
class ConditionLabels {
  public:
    ConditionLabels(const Condition& condition, const NamesElsewhere& elsewhere, const Schema& schema,
                    Diagnostics& diagnostics)
        : source_(condition.source), elsewhere_(elsewhere), schema_(schema), diagnostics_(diagnostics) {
        check(condition.expr);
    }

  private:
    void error(std::size_t offset, std::string what, std::string expected) {
        diagnostics_.push_back({.file = source_.file,
                                .at = source_.position(offset),
                                .what = std::move(what),
                                .expected = std::move(expected)});
    }

    void no_effect(std::size_t offset, std::string what) {
        diagnostics_.push_back(warning("label-without-effect", source_, offset, std::move(what),
                                       "remove it, or name another label"));
    }

    void check(const promql::Expr& expr) {
        promql::for_each_child(expr, [this](const promql::Expr& child) { check(child); });
        if (const auto* selector = std::get_if<Selector>(&expr.node))
            check_selector(*selector, expr.at.offset);
        if (const auto* aggregation = std::get_if<Aggregation>(&expr.node))
            check_grouping(*aggregation, expr.at.offset);
        if (const auto* binary = std::get_if<Binary>(&expr.node))
            if (binary->left->type == promql::Type::vector && binary->right->type == promql::Type::vector)
                check_matching(*binary);
    }

    // ---- matchers

    void check_selector(const Selector& selector, std::size_t offset) {
        const auto metric = schema_.find(selector.metric_name);
        if (metric == schema_.end() || metric->second.shapes.empty()) return;
        const ResultLabels known = promql::any_of(metric->second.shapes);
        const std::size_t before = diagnostics_.size();
        for (const Matcher& matcher : selector.matchers)
            if (matcher.label != metric_name_label) check_matcher(selector, matcher, known);
        if (diagnostics_.size() == before && promql::shapes_of(selector, schema_).empty())
            error(offset, "no series of '" + selector.metric_name + "' is matched by all of these at once",
                  "each matcher alone can match");
    }

    void check_matcher(const Selector& selector, const Matcher& matcher, const ResultLabels& known) {
        const bool takes_absent = !is_template(matcher.value) && matcher.matches("");
        const std::string metric = "'" + selector.metric_name + "'";
        if (known.never_has(matcher.label)) {
            const std::string what = metric + " has no label '" + matcher.label + "'";
            if (takes_absent)
                no_effect(matcher.at.offset, what);
            else
                error(matcher.at.offset, what, labels_suggestion(matcher.label, known));
            return;
        }
        const LabelRange range = known.range(matcher.label);
        if (is_template(matcher.value) || !range.values) return;
        const std::string label = "'" + matcher.label + "' of " + metric;
        const std::vector<std::string> words(range.values->begin(), range.values->end());
        const bool is_literal = matcher.op == MatchOp::equal || matcher.op == MatchOp::not_equal;
        if (is_literal && !matcher.value.empty() && !range.can_be(matcher.value)) {
            const std::string what = label + " is never \"" + matcher.value + "\"";
            if (matcher.op == MatchOp::not_equal)
                no_effect(matcher.at.offset, what);
            else
                error(matcher.at.offset, what, value_advice(matcher, words));
        }
        if (matcher.op == MatchOp::regex && !takes_absent && !range.also_numbers &&
            std::ranges::none_of(words, [&](const std::string& word) { return matcher.matches(word); }))
            error(matcher.at.offset, "no value of " + label + " is matched by \"" + matcher.value + "\"",
                  "it is one of: " + list_of(words));
    }

    // A value that no policy here gives may be the name of something in another one.
    std::string value_advice(const Matcher& matcher, const std::vector<std::string>& words) const {
        for (const auto& [label, names] :
             {std::pair("symptom", &elsewhere_.symptoms), std::pair("adaptation", &elsewhere_.adaptations)})
            if (const auto found = names->find(matcher.value);
                matcher.label == label && found != names->end())
                return found->second;
        return suggestion(matcher.value, words, "it is one of");
    }

    // ---- groupings

    void check_grouping(const Aggregation& aggregation, std::size_t offset) {
        const ResultLabels operand = promql::labels_of_result(*aggregation.operand, schema_);
        for (const std::string& label : aggregation.labels) {
            if (label == metric_name_label || !operand.never_has(label)) continue;
            const std::string what =
                std::string(promql::to_text(aggregation.op)) + ": the samples have no label '" + label + "'";
            if (aggregation.without)
                no_effect(offset, what);
            else
                error(offset, what, labels_suggestion(label, operand));
        }
    }

    // ---- vector matching

    void check_matching(const Binary& binary) {
        const ResultLabels left = promql::labels_of_result(*binary.left, schema_);
        const ResultLabels right = promql::labels_of_result(*binary.right, schema_);
        const VectorMatching& matching = binary.matching;
        const std::size_t offset = binary.right->at.offset;
        bool is_sound = true;
        for (const std::string& label : matching.labels) {
            const bool left_lacks = left.never_has(label);
            const bool right_lacks = right.never_has(label);
            if (matching.on ? !left_lacks && !right_lacks : !left_lacks || !right_lacks) continue;
            const std::string side = left_lacks && right_lacks ? "neither side has"
                                     : left_lacks              ? "the left side has not"
                                                               : "the right side has not";
            const std::string what =
                "'" + std::string(promql::to_text(binary.op)) + "': " + side + " the label '" + label + "'";
            if (matching.on)
                error(offset, what, labels_suggestion(label, left_lacks ? left : right));
            else
                no_effect(offset, what);
            is_sound &= !matching.on;
        }
        if (is_sound && binary.op != BinaryOp::logical_or) check_partners(binary, left, right);
        const bool one_is_right = matching.cardinality != VectorMatching::Cardinality::one_to_many;
        const ResultLabels& one = one_is_right ? right : left;
        for (const std::string& label : matching.include)
            if (one.never_has(label))
                error(offset, "the label '" + label + "' cannot be taken over: the other side has it not",
                      labels_suggestion(label, one));
    }

    void check_partners(const Binary& binary, const ResultLabels& left, const ResultLabels& right) {
        const auto label = promql::mismatch(binary.matching, left, right);
        if (!label) return;
        const std::string op = "'" + std::string(promql::to_text(binary.op)) + "'";
        std::string why = "the left side alone has the label '" + *label + "'";
        if (left.never_has(*label)) why = "the right side alone has the label '" + *label + "'";
        if (!left.never_has(*label) && !right.never_has(*label))
            why = "'" + *label + "' is " + list_of(*left.range(*label).values) + " on the left, " +
                  list_of(*right.range(*label).values) + " on the right";
        std::vector<std::string> shared;
        for (const std::string& name : names_in(left))
            if (name != *label && !right.never_has(name)) shared.push_back(name);
        error(binary.right->at.offset, "the sides of " + op + " never match: " + why,
              shared.empty()
                  ? "expected samples with the same labels on both sides"
                  : "write " + std::string(promql::to_text(binary.op)) + " on (" + list_of(shared) + ")");
    }

    const SourceText& source_;
    const NamesElsewhere& elsewhere_;
    const Schema& schema_;
    Diagnostics& diagnostics_;
};

// An instance is found by its key in both.
void check_clear(const SymptomRule& rule, const Schema& schema, Diagnostics& diagnostics) {
    const ResultLabels raise = promql::labels_of_result(rule.raise.expr, schema);
    const ResultLabels clear = promql::labels_of_result(rule.clear->expr, schema);
    const auto label = promql::mismatch({}, raise, clear);
    if (!label) return;
    std::string why = "it has no label '" + *label + "', which 'raise' has";
    if (raise.never_has(*label)) why = "it has the label '" + *label + "', which 'raise' has not";
    if (!raise.never_has(*label) && !clear.never_has(*label))
        why = "'" + *label + "' is " + list_of(*clear.range(*label).values) + " in it, and " +
              list_of(*raise.range(*label).values) + " in 'raise'";
    diagnostics.push_back({.file = rule.clear->source.file,
                           .at = rule.clear->source.position(0),
                           .what = "'clear' clears no instance of '" + rule.name.text + "': " + why,
                           .expected = "expected the labels of 'raise': " + list_of(names_in(raise))});
}

// Templates against the keys that they are bound from.
class TemplateLabels {
  public:
    TemplateLabels(std::string file, std::string owner, std::vector<ResultLabels> keys,
                   Diagnostics& diagnostics)
        : file_(std::move(file)), owner_(std::move(owner)), keys_(std::move(keys)),
          diagnostics_(diagnostics) {}

    void check(const Template& text, Position at, const std::string& besides = "") {
        for (const std::string& label : text.labels())
            if (label != besides) check_label(label, at);
    }

  private:
    void check_label(const std::string& label, Position at) {
        const auto lacks = [&](const ResultLabels& key) { return key.never_has(label); };
        if (keys_.empty() || std::ranges::none_of(keys_, lacks)) return;
        const std::string what = "no instance of '" + owner_ + "' has the label '" + label + "'";
        if (std::ranges::all_of(keys_, lacks))
            diagnostics_.push_back({.file = file_,
                                    .at = at,
                                    .what = what,
                                    .expected = labels_suggestion(label, promql::any_of(keys_))});
        else
            diagnostics_.push_back(
                warning("label-not-always", file_, at,
                        "not every instance of '" + owner_ + "' has the label '" + label + "'",
                        "those without it wait at the gate 'target'"));
    }

    std::string file_;
    std::string owner_;
    std::vector<ResultLabels> keys_;
    Diagnostics& diagnostics_;
};

void check_templates(const AdaptationRule& rule, std::vector<ResultLabels> keys, Diagnostics& diagnostics) {
    TemplateLabels labels(rule.name.file, rule.name.text, std::move(keys), diagnostics);
    std::optional<Position> last_interface;
    for (const OverlaySetting& setting : rule.settings) {
        if (setting.interface_at != last_interface) labels.check(setting.interface, setting.interface_at);
        last_interface = setting.interface_at;
        labels.check(setting.program, setting.at);
        labels.check(setting.key, setting.at);
    }
    if (!rule.verify) return;
    const Condition& expect = rule.verify->expect;
    promql::for_each_literal(expect.expr, [&](const std::string& literal, promql::Span at) {
        if (const auto parsed = parse_template(literal))
            labels.check(*parsed, expect.source.position(at.offset));
    });
}

} // namespace

void check_labels(const PolicySet& policies, const Schema& schema, Diagnostics& diagnostics) {
    for (const SignalRule& signal : policies.signals)
        ConditionLabels(signal.expr, policies.elsewhere, schema, diagnostics);
    for (const Symptom& symptom : policies.symptoms) {
        const SymptomRule& rule = symptom.rule;
        ConditionLabels(rule.raise, policies.elsewhere, schema, diagnostics);
        if (rule.clear) {
            ConditionLabels(*rule.clear, policies.elsewhere, schema, diagnostics);
            check_clear(rule, schema, diagnostics);
        }
        TemplateLabels(rule.name.file, rule.name.text, {key_of(symptom, schema)}, diagnostics)
            .check(rule.summary, rule.summary_at, "value");
    }
    for (const AdaptationRule& rule : policies.adaptations) {
        if (rule.verify) ConditionLabels(rule.verify->expect, policies.elsewhere, schema, diagnostics);
        check_templates(rule, keys_of(rule, policies, schema), diagnostics);
    }
}

} // namespace homeostat
