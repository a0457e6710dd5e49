// The attributes of one interface as they stand in a file: in a policy's overlay and in a controller's
// baseline alike. Names and keys may hold templates in a policy.
#pragma once

#include "knowledge/datapath.hpp"
#include "policies/toml_reader.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace homeostat {

struct InterfaceSettings {
    struct Entry {
        std::string map;
        SourceText key;
        MapValue value;
        Position at;
    };

    std::optional<SourceText> program; // "none": nothing attached
    std::vector<XdpMode> ladder;
    std::optional<Duration> gap_max;
    std::optional<Duration> climb_after; // of a baseline, as is the next one
    bool replace_foreign = false;
    std::map<TcDirection, SourceText> tc{}; // as `program`
    std::vector<Entry> entries;
};

inline constexpr std::string_view no_program = "none";

// Reads the keys `xdp.program`, `xdp.mode`, `xdp.max_gap`, `tc.DIRECTION.program` and `maps.MAP.KEY`. Does
// not finish() the table.
InterfaceSettings read_interface_settings(TomlTable& table);

// The same of a baseline, with what no overlay sets: `xdp.climb_after` and `on_foreign`.
InterfaceSettings read_baseline_settings(TomlTable& table);

// As they are desired while no overlay is laid.
DesiredInterface baseline_of(InterfaceSettings settings);

} // namespace homeostat
