#include "policies/overlay.hpp"

#include "knowledge/overloaded.hpp"
#include "policies/interface_settings.hpp"

#include <algorithm>
#include <set>
#include <tuple>

namespace homeostat {

namespace {

std::string text_of(Attribute::Kind kind, const std::string& map, const std::string& key) {
    switch (kind) {
    case Attribute::Kind::program:
        return "xdp.program";
    case Attribute::Kind::mode:
        return "xdp.mode";
    case Attribute::Kind::gap_max:
        return "xdp.max_gap";
    case Attribute::Kind::tc_ingress:
        return "tc.ingress.program";
    case Attribute::Kind::tc_egress:
        return "tc.egress.program";
    case Attribute::Kind::entry:
        return "maps." + map + "." + key;
    }
    return "";
}

} // namespace

std::string to_text(const Attribute& attribute) {
    return attribute.interface + " " + text_of(attribute.kind, attribute.entry.map, attribute.entry.key);
}

std::string attribute_text(const OverlaySetting& setting) {
    return text_of(setting.kind, setting.map, to_text(setting.key));
}

std::string to_text(const AttributeValue& value) {
    return std::visit(Overloaded{[](const std::string& program) { return program; },
                                 [](const std::vector<XdpMode>& ladder) { return ladder_text(ladder); },
                                 [](Duration gap) { return homeostat::to_text(gap); },
                                 [](const MapValue& fields) { return value_text(fields); }},
                      value);
}

std::string Overlay::name() const { return adaptation + to_text(key); }

Result<std::map<Attribute, AttributeValue>> bind_settings(const AdaptationRule& rule, const Labels& key) {
    std::map<Attribute, AttributeValue> settings;
    for (const OverlaySetting& setting : rule.settings) {
        const auto interface = bind(setting.interface, key);
        if (!interface) return std::unexpected(interface.error());
        switch (setting.kind) {
        case OverlaySetting::Kind::program:
        case OverlaySetting::Kind::tc_ingress:
        case OverlaySetting::Kind::tc_egress: {
            const auto program = bind(setting.program, key);
            if (!program) return std::unexpected(program.error());
            settings[{*interface, setting.kind, {}}] = *program;
            break;
        }
        case OverlaySetting::Kind::mode:
            settings[{*interface, Attribute::Kind::mode, {}}] = setting.ladder;
            break;
        case OverlaySetting::Kind::gap_max:
            settings[{*interface, Attribute::Kind::gap_max, {}}] = setting.gap_max;
            break;
        case OverlaySetting::Kind::entry: {
            const auto entry_key = bind(setting.key, key);
            if (!entry_key) return std::unexpected(entry_key.error());
            settings[{*interface, Attribute::Kind::entry, {setting.map, *entry_key}}] = setting.value;
            break;
        }
        }
    }
    return settings;
}

std::set<std::string> interfaces_of(const std::map<Attribute, AttributeValue>& settings) {
    std::set<std::string> interfaces;
    for (const auto& [attribute, value] : settings) interfaces.insert(attribute.interface);
    return interfaces;
}

namespace {

void lay_tc(DesiredInterface& interface, TcDirection direction, const std::string& program) {
    if (program == no_program)
        interface.tc.erase(direction);
    else
        interface.tc[direction] = program;
}

void lay(DesiredState& desired, const Attribute& attribute, const AttributeValue& value) {
    DesiredInterface& interface = desired[attribute.interface];
    switch (attribute.kind) {
    case Attribute::Kind::program: {
        const auto& program = std::get<std::string>(value);
        interface.program = program == no_program ? std::nullopt : std::optional(program);
        break;
    }
    case Attribute::Kind::mode:
        interface.ladder = std::get<std::vector<XdpMode>>(value);
        break;
    case Attribute::Kind::gap_max:
        interface.gap_max = std::get<Duration>(value);
        break;
    case Attribute::Kind::tc_ingress:
        lay_tc(interface, TcDirection::ingress, std::get<std::string>(value));
        break;
    case Attribute::Kind::tc_egress:
        lay_tc(interface, TcDirection::egress, std::get<std::string>(value));
        break;
    case Attribute::Kind::entry:
        interface.entries[attribute.entry] = std::get<MapValue>(value);
        break;
    }
}

} // namespace

void rank(std::vector<Overlay>& overlays) {
    std::ranges::sort(overlays, [](const Overlay& a, const Overlay& b) {
        return std::tie(b.priority, a.adaptation, a.key) < std::tie(a.priority, b.adaptation, b.key);
    });
}

Arbitration arbitrate(const DesiredState& baseline, std::vector<Overlay> overlays) {
    rank(overlays);
    Arbitration result{.desired = baseline, .because = {}, .lost = {}};
    std::map<Attribute, const Overlay*> winners;
    for (const Overlay& overlay : overlays) {
        for (const auto& [attribute, value] : overlay.settings) {
            const auto [winner, won] = winners.emplace(attribute, &overlay);
            if (won) {
                lay(result.desired, attribute, value);
                auto& because = result.because[attribute.interface];
                if (std::ranges::find(because, overlay.name()) == because.end())
                    because.push_back(overlay.name());
            } else {
                result.lost[overlay.adaptation][overlay.key].push_back(
                    {to_text(attribute), winner->second->name()});
            }
        }
    }
    return result;
}

} // namespace homeostat
