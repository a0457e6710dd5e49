#include "policies/interface_settings.hpp"

#include <algorithm>
#include <limits>

namespace homeostat {

namespace {

std::vector<XdpMode> read_ladder(TomlTable& xdp) {
    std::vector<XdpMode> ladder;
    for (const SourceText& word : xdp.texts("mode")) {
        const auto mode = parse_xdp_mode(word.text);
        if (!mode)
            xdp.mistake(word.position(0), "'" + word.text + "' is no XDP mode",
                        R"(expected "skb", "drv" or "hw")");
        else if (std::ranges::find(ladder, *mode) != ladder.end())
            xdp.mistake(word.position(0), "mode '" + word.text + "' stands in the ladder twice",
                        "remove one of them");
        else
            ladder.push_back(*mode);
    }
    return ladder;
}

// A number, true or false, or a table of fields; nested tables are nested structs.
void read_value(TomlTable& table, const std::string& key, const std::string& field, MapValue& value) {
    if (table.is_table(key)) {
        auto inner = table.table(key);
        for (const std::string& name : inner->keys())
            read_value(*inner, name, field.empty() ? name : field + "." + name, value);
        return;
    }
    if (table.is_boolean(key)) {
        value[field] = *table.boolean(key) ? 1 : 0;
        return;
    }
    const auto number = table.integer(key, std::numeric_limits<std::int64_t>::min(),
                                      std::numeric_limits<std::int64_t>::max());
    if (number) value[field] = *number;
}

std::optional<Duration> read_climb_after(TomlTable& xdp) {
    const auto delay = xdp.duration("climb_after");
    if (!delay || *delay == Duration{0} ||
        (*delay >= std::chrono::seconds{1} && *delay <= std::chrono::hours{24}))
        return delay;
    xdp.mistake(xdp.at("climb_after"), "'climb_after' is " + to_text(*delay),
                "expected 1s to 1d, or 0s for never");
    return std::nullopt;
}

std::map<TcDirection, SourceText> read_tc(TomlTable& table) {
    std::map<TcDirection, SourceText> programs;
    auto tc = table.table("tc");
    if (!tc) return programs;
    for (const TcDirection direction : tc_directions) {
        auto side = tc->table(std::string(to_text(direction)));
        if (!side) continue;
        if (auto program = side->text("program")) programs.emplace(direction, std::move(*program));
        side->finish();
    }
    tc->finish();
    return programs;
}

InterfaceSettings read_settings(TomlTable& table, bool is_baseline) {
    InterfaceSettings settings;
    if (is_baseline)
        settings.replace_foreign = table.choice("on_foreign", {"leave", "replace"}).value_or(0) == 1;
    if (auto xdp = table.table("xdp")) {
        settings.program = xdp->text("program");
        settings.ladder = read_ladder(*xdp);
        settings.gap_max = xdp->duration("max_gap");
        if (is_baseline) settings.climb_after = read_climb_after(*xdp);
        xdp->finish();
    }
    settings.tc = read_tc(table);
    auto maps = table.table("maps");
    if (!maps) return settings;
    for (const std::string& map : maps->keys()) {
        auto entries = maps->table(map);
        if (!entries) continue;
        for (const std::string& key : entries->keys()) {
            MapValue value;
            read_value(*entries, key, "", value);
            if (entries->is_table(key) && entries->table(key)->keys().empty())
                entries->mistake(entries->at(key), "'" + map + "." + key + "' has no fields",
                                 "expected fields of the map's value, such as { pps = 1000 }");
            settings.entries.push_back({.map = map,
                                        .key = entries->key_text(key),
                                        .value = std::move(value),
                                        .at = entries->at(key)});
        }
    }
    return settings;
}

} // namespace

InterfaceSettings read_interface_settings(TomlTable& table) { return read_settings(table, false); }
InterfaceSettings read_baseline_settings(TomlTable& table) { return read_settings(table, true); }

DesiredInterface baseline_of(InterfaceSettings settings) {
    DesiredInterface baseline{.program = {}, .ladder = std::move(settings.ladder), .entries = {}};
    // Nobody lands in generic mode without having asked for it.
    if (baseline.ladder.empty()) baseline.ladder = {XdpMode::drv};
    baseline.gap_max = settings.gap_max;
    baseline.climb_after = settings.climb_after.value_or(baseline.climb_after);
    baseline.replace_foreign = settings.replace_foreign;
    if (settings.program && settings.program->text != no_program) baseline.program = settings.program->text;
    for (const auto& [direction, program] : settings.tc)
        if (program.text != no_program) baseline.tc.emplace(direction, program.text);
    for (InterfaceSettings::Entry& entry : settings.entries)
        baseline.entries[{entry.map, entry.key.text}] = std::move(entry.value);
    return baseline;
}

} // namespace homeostat
