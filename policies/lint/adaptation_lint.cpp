// Adaptations, alone and against each other.
#include "policies/lint/flap_bound.hpp"
#include "policies/lint/lint.hpp"
#include "policies/lint/warning.hpp"
#include "policies/overlay.hpp"
#include "policies/promql/introspect.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace homeostat {

namespace {

bool names(const std::vector<SourceText>& list, const AdaptationRule& rule) {
    return std::ranges::any_of(list, [&](const SourceText& name) { return name.text == rule.name.text; });
}

// ---- two that fight

// A template can be anything; names without one are equal or not.
bool can_be_same(const Template& a, const Template& b) {
    return !a.labels().empty() || !b.labels().empty() || a == b;
}

bool wants_same(const OverlaySetting& a, const OverlaySetting& b) {
    return a.program == b.program && a.ladder == b.ladder && a.gap_max == b.gap_max && a.value == b.value;
}

// What both set, and to something else.
const OverlaySetting* contested(const AdaptationRule& a, const AdaptationRule& b) {
    for (const OverlaySetting& x : a.settings)
        for (const OverlaySetting& y : b.settings)
            if (x.kind == y.kind && x.map == y.map && can_be_same(x.interface, y.interface) &&
                can_be_same(x.key, y.key) && !wants_same(x, y))
                return &y;
    return nullptr;
}

std::string what_is_set(const OverlaySetting& setting) {
    return setting.kind == OverlaySetting::Kind::entry ? "entries of maps." + setting.map
                                                       : attribute_text(setting);
}

// What holds wherever the condition does: symptoms that must be raised, and those that must not.
void must_hold(const When& when, bool raised, std::map<std::string, bool>& symptoms) {
    const When::Kind conjunction = raised ? When::Kind::all : When::Kind::any;
    if (when.kind == When::Kind::symptom) symptoms.emplace(when.symptom, raised);
    if (when.kind == When::Kind::negation) must_hold(when.operands.front(), !raised, symptoms);
    if (when.kind == conjunction)
        for (const When& operand : when.operands) must_hold(operand, raised, symptoms);
}

// One needs a symptom that the other must be without.
bool exclude_each_other(const AdaptationRule& a, const AdaptationRule& b) {
    std::map<std::string, bool> of_a;
    std::map<std::string, bool> of_b;
    must_hold(a.when, true, of_a);
    must_hold(b.when, true, of_b);
    return std::ranges::any_of(of_a, [&](const auto& entry) {
        const auto other = of_b.find(entry.first);
        return other != of_b.end() && other->second != entry.second;
    });
}

void check_fight(const AdaptationRule& a, const AdaptationRule& b, Diagnostics& diagnostics) {
    if (a.priority != b.priority || a.enforcement != b.enforcement || a.enforcement == Enforcement::off)
        return;
    if (names(a.inhibits, b) || names(b.inhibits, a) || exclude_each_other(a, b)) return;
    const OverlaySetting* setting = contested(a, b);
    if (setting == nullptr) return;
    diagnostics.push_back(warning("fight", b.name.file, setting->at,
                                  "'" + a.name.text + "' and '" + b.name.text + "' set " +
                                      what_is_set(*setting) + " at the same priority, " +
                                      std::to_string(a.priority) + ": '" + a.name.text + "' wins by its name",
                                  "give them different priorities, or let one inhibit the other"));
}

// ---- one alone

class AdaptationLint {
  public:
    AdaptationLint(const AdaptationRule& rule, const PolicySet& policies, Diagnostics& diagnostics)
        : rule_(rule), policies_(policies), diagnostics_(diagnostics) {
        if (rule_.enforcement == Enforcement::off)
            warn("off", "'" + rule_.name.text + "' is off: it does not even decide",
                 "let it be in shadow to see what it would do");
        check_requirements();
        check_damping();
        if (rule_.verify) check_verify(*rule_.verify);
    }

  private:
    void warn(std::string_view name, std::string what, std::string what_to_do) {
        diagnostics_.push_back(warning(name, rule_.name, 0, std::move(what), std::move(what_to_do)));
    }

    void check_requirements() {
        for (const AdaptationRule& other : policies_.adaptations) {
            const auto required = std::ranges::find(rule_.requirements, other.name.text, &SourceText::text);
            const bool is_real =
                other.enforcement == Enforcement::enforce ||
                (other.enforcement == Enforcement::shadow && rule_.enforcement != Enforcement::enforce);
            if (required == rule_.requirements.end() || is_real) continue;
            diagnostics_.push_back(warning("requires-off", *required, 0,
                                           "'" + rule_.name.text + "' is never applied: it requires '" +
                                               other.name.text + "', which is " +
                                               (other.enforcement == Enforcement::off ? "off" : "in shadow"),
                                           "enforce that one, or do not require it"));
        }
    }

    void check_damping() {
        if (!rule_.damp) return;
        const auto penalty = static_cast<std::int64_t>(Damping::penalty);
        if (rule_.damp->suppress <= penalty)
            warn("damps-at-once",
                 "'" + rule_.name.text + "' is suppressed by a single application, which adds " +
                     std::to_string(penalty),
                 "expected damp.suppress above it, or a cooldown instead");
        // The highest penalty where applications follow each other as fast as they may.
        const Duration apart = shortest_cycle(rule_, policies_, Duration{0}).time;
        const double half_lives =
            static_cast<double>(apart.count()) / static_cast<double>(rule_.damp->half_life.count());
        const double highest = Damping::penalty / (1 - std::exp2(-half_lives));
        if (apart > Duration{0} && highest < static_cast<double>(rule_.damp->suppress))
            warn("damp-never-binds",
                 "the penalty of '" + rule_.name.text +
                     "' never reaches damp.suppress: applications are at least " + to_text(apart) + " apart",
                 "expected a longer damp.half_life, a lower damp.suppress, or a shorter min_hold and "
                 "cooldown");
    }

    void check_verify(const VerifyRule& verify) {
        const SourceText& expect = verify.expect.source;
        if (!verify.rollback)
            diagnostics_.push_back(
                warning("verify-reports-only", expect, 0,
                        "a failed verification of '" + rule_.name.text + "' is only reported",
                        "let otherwise be \"rollback\", unless it must stay"));
        const Duration window = promql::longest_window(verify.expect.expr);
        if (window > verify.within)
            diagnostics_.push_back(warning("verify-looks-back", expect, 0,
                                           "'expect' looks back " + to_text(window) + ", within " +
                                               to_text(verify.within) +
                                               " of the change: it always sees what was before",
                                           "let its window be shorter, or 'within' longer"));
    }

    const AdaptationRule& rule_;
    const PolicySet& policies_;
    Diagnostics& diagnostics_;
};

} // namespace

void lint_adaptations(const PolicySet& policies, const LintContext& context, Diagnostics& diagnostics) {
    for (std::size_t i = 0; i < policies.adaptations.size(); ++i) {
        const AdaptationRule& rule = policies.adaptations[i];
        AdaptationLint(rule, policies, diagnostics);
        if (rule.verify && context.period && rule.verify->within < 2 * *context.period)
            diagnostics.push_back(warning("verify-too-soon", rule.verify->expect.source, 0,
                                          "a verification within " + to_text(rule.verify->within) +
                                              " is asked hardly once, at a period of " +
                                              to_text(*context.period),
                                          "expected at least " + to_text(2 * *context.period)));
        for (std::size_t j = i + 1; j < policies.adaptations.size(); ++j)
            check_fight(rule, policies.adaptations[j], diagnostics);
    }
}

} // namespace homeostat
