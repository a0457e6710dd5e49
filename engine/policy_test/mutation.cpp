#include "engine/policy_test/mutation.hpp"

#include "policies/overlay.hpp"

#include <algorithm>
#include <tuple>

namespace homeostat::policy_test {

namespace {

Position place_of(const Places& places, const std::string& key, const SourceText& name) {
    const auto found = places.find(key);
    return found == places.end() ? name.position(0) : found->second;
}

std::string changed(const std::string& key, const std::string& from, const std::string& to) {
    return key + " " + from + " becomes " + to;
}

// The mutants of one document.
class Mutator {
  public:
    Mutator(const std::vector<PolicyDocument>& policies, std::size_t document, std::vector<Mutant>& mutants)
        : policies_(policies), document_(document), mutants_(mutants) {}

    void run() {
        const PolicyDocument& policy = policies_[document_];
        for (std::size_t i = 0; i < policy.signals.size(); ++i) {
            const SignalRule& rule = policy.signals[i];
            condition("signal " + rule.name.text, rule.expr,
                      [i](PolicyDocument& d) -> Condition& { return d.signals[i].expr; });
        }
        for (std::size_t i = 0; i < policy.symptoms.size(); ++i) symptom(policy.symptoms[i], i);
        for (std::size_t i = 0; i < policy.adaptations.size(); ++i) adaptation(policy.adaptations[i], i);
    }

  private:
    using Change = std::function<void(PolicyDocument&)>;

    void add(const SourceText& name, Position at, std::string what, Change change) {
        mutants_.push_back({name.file, at, std::move(what), document_, std::move(change)});
    }

    template <class Find> void condition(const std::string& whose, const Condition& original, Find find) {
        for (ChangedExpr& one : changes_of(original.expr)) {
            // An operator stands after the blanks that follow its left operand.
            const std::string& text = original.source.text;
            std::size_t offset = one.at.offset;
            if (one.at.length == 0) offset = std::min(text.find_first_not_of(" )\n\t", offset), text.size());
            add(original.source, original.source.position(offset), whose + ": " + one.what,
                [find, expr = std::move(one.expr)](PolicyDocument& d) {
                    Condition& condition = find(d);
                    condition.expr = expr;
                    condition.source.text = promql::to_text(expr);
                });
        }
    }

    // A time that is set: gone, twice and half as long.
    template <class Find> void duration(const std::string& whose, const SourceText& name,
                                        const Places& places, const std::string& key, Duration value,
                                        bool may_go, Find find) {
        if (value <= Duration{0} || !places.contains(key)) return;
        const auto become = [&](Duration to, const std::string& what) {
            add(name, place_of(places, key, name), whose + ": " + what,
                [find, to](PolicyDocument& d) { find(d) = to; });
        };
        if (may_go) become(Duration{0}, key + " " + to_text(value) + " is gone");
        become(value * 2, changed(key, to_text(value), to_text(value * 2)));
        if (value / 2 > Duration{0}) become(value / 2, changed(key, to_text(value), to_text(value / 2)));
    }

    void symptom(const SymptomRule& rule, std::size_t i) {
        const std::string whose = "symptom " + rule.name.text;
        condition(whose + ", raise", rule.raise,
                  [i](PolicyDocument& d) -> Condition& { return d.symptoms[i].raise; });
        if (rule.clear) {
            condition(whose + ", clear", *rule.clear,
                      [i](PolicyDocument& d) -> Condition& { return *d.symptoms[i].clear; });
            add(rule.name, rule.clear->source.position(0), whose + ": clear is gone",
                [i](PolicyDocument& d) { d.symptoms[i].clear.reset(); });
        }
        const auto time = [&](const std::string& key, Duration SymptomTiming::* member, bool may_go) {
            duration(whose, rule.name, rule.places, key, rule.timing.*member, may_go,
                     [i, member](PolicyDocument& d) -> Duration& { return d.symptoms[i].timing.*member; });
        };
        time("for", &SymptomTiming::for_, true);
        time("keep", &SymptomTiming::keep, true);
        time("forget", &SymptomTiming::forget, false);
        missing(whose, rule, i);
        quorum(whose, rule, i);
    }

    void missing(const std::string& whose, const SymptomRule& rule, std::size_t i) {
        for (const OnMissing to : {OnMissing::hold, OnMissing::raise, OnMissing::clear})
            if (to != rule.timing.on_missing)
                add(rule.name, place_of(rule.places, "on_missing", rule.name),
                    whose + ": " +
                        changed("on_missing", std::string(to_text(rule.timing.on_missing)),
                                std::string(to_text(to))),
                    [i, to](PolicyDocument& d) { d.symptoms[i].timing.on_missing = to; });
    }

    void quorum(const std::string& whose, const SymptomRule& rule, std::size_t i) {
        if (!rule.timing.quorum) return;
        const Quorum quorum = *rule.timing.quorum;
        const Position at = place_of(rule.places, "quorum", rule.name);
        const auto text = [](const Quorum& q) {
            return std::to_string(q.needed) + "/" + std::to_string(q.ticks);
        };
        const auto become = [&](Quorum to) {
            if (to.needed >= 1 && to.needed <= to.ticks && to.ticks <= Quorum::ticks_max)
                add(rule.name, at, whose + ": " + changed("quorum", text(quorum), text(to)),
                    [i, to](PolicyDocument& d) { d.symptoms[i].timing.quorum = to; });
        };
        become({quorum.needed + 1, quorum.ticks});
        become({quorum.needed - 1, quorum.ticks});
        become({quorum.needed, quorum.ticks + 1});
        add(rule.name, at, whose + ": quorum " + text(quorum) + " is gone",
            [i](PolicyDocument& d) { d.symptoms[i].timing.quorum.reset(); });
    }

    void adaptation(const AdaptationRule& rule, std::size_t i) {
        const std::string whose = "adaptation " + rule.name.text;
        when(whose, rule, i);
        priority(whose, rule, i);
        enforcement(whose, rule, i);
        relations(whose, rule, i);
        const auto time = [&](const std::string& key, Duration AdaptationRule::* member) {
            duration(whose, rule.name, rule.places, key, rule.*member, true,
                     [i, member](PolicyDocument& d) -> Duration& { return d.adaptations[i].*member; });
        };
        time("min_hold", &AdaptationRule::min_hold);
        time("cooldown", &AdaptationRule::cooldown);
        limits(whose, rule, i);
        verify(whose, rule, i);
        overlay(whose, rule, i);
    }

    // Every `and` becomes `or` and the other way round; every `not` goes.
    void when(const std::string& whose, const AdaptationRule& rule, std::size_t i) {
        std::vector<std::size_t> path;
        const std::function<void(const When&)> visit = [&](const When& node) {
            const auto change = [&](const std::string& what, auto edit) {
                add(rule.name, rule.when_source.position(node.offset), whose + ", when: " + what,
                    [i, path, edit](PolicyDocument& d) {
                        When* at = &d.adaptations[i].when;
                        for (const std::size_t step : path) at = &at->operands[step];
                        edit(*at);
                    });
            };
            if (node.kind == When::Kind::all)
                change("and becomes or", [](When& w) { w.kind = When::Kind::any; });
            if (node.kind == When::Kind::any)
                change("or becomes and", [](When& w) { w.kind = When::Kind::all; });
            if (node.kind == When::Kind::negation)
                change("not is gone", [](When& w) { w = When(w.operands.front()); });
            for (std::size_t k = 0; k < node.operands.size(); ++k) {
                path.push_back(k);
                visit(node.operands[k]);
                path.pop_back();
            }
        };
        visit(rule.when);
    }

    // Only where another adaptation may want the same attribute.
    void priority(const std::string& whose, const AdaptationRule& rule, std::size_t i) {
        std::vector<std::int64_t> others;
        for (const PolicyDocument& policy : policies_)
            for (const AdaptationRule& other : policy.adaptations)
                if (other.name.text != rule.name.text && contests(rule, other))
                    others.push_back(other.priority);
        if (others.empty()) return;
        const auto [lowest, highest] = std::ranges::minmax(others);
        const auto become = [&](std::int64_t to) {
            add(rule.name, place_of(rule.places, "priority", rule.name),
                whose + ": " + changed("priority", std::to_string(rule.priority), std::to_string(to)),
                [i, to](PolicyDocument& d) { d.adaptations[i].priority = to; });
        };
        if (rule.priority >= lowest) become(lowest - 1);
        if (rule.priority <= highest) become(highest + 1);
    }

    static bool contests(const AdaptationRule& a, const AdaptationRule& b) {
        return std::ranges::any_of(a.settings, [&](const OverlaySetting& x) {
            return std::ranges::any_of(
                b.settings, [&](const OverlaySetting& y) { return x.kind == y.kind && x.map == y.map; });
        });
    }

    void enforcement(const std::string& whose, const AdaptationRule& rule, std::size_t i) {
        for (const Enforcement to : {Enforcement::off, Enforcement::shadow, Enforcement::enforce})
            if (to != rule.enforcement)
                add(rule.name, place_of(rule.places, "enforcement", rule.name),
                    whose + ": " +
                        changed("enforcement", std::string(to_text(rule.enforcement)),
                                std::string(to_text(to))),
                    [i, to](PolicyDocument& d) { d.adaptations[i].enforcement = to; });
    }

    void relations(const std::string& whose, const AdaptationRule& rule, std::size_t i) {
        const auto drop = [&](std::string_view key, std::vector<SourceText> AdaptationRule::* list) {
            for (std::size_t k = 0; k < (rule.*list).size(); ++k)
                add(rule.name, (rule.*list)[k].position(0),
                    whose + ": " + std::string(key) + " " + (rule.*list)[k].text + " is gone",
                    [i, k, list](PolicyDocument& d) {
                        auto& names = d.adaptations[i].*list;
                        names.erase(names.begin() + static_cast<std::ptrdiff_t>(k));
                    });
        };
        drop("requires", &AdaptationRule::requirements);
        drop("inhibits", &AdaptationRule::inhibits);
    }

    void limits(const std::string& whose, const AdaptationRule& rule, std::size_t i) {
        if (rule.budget) {
            const Position at = place_of(rule.places, "budget", rule.name);
            const auto text = [](const Budget& b) {
                return std::to_string(b.count) + "/" + to_text(b.window);
            };
            const auto become = [&](Budget to) {
                add(rule.name, at, whose + ": " + changed("budget", text(*rule.budget), text(to)),
                    [i, to](PolicyDocument& d) { d.adaptations[i].budget = to; });
            };
            add(rule.name, at, whose + ": budget " + text(*rule.budget) + " is gone",
                [i](PolicyDocument& d) { d.adaptations[i].budget.reset(); });
            become({rule.budget->count + 1, rule.budget->window});
            if (rule.budget->count > 0) become({rule.budget->count - 1, rule.budget->window});
            become({rule.budget->count, rule.budget->window * 2});
            become({rule.budget->count, half(rule.budget->window)});
        }
        if (rule.max_active) {
            const Position at = place_of(rule.places, "max_active", rule.name);
            const std::size_t max = *rule.max_active;
            add(rule.name, at, whose + ": max_active " + std::to_string(max) + " is gone",
                [i](PolicyDocument& d) { d.adaptations[i].max_active.reset(); });
            add(rule.name, at,
                whose + ": " + changed("max_active", std::to_string(max), std::to_string(max + 1)),
                [i, max](PolicyDocument& d) { d.adaptations[i].max_active = max + 1; });
        }
        if (rule.damp) damping(whose, rule, i);
    }

    void damping(const std::string& whose, const AdaptationRule& rule, std::size_t i) {
        add(rule.name, place_of(rule.places, "damp", rule.name), whose + ": damp is gone",
            [i](PolicyDocument& d) { d.adaptations[i].damp.reset(); });
        duration(whose, rule.name, rule.places, "damp.half_life", rule.damp->half_life, false,
                 [i](PolicyDocument& d) -> Duration& { return d.adaptations[i].damp->half_life; });
        const auto number = [&](const std::string& key, std::int64_t Damping::* member) {
            if (!rule.places.contains(key)) return;
            const std::int64_t value = (*rule.damp).*member;
            for (const std::int64_t to : {value * 2, value / 2}) {
                Damping next = *rule.damp;
                next.*member = to;
                if (next.reuse < 1 || next.reuse >= next.suppress) continue;
                add(rule.name, place_of(rule.places, key, rule.name),
                    whose + ": " + changed(key, std::to_string(value), std::to_string(to)),
                    [i, next](PolicyDocument& d) { d.adaptations[i].damp = next; });
            }
        };
        number("damp.suppress", &Damping::suppress);
        number("damp.reuse", &Damping::reuse);
    }

    static Duration half(Duration d) { return std::max(Duration{1}, d / 2); }

    void verify(const std::string& whose, const AdaptationRule& rule, std::size_t i) {
        if (!rule.verify) return;
        condition(whose + ", verify.expect", rule.verify->expect,
                  [i](PolicyDocument& d) -> Condition& { return d.adaptations[i].verify->expect; });
        add(rule.name, place_of(rule.places, "verify", rule.name), whose + ": verify is gone",
            [i](PolicyDocument& d) { d.adaptations[i].verify.reset(); });
        const auto time = [&](const std::string& key, Duration VerifyRule::* member, bool may_go) {
            duration(
                whose, rule.name, rule.places, "verify." + key, (*rule.verify).*member, may_go,
                [i, member](PolicyDocument& d) -> Duration& { return (*d.adaptations[i].verify).*member; });
        };
        time("settle", &VerifyRule::settle, true);
        time("within", &VerifyRule::within, false);
        if (rule.verify->rollback) time("backoff", &VerifyRule::backoff, true);
        add(rule.name, place_of(rule.places, "verify.otherwise", rule.name),
            whose + (rule.verify->rollback ? ": verify.otherwise rollback becomes report"
                                           : ": verify.otherwise report becomes rollback"),
            [i](PolicyDocument& d) {
                d.adaptations[i].verify->rollback = !d.adaptations[i].verify->rollback;
            });
    }

    void overlay(const std::string& whose, const AdaptationRule& rule, std::size_t i) {
        for (std::size_t k = 0; k < rule.settings.size(); ++k) {
            const OverlaySetting& setting = rule.settings[k];
            add(rule.name, setting.at, whose + ": " + attribute_text(setting) + " is no longer set",
                [i, k](PolicyDocument& d) {
                    auto& settings = d.adaptations[i].settings;
                    settings.erase(settings.begin() + static_cast<std::ptrdiff_t>(k));
                });
            for (const auto& [field, value] : setting.value)
                add(rule.name, setting.at,
                    whose + ": " + attribute_text(setting) + (field.empty() ? "" : "." + field) + " " +
                        std::to_string(value) + " becomes " + std::to_string(value + 1),
                    [i, k, changed = field](PolicyDocument& d) {
                        ++d.adaptations[i].settings[k].value[changed];
                    });
        }
    }

    const std::vector<PolicyDocument>& policies_;
    std::size_t document_;
    std::vector<Mutant>& mutants_;
};

} // namespace

std::vector<Mutant> mutants_of(const std::vector<PolicyDocument>& policies, std::size_t beside) {
    std::vector<Mutant> mutants;
    for (std::size_t i = 0; i + beside < policies.size(); ++i) Mutator(policies, i, mutants).run();
    std::ranges::stable_sort(mutants, {}, [](const Mutant& m) { return std::tie(m.document, m.at); });
    return mutants;
}

Fate try_mutant(const PolicyTest& test, const Mutant& mutant, std::size_t& likely) {
    std::vector<PolicyDocument> policies = test.policies;
    mutant.change(policies[mutant.document]);
    std::vector<std::size_t> order;
    if (likely < test.cases.size()) order.push_back(likely);
    for (std::size_t i = 0; i < test.cases.size(); ++i)
        if (i != likely) order.push_back(i);
    for (const std::size_t i : order) {
        if (test.cases[i].skip) continue;
        Diagnostics diagnostics;
        const GenerationPtr generation = make_case_generation(test, test.cases[i], policies, diagnostics);
        if (!generation) return Fate::invalid;
        if (passes(test, test.cases[i], generation)) continue;
        likely = i;
        return Fate::killed;
    }
    return Fate::survived;
}

} // namespace homeostat::policy_test
