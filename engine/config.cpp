#include "engine/config.hpp"

#include "policies/interface_settings.hpp"
#include "policies/toml_reader.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

namespace homeostat {

std::string instance_name_mistake(std::string_view name) {
    if (!name.empty() && name.size() <= 64 && name.find_first_of("./") == std::string_view::npos) return {};
    return "an instance cannot be named '" + std::string(name) +
           "': expected 1 to 64 characters, without '.' and '/'";
}

DesiredState ControllerConfig::baseline() const {
    DesiredState state;
    for (const InterfaceSpec& interface : interfaces) state[interface.name] = interface.baseline;
    return state;
}

namespace {

constexpr std::int64_t many = 1'000'000'000;

bool is_metric_name(std::string_view name) {
    const auto letter = [](char c) {
        return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || c == ':';
    };
    return !name.empty() && letter(name.front()) && std::ranges::all_of(name, [&](char c) {
        return letter(c) || std::isdigit(static_cast<unsigned char>(c)) != 0;
    });
}

std::string metric_name(TomlTable& table, const SourceText& source) {
    if (is_metric_name(source.text)) return source.text;
    table.mistake(source.position(0), "'" + source.text + "' is no metric name",
                  "expected letters, digits and '_', beginning with a letter");
    return {};
}

void read_limit(TomlTable& table, std::string_view key, std::size_t& limit) {
    limit = static_cast<std::size_t>(table.integer(key, 1, many).value_or(static_cast<std::int64_t>(limit)));
}

Limits read_limits(TomlTable& root) {
    Limits limits;
    auto table = root.table("limits");
    if (!table) return limits;
    read_limit(*table, "series_max", limits.store.series_max);
    read_limit(*table, "samples_per_series_max", limits.store.samples_per_series_max);
    read_limit(*table, "samples_per_evaluation_max", limits.samples_per_evaluation_max);
    read_limit(*table, "work_per_evaluation_max", limits.work_per_evaluation_max);
    read_limit(*table, "inputs_queued_max", limits.inputs_queued_max);
    read_limit(*table, "instances_per_symptom_max", limits.instances_per_symptom_max);
    read_limit(*table, "instances_per_adaptation_max", limits.instances_per_adaptation_max);
    read_limit(*table, "changes_per_minute_max", limits.changes_per_minute_max);
    read_limit(*table, "decisions_kept_max", limits.decisions_kept_max);
    limits.lookback = table->duration("lookback").value_or(limits.lookback);
    if (limits.lookback == Duration{0})
        table->mistake(table->at("lookback"), "a lookback of 0s would hide every sample",
                       "expected 1ms or more");
    table->finish();
    return limits;
}

void read_controller(TomlTable& root, ControllerConfig& config) {
    auto table = root.table("controller");
    if (!table) return;
    config.period = table->duration("period").value_or(config.period);
    if (config.period < Duration{1} || config.period > std::chrono::minutes{1})
        table->mistake(table->at("period"), "a period of " + to_text(config.period), "expected 1ms to 1m");
    config.control = table->string("control");
    if (config.control && *config.control != no_control && !config.control->starts_with('/'))
        table->mistake(table->at("control"), "'" + *config.control + "' is no absolute path",
                       "expected a path such as \"/run/homeostat/eth0.sock\", or \"none\"");
    if (const auto name = table->text("instance")) {
        config.instance = name->text;
        if (const std::string mistake = instance_name_mistake(name->text); !mistake.empty())
            table->mistake(name->position(0), mistake, "such as \"edge\"");
    }
    for (auto [key, folder] : {std::pair("bpffs", &config.bpffs), std::pair("state", &config.state_folder)})
        if (const auto path = table->text(key)) {
            *folder = path->text;
            if (!path->text.starts_with('/'))
                table->mistake(path->position(0), "'" + path->text + "' is no absolute path",
                               "expected a folder such as \"" +
                                   std::string(key == std::string_view("bpffs") ? "/sys/fs/bpf" : "/run") +
                                   "/homeostat\"");
        }
    for (SourceText& folder : table->texts("objects"))
        config.object_folders.push_back(std::move(folder.text));
    for (const SourceText& path : table->texts("policies"))
        config.policies.push_back({path.text, path.position(0)});
    table->finish();
}

std::vector<MapMergeSpec> read_merges(TomlTable& program) {
    std::vector<MapMergeSpec> merges;
    auto maps = program.table("maps");
    if (!maps) return merges;
    for (const std::string& name : maps->keys()) {
        auto table = maps->table(name);
        if (!table) continue;
        const auto rule = table->choice("merge", {"sum", "newest"});
        const auto stamp = table->text("stamp");
        table->finish();
        const Position at = maps->key_text(name).position(0);
        if (!rule) {
            if (!table->has("merge"))
                table->mistake(at, "map '" + name + "' says nothing of 'merge'",
                               "expected merge = \"sum\" or \"newest\"");
            continue;
        }
        const bool is_newest = *rule == 1;
        if (is_newest != stamp.has_value())
            table->mistake(stamp ? stamp->position(0) : at,
                           is_newest ? "merge = \"newest\" needs a stamp" : "a sum takes no stamp",
                           is_newest ? "expected stamp = the name of a field of the value that only grows"
                                     : "");
        merges.push_back({.map = name,
                          .rule = is_newest ? MapMergeSpec::Rule::newest : MapMergeSpec::Rule::sum,
                          .stamp = stamp ? stamp->text : "",
                          .at = at,
                          .stamp_at = stamp ? stamp->position(0) : at});
    }
    return merges;
}

void read_program(TomlTable& table, ControllerConfig& config) {
    const auto name = table.require_text("name", "a name for the program");
    const auto object = table.require_text("object", "the object's file name, such as \"xdp_guard.bpf.o\"");
    const auto function = table.string("function");
    const auto twin = table.text("twin");
    std::vector<MapMergeSpec> merges = read_merges(table);
    const bool resets_maps = table.choice("on_incompatible", {"refuse", "reset"}).value_or(0) == 1;
    table.finish();
    if (!name) return;
    if (name->text == no_program || name->text.empty())
        table.mistake(name->position(0), "a program cannot be named '" + name->text + "'",
                      "choose another name");
    if (object && object->text.empty())
        table.mistake(object->position(0), "'object' is empty",
                      "expected the object's file name, such as \"xdp_guard.bpf.o\"");
    if (object && object->text.find('/') != std::string::npos)
        table.mistake(object->position(0), "'" + object->text + "' is a path",
                      "expected a file name; its folder belongs into controller.objects");
    config.programs.push_back({.name = name->text,
                               .object = object ? object->text : "",
                               .function = function.value_or(""),
                               .twin = twin ? twin->text : "",
                               .merges = std::move(merges),
                               .resets_maps = resets_maps,
                               .at = name->position(0),
                               .object_at = object ? object->position(0) : name->position(0),
                               .twin_at = twin ? twin->position(0) : name->position(0)});
}

void read_interface(TomlTable& table, ControllerConfig& config) {
    const auto name = table.require_text("name", "the interface's name");
    InterfaceSettings settings = read_baseline_settings(table);
    table.finish();
    if (!name) return;
    InterfaceSpec spec{.name = name->text,
                       .baseline = {},
                       .at = name->position(0),
                       .program_at = settings.program ? settings.program->position(0) : name->position(0),
                       .entries_at = {}};
    for (const auto& [direction, program] : settings.tc) spec.tc_at.emplace(direction, program.position(0));
    for (const InterfaceSettings::Entry& entry : settings.entries)
        spec.entries_at.emplace_back(MapEntry{entry.map, entry.key.text}, entry.at);
    spec.baseline = baseline_of(std::move(settings));
    config.interfaces.push_back(std::move(spec));
}

// labels = { LABEL = "FIELD" } or { LABEL = { field = "FIELD", enum = "ENUM" } }
std::vector<LabelSource> read_labels(TomlTable& sensor) {
    std::vector<LabelSource> sources;
    auto table = sensor.table("labels");
    if (!table) return sources;
    for (const std::string& label : table->keys()) {
        LabelSource source{.field = {}, .label = label, .enumeration = {}, .at = table->at(label)};
        if (table->is_table(label)) {
            auto inner = table->table(label);
            if (const auto field = inner->require_text("field", "a field's name")) source.field = field->text;
            source.enumeration = inner->string("enum").value_or("");
            inner->finish();
        } else if (const auto field = table->string(label)) {
            source.field = *field;
        }
        sources.push_back(std::move(source));
    }
    return sources;
}

// key = { as = "LABEL", enum = "ENUM" }, for a key that is no struct
void read_plain_key(TomlTable& sensor, std::vector<LabelSource>& sources) {
    auto table = sensor.table("key");
    if (!table) return;
    LabelSource source{.field = {}, .label = {}, .enumeration = {}, .at = table->at()};
    if (const auto label = table->require_text("as", "the label that shows the key"))
        source.label = label->text;
    source.enumeration = table->string("enum").value_or("");
    table->finish();
    if (!source.label.empty()) sources.push_back(std::move(source));
}

void read_metric(TomlTable& table, const std::string& key, const std::string& field,
                 std::vector<FieldMetric>& metrics) {
    FieldMetric metric{.field = field, .metric = {}, .labels = {}, .at = table.at(key)};
    if (table.is_table(key)) {
        auto inner = table.table(key);
        if (const auto name = inner->require_text("metric", "a metric name"))
            metric.metric = metric_name(*inner, *name);
        if (auto labels = inner->table("labels"))
            for (const std::string& label : labels->keys())
                if (auto value = labels->string(label)) metric.labels.push_back({label, std::move(*value)});
        inner->finish();
    } else if (const auto name = table.text(key)) {
        metric.metric = metric_name(table, *name);
    }
    if (!metric.metric.empty()) metrics.push_back(std::move(metric));
}

// fields = { FIELD = "METRIC" } or { FIELD = { metric = "METRIC", labels = { … } } }; value = … for no struct
std::vector<FieldMetric> read_fields(TomlTable& sensor) {
    std::vector<FieldMetric> metrics;
    if (sensor.has("value")) read_metric(sensor, "value", "", metrics);
    auto table = sensor.table("fields");
    if (!table) return metrics;
    for (const std::string& field : table->keys()) read_metric(*table, field, field, metrics);
    return metrics;
}

void read_map_sensor(TomlTable& table, SensorSpec& spec) {
    MapSensorSpec map;
    if (const auto name = table.require_text("map", "the map's name")) {
        map.map = name->text;
        spec.map_at = name->position(0);
    }
    map.key = read_labels(table);
    read_plain_key(table, map.key);
    map.fields = read_fields(table);
    if (map.fields.empty() && !table.has("fields") && !table.has("value"))
        table.mistake(table.at(), "the sensor records nothing",
                      "expected fields = { FIELD = \"METRIC\" } or value = \"METRIC\"");
    map.keep_cpus = table.choice("cpus", {"sum", "keep"}).value_or(0) == 1;
    map.skip_zero = table.boolean("skip_zero").value_or(false);
    if (spec.name.empty()) spec.name = "bpf-map:" + map.map;
    spec.source = std::move(map);
}

void read_ring_sensor(TomlTable& table, SensorSpec& spec) {
    RingSensorSpec ring;
    if (const auto name = table.require_text("map", "the ring buffer's name")) {
        ring.map = name->text;
        spec.map_at = name->position(0);
    }
    if (const auto record = table.require_text("record", "the name of the record's struct")) {
        ring.record = record->text;
        spec.record_at = record->position(0);
    }
    ring.labels = read_labels(table);
    ring.fields = read_fields(table);
    if (const auto count = table.text("count")) ring.count = metric_name(table, *count);
    if (ring.fields.empty() && !table.has("fields") && !table.has("count"))
        table.mistake(table.at(), "the sensor records nothing",
                      "expected fields = { FIELD = \"METRIC\" } or count = \"METRIC\"");
    ring.valid = table.duration("valid");
    ring.urgent = table.boolean("urgent").value_or(false);
    ring.forget = table.duration("forget").value_or(ring.forget);
    if (const Duration least = ring.valid.value_or(Duration{1}); ring.forget < least)
        table.mistake(table.at(table.has("forget") ? "forget" : "valid"),
                      "a record would be forgotten after " + to_text(ring.forget) + ", while it is valid",
                      "expected a 'forget' of at least " + to_text(least));
    if (spec.name.empty()) spec.name = "bpf-ringbuf:" + ring.map;
    spec.source = std::move(ring);
}

void read_link_sensor(TomlTable&, SensorSpec& spec) {
    if (spec.name.empty()) spec.name = "rtnetlink";
    spec.source = LinkSensorSpec{};
}

void read_softnet_sensor(TomlTable&, SensorSpec& spec) {
    if (spec.name.empty()) spec.name = "softnet";
    spec.source = SoftnetSensorSpec{};
}

void read_pressure_sensor(TomlTable&, SensorSpec& spec) {
    if (spec.name.empty()) spec.name = "pressure";
    spec.source = PressureSensorSpec{};
}

void read_sensor(TomlTable& table, ControllerConfig& config) {
    constexpr std::array readers{read_map_sensor, read_ring_sensor, read_link_sensor, read_softnet_sensor,
                                 read_pressure_sensor};
    SensorSpec spec;
    spec.at = table.at();
    spec.name = table.string("name").value_or("");
    read_limit(table, "series_max", spec.series_max);
    const bool named =
        table.require_text("type", R"("bpf-map", "bpf-ringbuf", "rtnetlink", "softnet" or "pressure")")
            .has_value();
    const auto type =
        named ? table.choice("type", {"bpf-map", "bpf-ringbuf", "rtnetlink", "softnet", "pressure"})
              : std::nullopt;
    if (!type) return; // the other keys cannot be judged
    readers[*type](table, spec);
    table.finish();
    config.sensors.push_back(std::move(spec));
}

template <class Spec>
void refuse_twice(TomlTable& root, const std::vector<Spec>& specs, std::string_view what) {
    std::set<std::string> seen;
    for (const Spec& spec : specs)
        if (!seen.insert(spec.name).second)
            root.mistake(spec.at, std::string(what) + " '" + spec.name + "' stands twice",
                         "give each its own name");
}

void check_programs_named(TomlTable& root, const ControllerConfig& config) {
    std::vector<std::string> names;
    for (const ProgramSpec& program : config.programs) names.push_back(program.name);
    const auto check = [&](const std::string& program, Position at) {
        if (std::ranges::find(names, program) != names.end()) return;
        const std::string meant = nearest(program, names);
        root.mistake(at, "no program is named '" + program + "'",
                     meant.empty() ? "declare it with [[program]]" : "did you mean '" + meant + "'?");
    };
    for (const InterfaceSpec& interface : config.interfaces) {
        if (interface.baseline.program) check(*interface.baseline.program, interface.program_at);
        for (const auto& [direction, program] : interface.baseline.tc)
            check(program, interface.tc_at.at(direction));
    }
}

} // namespace

std::optional<ControllerConfig> read_config(std::string_view text, const std::string& file,
                                            Diagnostics& diagnostics) {
    const auto toml = TomlFile::parse(text, file, diagnostics);
    if (!toml) return std::nullopt;
    ControllerConfig config;
    config.file = file;
    TomlTable root = toml->root();
    if (!root.has("version"))
        root.mistake({1, 1}, "'version' is missing", "expected version = 1 at the top of the file");
    root.integer("version", 1, 1);
    read_controller(root, config);
    config.limits = read_limits(root);
    for (TomlTable& table : root.tables("program")) read_program(table, config);
    for (TomlTable& table : root.tables("interface")) read_interface(table, config);
    for (TomlTable& table : root.tables("sensor")) read_sensor(table, config);
    root.finish();
    if (config.interfaces.empty() && !root.has("interface"))
        root.mistake({1, 1}, "no interface is named", "expected at least one [[interface]]");
    refuse_twice(root, config.programs, "program");
    refuse_twice(root, config.interfaces, "interface");
    refuse_twice(root, config.sensors, "sensor");
    check_programs_named(root, config);
    return config;
}

} // namespace homeostat
