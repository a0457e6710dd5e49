// whynot: what stands first in the way of an adaptation: its symptoms, its gates, other overlays, the
// datapath.
#include "engine/answering.hpp"
#include "policies/gates.hpp"
#include "policies/overlay.hpp"
#include "policies/reconcile.hpp"
#include "policies/when.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <ranges>
#include <set>

namespace homeostat {

namespace {

using Lines = std::vector<std::string>;

// ---- when

// The operands of `when` that make it false for the key, in words.
void tell_when(const Asked& asked, const When& when, const Labels& key, Lines& lines) {
    const auto& symptoms = asked.state.knowledge.symptoms;
    switch (when.kind) {
    case When::Kind::symptom:
        if (const Symptom* symptom = find_symptom(asked.policies(), when.symptom))
            for (const WhyNot& why :
                 why_not_raised(asked, *symptom, [&](const Labels& labels) { return agree(labels, key); }))
                std::ranges::copy(why.lines, std::back_inserter(lines));
        break;
    case When::Kind::negation:
        for (const auto& [name, instance] : evidence_of(when, key, symptoms))
            lines.push_back("not " + name + ": " + instance_text(name, instance->evidence.key) + " is " +
                            std::string(to_text(instance->state)) + " since " + to_text(instance->since));
        break;
    case When::Kind::all:
        for (const When& operand : when.operands) {
            if (holds(operand, key, symptoms)) continue;
            tell_when(asked, operand, key, lines);
            break;
        }
        break;
    case When::Kind::any:
        for (const When& operand : when.operands) tell_when(asked, operand, key, lines);
        break;
    }
}

WhyNot why_when(const Asked& asked, const AdaptationRule& rule, const Labels& key) {
    WhyNot why{rule.name.text, key, "when", "", {}};
    why.lines.push_back(instance_text(rule.name.text, key) + " is not wanted: when = \"" +
                        rule.when_source.text + "\" does not hold");
    tell_when(asked, rule.when, key, why.lines);
    return why;
}

// ---- datapath

// Why the last transaction on the interface failed, as far as that is remembered.
std::string last_failure(const DecisionHistory& history, const std::string& interface) {
    for (const auto& decided : std::views::reverse(history.decided()))
        if (const auto* o = std::get_if<Outcome>(&decided.what); o && o->interface == interface && !o->ok)
            return "transaction " + std::to_string(static_cast<std::uint64_t>(o->id)) + " on " + interface +
                   " failed: " + o->error;
    return "the last transaction on " + interface + " failed";
}

// What keeps the interface from being as is desired; "" where it is.
std::string datapath_obstacle(const Asked& asked, const std::string& interface) {
    const Knowledge& knowledge = asked.state.knowledge;
    const auto desired = knowledge.desired.find(interface);
    const auto actual = knowledge.actual.find(interface);
    if (desired == knowledge.desired.end()) return interface + " is not managed here";
    if (actual == knowledge.actual.end() || !actual->second.present)
        return interface + " is absent; it is changed as soon as it is there";
    const auto found = knowledge.targets.find(interface);
    const TargetMemory target = found == knowledge.targets.end() ? TargetMemory{} : found->second;
    if (target.in_flight)
        return "transaction " + std::to_string(static_cast<std::uint64_t>(*target.in_flight)) + " on " +
               interface + " is in flight: " + steps_text(target.last_steps);
    const auto steps = reconcile(desired->second, actual->second, target.settled);
    if (steps.empty()) return "";
    const std::string retry = target.retry_at > asked.now ? "; next try at " + to_text(target.retry_at) +
                                                                left_text(target.retry_at, asked.now)
                                                          : "";
    if (target.failures > 0)
        return last_failure(asked.state.history, interface) + " (" + std::to_string(target.failures) +
               (target.failures == 1 ? " failure" : " failures in a row") + ")" + retry;
    if (target.held_back)
        return interface + " changed too often within a second; further changes are held back";
    return interface + " is not as desired, which takes: " + steps_text(steps) + retry;
}

std::set<std::string> interfaces_of(const AdaptationRule& rule, const Labels& key) {
    std::set<std::string> interfaces;
    if (const auto settings = bind_settings(rule, key))
        for (const auto& [attribute, value] : *settings) interfaces.insert(attribute.interface);
    return interfaces;
}

// ---- instances, now

void tell_symptoms_cleared(const AdaptationInstance& instance, Instant now, WhyNot& why) {
    if (const GateVerdict* closed = first_closed(instance.gates))
        why.lines.push_back("its symptoms have cleared, and it stays because " + closed_text(*closed, now));
}

WhyNot why_active(const Asked& asked, const AdaptationRule& rule, const Labels& key,
                  const AdaptationInstance& instance) {
    WhyNot why{rule.name.text, key, "", "", {}};
    const bool is_shadow = rule.enforcement == Enforcement::shadow;
    why.lines.push_back(instance_text(rule.name.text, key) + " is active since " +
                        to_text(instance.applied_at) + (is_shadow ? ", in shadow: nothing is changed" : ""));
    if (is_shadow) return tell_symptoms_cleared(instance, asked.now, why), why;
    for (const LostAttribute& lost : instance.lost)
        why.lines.push_back("it lost " + lost.attribute + " to " + lost.winner);
    if (!instance.lost.empty()) why.blocker = "arbitration";
    for (const std::string& interface : interfaces_of(rule, key)) {
        const std::string obstacle = datapath_obstacle(asked, interface);
        if (obstacle.empty()) continue;
        if (why.blocker.empty()) why.blocker = "datapath";
        why.lines.push_back(obstacle);
    }
    tell_symptoms_cleared(instance, asked.now, why);
    return why;
}

WhyNot why_waiting(const Asked& asked, const AdaptationRule& rule, const Labels& key,
                   const GateVerdict& closed) {
    return {rule.name.text,
            key,
            "gate",
            closed.gate,
            {instance_text(rule.name.text, key) + " is not applied: " + closed_text(closed, asked.now)}};
}

std::vector<WhyNot> why_now(const Asked& asked, const AdaptationRule& rule, const Named& named) {
    std::vector<WhyNot> answers;
    const auto& symptoms = asked.state.knowledge.symptoms;
    const auto memory = asked.state.knowledge.adaptations.find(rule.name.text);
    const std::map<Labels, AdaptationInstance> none;
    const auto& instances =
        memory == asked.state.knowledge.adaptations.end() ? none : memory->second.instances;
    std::set<Labels> told;
    for (const auto& [key, instance] : instances) {
        if (!named.matches(key)) continue;
        if (instance.active)
            answers.push_back(why_active(asked, rule, key, instance));
        else if (const GateVerdict* closed = first_closed(instance.gates))
            answers.push_back(why_waiting(asked, rule, key, *closed));
        else
            continue;
        told.insert(key);
    }
    for (const Labels& key : candidates_of(rule.when, symptoms)) {
        if (!named.matches(key) || told.contains(key)) continue;
        if (!holds(rule.when, key, symptoms))
            answers.push_back(why_when(asked, rule, key));
        else
            answers.push_back({rule.name.text,
                               key,
                               "limit",
                               "",
                               {instance_text(rule.name.text, key) + " is ignored: " + rule.name.text +
                                " has " + std::to_string(instances.size()) + " instances, its limit"}});
    }
    if (answers.empty()) answers.push_back(why_when(asked, rule, named.labels()));
    return answers;
}

// ---- at a past time

// The newest change of state of each symptom of the receipt's instance that came after it, until the time
// that is asked about.
void tell_later_changes(const Asked& asked, const AdaptationRule& rule, const Receipt& receipt,
                        Lines& lines) {
    std::map<std::pair<std::string, Labels>, const Decided*> newest;
    const auto names = symptoms_of(rule.when);
    for (const Decided& decided : asked.state.history.decided()) {
        const auto* change = std::get_if<SymptomChange>(&decided.what);
        if (change == nullptr || decided.at <= receipt.at || decided.at > asked.at) continue;
        const bool concerns = std::ranges::any_of(names, [&](const auto& name) {
            return name.first == change->symptom && agree(change->key, receipt.key);
        });
        if (concerns) newest[{change->symptom, change->key}] = &decided;
    }
    for (const auto& [symptom, decided] : newest)
        lines.push_back("later, " + instance_text(symptom.first, symptom.second) + " became " +
                        std::string(to_text(std::get<SymptomChange>(decided->what).to)) + " at " +
                        to_text(decided->at));
}

WhyNot why_then(const Asked& asked, const AdaptationRule& rule, const Receipt& receipt) {
    using Action = Receipt::Action;
    WhyNot why{receipt.adaptation, receipt.key, "", "", {}};
    const std::string name = instance_text(receipt.adaptation, receipt.key);
    const std::string source = " (receipt " + std::to_string(receipt.id) + " of " + to_text(receipt.at) + ")";
    const GateVerdict* closed = first_closed(receipt.gates);
    if (receipt.action == Action::remove || receipt.action == Action::rollback) {
        why.blocker = closed != nullptr ? "gate" : "when";
        why.lines.push_back(
            name + " was removed" + source +
            (closed != nullptr ? ": " + closed_text(*closed, asked.at) : ": its symptoms had cleared"));
    } else if (receipt.action == Action::wait && receipt.when_holds && closed != nullptr) {
        why.blocker = "gate";
        why.lines.push_back(name + " was not applied: " + closed_text(*closed, asked.at) + source);
    } else {
        why.lines.push_back(name + " was active" + source);
        if (!receipt.lost.empty()) why.blocker = "arbitration";
        for (const LostAttribute& lost : receipt.lost)
            why.lines.push_back("it had lost " + lost.attribute + " to " + lost.winner);
    }
    if (why.blocker == "gate") why.gate = closed->gate;
    tell_later_changes(asked, rule, receipt, why.lines);
    return why;
}

std::vector<WhyNot> why_at(const Asked& asked, const AdaptationRule& rule, const Named& named) {
    std::map<Labels, const Receipt*> newest;
    for (const Decided& decided : asked.state.history.decided())
        if (const auto* receipt = std::get_if<Receipt>(&decided.what);
            receipt != nullptr && decided.at <= asked.at && receipt->adaptation == rule.name.text &&
            named.matches(receipt->key))
            newest[receipt->key] = receipt;
    std::vector<WhyNot> answers;
    for (const auto& [key, receipt] : newest) answers.push_back(why_then(asked, rule, *receipt));
    if (!answers.empty()) return answers;
    WhyNot why{rule.name.text, named.labels(), "when", "", {}};
    why.lines.push_back("nothing was decided about " + asked.question.text + " from " +
                        to_text(*asked.state.history.begins()) + " to " + to_text(asked.at) + ": when = \"" +
                        rule.when_source.text + "\" did not come to hold");
    return {why};
}

} // namespace

void answer_whynot(const Asked& asked, Answer& answer, Result<void>& result) {
    const auto named = parse_named(asked.question.text);
    if (!named) return void(result = std::unexpected(named.error()));
    if (asked.is_past() && asked.at < *asked.state.history.begins())
        return void(result = failure("nothing is known of " + to_text(asked.at) + ": the history begins at " +
                                     to_text(*asked.state.history.begins())));
    if (const AdaptationRule* rule = find_adaptation(asked.policies(), named->name)) {
        answer.what = asked.is_past() ? why_at(asked, *rule, *named) : why_now(asked, *rule, *named);
        return;
    }
    const Symptom* symptom = find_symptom(asked.policies(), named->name);
    if (symptom == nullptr)
        return void(result = unknown(
                        "adaptation or symptom", named->name,
                        concatenated(names_of_adaptations(asked.state), names_of_symptoms(asked.state))));
    answer.what =
        why_not_raised(asked, *symptom, [&](const Labels& labels) { return named->matches(labels); });
}

} // namespace homeostat
