#include "engine/operator_command.hpp"

#include "policies/reconcile.hpp"

#include <tuple>

namespace homeostat {

std::string holder_of(const EngineState& state, const std::string& interface, Attribute::Kind kind) {
    const AdaptationRule* winner = nullptr;
    const Labels* winner_key = nullptr;
    for (const AdaptationRule& rule : state.generation->policies.adaptations) {
        const auto memory = state.knowledge.adaptations.find(rule.name.text);
        if (memory == state.knowledge.adaptations.end() || rule.enforcement != Enforcement::enforce) continue;
        for (const auto& [key, instance] : memory->second.instances) {
            const auto settings = instance.active ? bind_settings(rule, key) : failure("not active");
            if (!settings || !settings->contains({interface, kind, {}})) continue;
            const bool wins =
                winner == nullptr || std::tie(winner->priority, rule.name.text, key) <
                                         std::tie(rule.priority, winner->name.text, *winner_key);
            if (!wins) continue;
            winner = &rule;
            winner_key = &key;
        }
    }
    if (winner == nullptr) return "";
    return winner->name.text + to_text(*winner_key) + " (priority " + std::to_string(winner->priority) + ")";
}

std::optional<std::string> obstacle_on(const EngineState& state, const std::string& interface) {
    const Knowledge& knowledge = state.knowledge;
    const auto target = knowledge.targets.find(interface);
    const bool is_known = target != knowledge.targets.end();
    if (is_known && target->second.in_flight) return std::nullopt;
    const auto actual = knowledge.actual.find(interface);
    if (actual == knowledge.actual.end() || !actual->second.present)
        return "interface " + interface + " is not there; it is done when it comes";
    const auto desired = knowledge.desired.find(interface);
    if (desired == knowledge.desired.end()) return "";
    const std::vector<XdpMode> settled = is_known ? target->second.settled : std::vector<XdpMode>();
    if (reconcile(desired->second, actual->second, settled).empty()) return "";
    return "interface " + interface + " changes too often: it is done a little later";
}

} // namespace homeostat
