#include "engine/operator_command.hpp"

#include "knowledge/text.hpp"
#include "policies/plan.hpp"
#include "policies/reconcile.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace homeostat {

namespace {

using Kind = OperatorRequest::Kind;

constexpr std::array<std::pair<Kind, std::string_view>, 4> kind_names{{{Kind::attach, "attach"},
                                                                       {Kind::replace, "replace"},
                                                                       {Kind::switch_mode, "switch"},
                                                                       {Kind::detach, "detach"}}};

Result<void> require_program(const Generation& generation, const std::string& program) {
    if (std::ranges::find(generation.programs, program) != generation.programs.end()) return {};
    return failure("'" + program + "' is no program of the running configuration, which has " +
                   joined(generation.programs) +
                   "; add it there as a [[program]] and start the controller anew, or stop the controller to "
                   "attach an object file by hand");
}

Error unknown_interface(const EngineState& state, const std::string& interface) {
    std::vector<std::string> names;
    for (const auto& [name, baseline] : state.baseline) names.push_back(name);
    return {"'" + interface + "' is no interface of the running configuration, which has " + joined(names) +
            "; add it there and start the controller anew"};
}

} // namespace

std::string_view to_text(Kind kind) {
    return std::ranges::find(kind_names, kind, &std::pair<Kind, std::string_view>::first)->second;
}

std::optional<Kind> parse_request_kind(std::string_view text) {
    const auto found = std::ranges::find(kind_names, text, &std::pair<Kind, std::string_view>::second);
    return found == kind_names.end() ? std::nullopt : std::optional(found->first);
}

Result<OperatorCommand> command_of(const EngineState& state, const OperatorRequest& request) {
    if (state.generation->shadow) return failure("the controller runs in shadow, and changes nothing");
    const auto known = state.baseline.find(request.interface);
    if (known == state.baseline.end()) return std::unexpected(unknown_interface(state, request.interface));
    DesiredInterface next = known->second;
    const bool takes_program = request.kind == Kind::attach || request.kind == Kind::replace;
    if (takes_program) {
        if (auto there = require_program(*state.generation, request.program); !there)
            return std::unexpected(there.error());
        next.program = request.program;
    }
    const auto actual = state.knowledge.actual.find(request.interface);
    const bool has_program = actual != state.knowledge.actual.end() && actual->second.xdp;
    const bool needs_program = request.kind == Kind::replace || request.kind == Kind::switch_mode;
    if (needs_program && (!has_program || !next.program))
        return failure("nothing is attached to " + request.interface +
                       "; 'homeostat attach' attaches a program");
    if (!request.ladder.empty()) next.ladder = request.ladder;
    if (request.gap_max) next.gap_max = *request.gap_max;
    if (request.kind == Kind::detach) {
        next.program.reset();
        next.tc.clear();
    }
    std::string text(to_text(request.kind));
    if (takes_program) text += " " + request.program;
    if (!request.ladder.empty()) text += (takes_program ? " in " : " to ") + ladder_text(next.ladder);
    return OperatorCommand{request.interface, std::move(next), std::move(text)};
}

std::string holder_of(const EngineState& state, const std::string& interface, Attribute::Kind kind) {
    auto overlays = active_overlays(state.generation->policies, state.knowledge, state.baseline);
    rank(overlays);
    const Attribute attribute{interface, kind, {}};
    const auto winner = std::ranges::find_if(
        overlays, [&](const Overlay& overlay) { return overlay.settings.contains(attribute); });
    if (winner == overlays.end()) return "";
    return winner->name() + " (priority " + std::to_string(winner->priority) + ")";
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
