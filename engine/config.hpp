// The controller's configuration as values: which interfaces, programs, sensors and policies, and
// with which limits. Reading it is pure (text in, values and diagnostics out).
#pragma once

#include "engine/limits.hpp"
#include "knowledge/datapath.hpp"
#include "knowledge/error.hpp"
#include "knowledge/labels.hpp"
#include "knowledge/time.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace homeostat {

// What controller.control says where there is to be no control socket.
inline constexpr std::string_view no_control = "none";

// How the entries of a map go on where a program that ran before defined it differently, so that it cannot be
// the same map: as sums of both, or as the one with the newer stamp.
struct MapMergeSpec {
    enum class Rule { sum, newest };

    std::string map;
    Rule rule = Rule::sum;
    std::string stamp; // for newest: an unsigned field of the value
    Position at;       // where the map's name stands
    Position stamp_at;

    friend bool operator==(const MapMergeSpec& a, const MapMergeSpec& b) {
        return a.map == b.map && a.rule == b.rule && a.stamp == b.stamp;
    }
};

// A program that may be attached: `function` of an object file, found in the configured folders. The twin of
// an XDP program is a TC function of the same object with the same verdicts, which stands in for it while its
// mode is switched.
struct ProgramSpec {
    std::string name;
    std::string object;   // file name, such as "xdp_guard.bpf.o"
    std::string function; // "" where the object has one XDP program only, or none, and one TC program
    std::string twin;     // "" for none
    std::vector<MapMergeSpec> merges{};
    bool resets_maps = false; // a map that cannot go on starts anew
    Position at;
    Position object_at; // where the file name stands
    Position twin_at;

    friend bool operator==(const ProgramSpec& a, const ProgramSpec& b) {
        return a.name == b.name && a.object == b.object && a.function == b.function && a.twin == b.twin &&
               a.merges == b.merges && a.resets_maps == b.resets_maps;
    }
};

// One label of a series: taken from `field` of a key or record ("" for one that is no struct).
struct LabelSource {
    std::string field;
    std::string label;
    std::string enumeration; // show a plain integer as the words of this enum; "" for none
    Position at;

    friend bool operator==(const LabelSource& a, const LabelSource& b) {
        return a.field == b.field && a.label == b.label && a.enumeration == b.enumeration;
    }
};

// One series per key or record: the number in `field`, under this metric name and with these labels.
struct FieldMetric {
    std::string field; // "" for a value that is no struct
    std::string metric;
    std::vector<Label> labels;
    Position at;

    friend bool operator==(const FieldMetric& a, const FieldMetric& b) {
        return a.field == b.field && a.metric == b.metric && a.labels == b.labels;
    }
};

// Reads a map whole, each period. Every series also has the label iface.
struct MapSensorSpec {
    std::string map;
    std::vector<LabelSource> key;
    std::vector<FieldMetric> fields;
    bool keep_cpus = false; // a label cpu, instead of the sum over CPUs
    bool skip_zero = false; // an entry whose fields are all zero has no series

    bool operator==(const MapSensorSpec&) const = default;
};

// Reads records from a ring buffer as they come. Every series also has the label iface.
struct RingSensorSpec {
    std::string map;
    std::string record; // a struct in the object's BTF
    std::vector<LabelSource> labels;
    std::vector<FieldMetric> fields;           // gauges: the newest record's value
    std::string count;                         // a counter of records under this metric name; "" for none
    std::optional<Duration> valid;             // a gauge goes stale when no record renewed it for so long
    bool urgent = false;                       // a record starts a tick at once
    Duration forget = std::chrono::minutes{5}; // a label set without a record for so long ends

    bool operator==(const RingSensorSpec&) const = default;
};

// The interfaces' own counters, from rtnetlink: link_receive_packets_total and its kin, with iface.
struct LinkSensorSpec {
    bool operator==(const LinkSensorSpec&) const = default;
};

// Each CPU's packet queue, from /proc/net/softnet_stat: softnet_processed_total and its kin, with cpu.
struct SoftnetSensorSpec {
    bool operator==(const SoftnetSensorSpec&) const = default;
};

// How long work waits for CPU, memory and I/O, from /proc/pressure: pressure_some_ratio and its kin.
struct PressureSensorSpec {
    bool operator==(const PressureSensorSpec&) const = default;
};

struct SensorSpec {
    std::string name; // for sensor_up{sensor="…"}; by default its type and map, "bpf-map:proto_counters"
    std::variant<MapSensorSpec, RingSensorSpec, LinkSensorSpec, SoftnetSensorSpec, PressureSensorSpec> source;
    std::size_t series_max = 10'000;
    Position at;
    Position map_at;    // where the map's name stands
    Position record_at; // where the record's name stands

    friend bool operator==(const SensorSpec& a, const SensorSpec& b) {
        return a.name == b.name && a.series_max == b.series_max && a.source == b.source;
    }
};

struct InterfaceSpec {
    std::string name;
    DesiredInterface baseline;
    Position at;
    Position program_at;
    std::map<TcDirection, Position> tc_at{}; // where its programs stand
    std::vector<std::pair<MapEntry, Position>> entries_at;
};

struct PolicyFile {
    std::string path; // relative to the configuration file's folder, or absolute
    Position at;
};

struct ControllerConfig {
    std::string file; // its own path, for diagnostics
    Limits limits;
    Duration period{100};
    std::string instance = "default"; // names its pins and its state among those of other controllers
    std::string bpffs = "/sys/fs/bpf/homeostat"; // where pins are, below a BPF file system
    std::string state_folder = "/run/homeostat"; // where manifest, journal and lock are
    std::optional<std::string> control;      // path of the control socket, or "none"; none: the default one
    std::vector<std::string> object_folders; // empty: the installed ones
    std::vector<ProgramSpec> programs;
    std::vector<InterfaceSpec> interfaces;
    std::vector<SensorSpec> sensors;
    std::vector<PolicyFile> policies;

    DesiredState baseline() const;
};

// What is wrong with the name of an instance; "" where nothing is. It names folders, and pins.
std::string instance_name_mistake(std::string_view name);

// All mistakes of the text are told at once. None where its TOML is broken; after any other mistake there is
// what could be read, to look for more of them: whoever means to run it looks at the diagnostics first.
std::optional<ControllerConfig> read_config(std::string_view text, const std::string& file,
                                            Diagnostics& diagnostics);

} // namespace homeostat
