#include "adapters/cli/operator_desk.hpp"

#include "engine/operator_command.hpp"
#include "knowledge/text.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <utility>

namespace homeostat::cli {

namespace json = boost::json;

using control::Refusal;
using control::Refused;

namespace {

// Fails on a member that is no string; those that are not there are "".
Result<ChangeRequest> read_request(const json::object& object) {
    ChangeRequest request;
    const std::pair<const char*, std::string*> members[] = {
        {"command", &request.command}, {"instance", &request.instance}, {"interface", &request.interface},
        {"program", &request.program}, {"modes", &request.modes},       {"gap_max", &request.gap_max}};
    for (const auto& [name, text] : members) {
        const json::value* value = object.if_contains(name);
        if (value == nullptr) continue;
        if (!value->is_string()) return failure("'" + std::string(name) + "': expected a string");
        *text = std::string(value->as_string());
    }
    if (!parse_request_kind(request.command))
        return failure("'command': expected attach, replace, switch or detach");
    return request;
}

// The attributes that the command sets, where an overlay lies on them.
std::string holders(const EngineState& state, const std::string& interface, const DesiredInterface& wanted) {
    const auto found = state.knowledge.desired.find(interface);
    if (found == state.knowledge.desired.end()) return "";
    std::string held;
    const auto add = [&](Attribute::Kind kind) {
        const std::string holder = holder_of(state, interface, kind);
        if (holder.empty()) return;
        held += (held.empty() ? "" : ", and ") + to_text(Attribute{interface, kind, {}}) + " by " + holder;
    };
    if (found->second.program != wanted.program) add(Attribute::Kind::program);
    if (found->second.ladder != wanted.ladder) add(Attribute::Kind::mode);
    return held;
}

} // namespace

Result<std::vector<XdpMode>> parse_ladder(std::string_view text) {
    std::vector<XdpMode> ladder;
    for (std::size_t from = 0; from <= text.size();) {
        const std::size_t end = std::min(text.find(',', from), text.size());
        const std::string word(text.substr(from, end - from));
        const auto mode = parse_xdp_mode(word);
        if (!mode) return failure("'" + word + "' is no mode: expected skb, drv or hw, or a list as drv,skb");
        if (std::ranges::find(ladder, *mode) != ladder.end())
            return failure("'" + std::string(text) + "' has a mode twice");
        ladder.push_back(*mode);
        from = end + 1;
    }
    return ladder;
}

json::object change_json(const Outcome& outcome) {
    json::object told{{"interface", outcome.interface}, {"ok", outcome.ok}};
    if (!outcome.ok) told["error"] = printable(outcome.error);
    if (outcome.actual.xdp) {
        told["program"] = printable(outcome.actual.xdp->program);
        told["id"] = outcome.actual.xdp->program_id;
        told["mode"] = to_text(outcome.actual.xdp->mode);
    }
    if (outcome.gap) told["gap"] = json::object{{"ns", outcome.gap->ns}, {"covered", outcome.gap->covered}};
    json::array notes;
    for (const std::string& note : outcome.notes) notes.push_back(json::value(printable(note)));
    told["notes"] = std::move(notes);
    return told;
}

json::object to_json(const ChangeRequest& request) {
    return {{"command", request.command}, {"instance", request.instance}, {"interface", request.interface},
            {"program", request.program}, {"modes", request.modes},       {"gap_max", request.gap_max}};
}

Result<OperatorCommand> OperatorDesk::read(const EngineState& state, const ChangeRequest& request) const {
    if (!request.instance.empty() && request.instance != instance_)
        return failure("this controller is instance " + instance_ + ", not " + request.instance +
                       "; name the socket of that one with --socket");
    OperatorRequest asked{.kind = *parse_request_kind(request.command), // read_request has seen to it
                          .interface = request.interface,
                          .program = request.program,
                          .ladder = {},
                          .gap_max = {}};
    if (!request.modes.empty()) {
        auto ladder = parse_ladder(request.modes);
        if (!ladder) return std::unexpected(ladder.error());
        asked.ladder = std::move(*ladder);
    }
    if (!request.gap_max.empty()) {
        const auto longest = parse_duration(request.gap_max);
        if (!longest) return std::unexpected(longest.error());
        asked.gap_max = *longest;
    }
    return command_of(state, asked);
}

void OperatorDesk::take(const EngineState& state, const json::object& request,
                        std::function<void(control::Reply)> reply) {
    const auto refuse = [&](Refused kind, std::string what) {
        reply(std::unexpected(Refusal{kind, std::move(what)}));
    };
    const auto read_as = read_request(request);
    if (!read_as) return refuse(Refused::request, read_as.error().what);
    if (std::ranges::find(pending_, read_as->interface, &Pending::interface) != pending_.end())
        return refuse(Refused::question,
                      "another command on " + read_as->interface + " is being carried out; try again");
    auto command = read(state, *read_as);
    if (!command) return refuse(Refused::question, command.error().what);
    pending_.push_back({.number = submitted_ + 1,
                        .command = read_as->command,
                        .interface = command->interface,
                        .before = state.baseline.at(command->interface),
                        .wanted = command->baseline,
                        .outcome = std::nullopt,
                        .reply = std::move(reply)});
    submit_next(std::move(*command));
}

void OperatorDesk::submit_next(OperatorCommand command) {
    ++submitted_;
    submit(std::move(command));
}

void OperatorDesk::decided(const Decisions& decisions, const EngineState& state) {
    std::erase_if(pending_, [&](Pending& pending) {
        if (state.commands_taken < pending.number) return false;
        // Those of the tick that took it are of what was before.
        if (std::exchange(pending.is_taken, true))
            for (const Outcome& outcome : decisions.outcomes)
                if (outcome.interface == pending.interface) pending.outcome = outcome;
        return settle(pending, state);
    });
}

// Whether there is an answer now.
bool OperatorDesk::settle(Pending& pending, const EngineState& state) {
    const auto obstacle = obstacle_on(state, pending.interface);
    if (!obstacle) return false;
    Outcome outcome = pending.outcome.value_or(Outcome{
        .id = {}, .interface = pending.interface, .ok = true, .error = {}, .notes = {}, .actual = {}});
    if (const auto actual = state.knowledge.actual.find(pending.interface);
        actual != state.knowledge.actual.end())
        outcome.actual = actual->second;
    const std::string held = holders(state, pending.interface, pending.wanted);
    if (!outcome.ok) {
        outcome.error += "; the baseline of " + pending.interface + " is what it was";
        submit_next({pending.interface, pending.before, pending.command + " failed and is taken back"});
    } else if (!held.empty()) {
        outcome.ok = false;
        outcome.error = "held: " + held +
                        "; what was asked for is the baseline now, and shows when that ends. "
                        "'homeostat explain' and 'homeostat decisions' tell more";
    } else if (!obstacle->empty()) {
        outcome.ok = false;
        outcome.error = *obstacle;
    } else {
        if (!pending.outcome) outcome.notes.push_back(pending.interface + ": it was so already");
        outcome.notes.push_back(
            pending.interface +
            ": the controller keeps it so until it reloads or starts anew; policies stay above it");
    }
    pending.reply(change_json(outcome));
    return true;
}

} // namespace homeostat::cli
