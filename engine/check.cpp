#include "engine/check.hpp"

#include "engine/facts.hpp"
#include "knowledge/overloaded.hpp"
#include "knowledge/text.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>

namespace homeostat {

namespace {

constexpr std::array<std::string_view, 8> link_metric_names{
    "link_receive_packets_total",  "link_receive_bytes_total",    "link_receive_dropped_total",
    "link_receive_errors_total",   "link_transmit_packets_total", "link_transmit_bytes_total",
    "link_transmit_dropped_total", "link_transmit_errors_total"};

constexpr std::array<std::string_view, 3> softnet_metric_names{
    "softnet_processed_total", "softnet_dropped_total", "softnet_squeezed_total"};

constexpr std::array<std::string_view, 3> pressure_metric_names{"pressure_some_ratio", "pressure_full_ratio",
                                                                "pressure_stall_seconds_total"};

template <class Named> std::vector<std::string> names_of(const std::vector<Named>& all) {
    std::vector<std::string> names;
    for (const Named& named : all) names.push_back(named.name);
    return names;
}

std::string suggestion(const std::string& word, const std::vector<std::string>& candidates,
                       std::string otherwise) {
    const std::string meant = nearest(word, candidates);
    return meant.empty() ? std::move(otherwise) : "did you mean '" + meant + "'?";
}

std::vector<std::string> field_names(const TypeLayout& type) { return names_of(type.fields); }

// A map, with the object that it was found in.
struct FoundMap {
    const ObjectLayout* object;
    const MapLayout* map;
};

class Checker {
  public:
    Checker(const ControllerConfig& config, const ObjectLayouts& objects, Diagnostics& diagnostics)
        : config_(config), objects_(objects), diagnostics_(diagnostics) {}

    void run(const PolicySet& policies) {
        check_shared_maps();
        for (const ProgramSpec& program : config_.programs) {
            check_twin(program);
            check_merges(program);
        }
        for (const SensorSpec& sensor : config_.sensors) check_sensor(sensor);
        for (const InterfaceSpec& interface : config_.interfaces) {
            if (interface.baseline.program)
                check_kind(config_.file, interface.program_at, *interface.baseline.program, ProgramKind::xdp);
            for (const auto& [direction, program] : interface.baseline.tc)
                check_kind(config_.file, interface.tc_at.at(direction), program, ProgramKind::tc);
            for (const auto& [entry, at] : interface.entries_at)
                check_entry(config_.file, at, entry.map, entry.key, interface.baseline.entries.at(entry));
        }
        for (const AdaptationRule& rule : policies.adaptations)
            for (const OverlaySetting& setting : rule.settings) check_setting(rule, setting);
        check_windows(policies);
    }

  private:
    void mistake(const std::string& file, Position at, std::string what, std::string expected = {}) {
        diagnostics_.push_back(
            {.file = file, .at = at, .what = std::move(what), .expected = std::move(expected)});
    }

    // Programs of one interface share maps by name, so equal names must mean equal layouts.
    void check_shared_maps() {
        std::map<std::string, std::pair<std::string, const MapLayout*>> first;
        for (const ProgramSpec& program : config_.programs) {
            const auto object = objects_.find(program.name);
            if (object == objects_.end()) continue;
            for (const MapLayout& map : object->second.maps) {
                const auto [known, is_new] = first.emplace(map.name, std::pair(program.name, &map));
                const MapLayout& other = *known->second.second;
                if (!is_new && (other.kind != map.kind || other.key.size != map.key.size ||
                                other.value.size != map.value.size || other.max_entries != map.max_entries))
                    mistake(config_.file, program.object_at,
                            "map '" + map.name + "' of program '" + program.name +
                                "' differs from that of program '" + known->second.first + "'",
                            "expected the same type, sizes and entries, since programs share maps by name");
            }
        }
    }

    void check_twin(const ProgramSpec& program) {
        const auto object = objects_.find(program.name);
        if (program.twin.empty() || object == objects_.end()) return;
        if (kind_of(program.name) == ProgramKind::tc)
            return mistake(config_.file, program.twin_at,
                           "'" + program.name + "' is a TC program, and has no twin",
                           "a twin stands in for an XDP program");
        const std::vector<std::string>& known = object->second.tc_programs;
        if (std::ranges::find(known, program.twin) != known.end()) return;
        mistake(config_.file, program.twin_at,
                "'" + program.object + "' has no TC program '" + program.twin + "'",
                suggestion(program.twin, known,
                           known.empty() ? "it has none; expected a function in SEC(\"tc\")"
                                         : "there are: " + joined(known)));
    }

    // None where that is not known, for a mistake that is told elsewhere.
    std::optional<ProgramKind> kind_of(const std::string& program) const {
        const auto object = objects_.find(program);
        const auto spec = std::ranges::find(config_.programs, program, &ProgramSpec::name);
        if (object == objects_.end() || spec == config_.programs.end()) return std::nullopt;
        const auto function =
            spec->function.empty() ? object->second.only_program() : std::optional(spec->function);
        return function ? object->second.kind_of(*function) : std::nullopt;
    }

    void check_kind(const std::string& file, Position at, const std::string& program, ProgramKind wanted) {
        const auto kind = kind_of(program);
        if (!kind || *kind == wanted) return;
        mistake(file, at,
                "'" + program + "' is " + (*kind == ProgramKind::tc ? "a TC" : "an XDP") + " program",
                wanted == ProgramKind::xdp
                    ? "expected an XDP program; this one goes with tc.ingress.program or tc.egress.program"
                    : "expected a TC program; this one goes with xdp.program");
    }

    void check_merges(const ProgramSpec& program) {
        const auto object = objects_.find(program.name);
        if (object == objects_.end()) return;
        for (const MapMergeSpec& merge : program.merges) {
            const MapLayout* map = object->second.map(merge.map);
            if (map == nullptr) {
                const std::vector<std::string> known = names_of(object->second.maps);
                mistake(config_.file, merge.at, "'" + program.object + "' has no map '" + merge.map + "'",
                        suggestion(merge.map, known, "there are: " + joined(known)));
                continue;
            }
            if (merge.rule == MapMergeSpec::Rule::newest) check_stamp(merge, *map);
        }
    }

    void check_stamp(const MapMergeSpec& merge, const MapLayout& map) {
        const FieldLayout* field = map.value.field(merge.stamp);
        if (field != nullptr && field->kind == FieldLayout::Kind::unsigned_integer && field->size >= 4)
            return;
        const std::vector<std::string> known = field_names(map.value);
        mistake(config_.file, merge.stamp_at,
                field == nullptr ? "the value of map '" + merge.map + "' has no field '" + merge.stamp + "'"
                                 : "'" + merge.stamp + "' is no unsigned integer of 4 or 8 bytes",
                field == nullptr ? suggestion(merge.stamp, known, "there are: " + joined(known))
                                 : "a stamp is one, and only grows");
    }

    std::optional<FoundMap> find_map(const std::string& name) const {
        for (const auto& [program, object] : objects_)
            if (const MapLayout* map = object.map(name)) return FoundMap{&object, map};
        return std::nullopt;
    }

    std::vector<std::string> map_names(bool rings) const {
        std::vector<std::string> names;
        for (const auto& [program, object] : objects_)
            for (const MapLayout& map : object.maps)
                if ((map.kind == MapLayout::Kind::ringbuf) == rings && map.kind != MapLayout::Kind::other &&
                    std::ranges::find(names, map.name) == names.end())
                    names.push_back(map.name);
        return names;
    }

    std::optional<FoundMap> require_map(const std::string& file, Position at, const std::string& name,
                                        bool ring) {
        // Without any object there is nothing to compare with; that it is missing was told already.
        if (objects_.empty()) return std::nullopt;
        const auto found = find_map(name);
        const std::vector<std::string> known = map_names(ring);
        if (!found) {
            mistake(file, at, "no program has a map '" + name + "'",
                    suggestion(name, known,
                               known.empty() ? "none of the programs has such maps"
                                             : "there are: " + joined(known)));
            return std::nullopt;
        }
        if ((found->map->kind == MapLayout::Kind::ringbuf) != ring ||
            found->map->kind == MapLayout::Kind::other) {
            mistake(file, at,
                    "map '" + name + "' is " +
                        (ring ? "no ring buffer" : "of a type that cannot be read here"),
                    "there are: " + joined(known));
            return std::nullopt;
        }
        return found;
    }

    const FieldLayout* require_field(Position at, const TypeLayout& type, const std::string& field,
                                     const std::string& where) {
        if (const FieldLayout* found = type.field(field)) return found;
        const std::vector<std::string> known = field_names(type);
        const bool plain = known.size() == 1 && known.front().empty();
        mistake(config_.file, at, where + (field.empty() ? " is a struct" : " has no field '" + field + "'"),
                plain ? "it is a plain number, without fields"
                      : suggestion(field, known, "its fields are: " + joined(known)));
        return nullptr;
    }

    void check_label(const LabelSource& source, const ObjectLayout& object, const TypeLayout& type,
                     const std::string& where) {
        require_field(source.at, type, source.field, where);
        if (!source.enumeration.empty() && object.enumeration(source.enumeration) == nullptr)
            mistake(config_.file, source.at, "the object has no enum '" + source.enumeration + "'",
                    suggestion(source.enumeration, names_of(object.enums),
                               "its enums are: " + joined(names_of(object.enums))));
    }

    void check_metric(const FieldMetric& metric, const TypeLayout& type, const std::string& where) {
        const FieldLayout* field = require_field(metric.at, type, metric.field, where);
        if (field != nullptr && !field->is_number())
            mistake(config_.file, metric.at, "field '" + metric.field + "' is an array of bytes",
                    "expected a number");
    }

    void check_sensor(const SensorSpec& sensor) {
        std::visit(Overloaded{[&](const MapSensorSpec& map) { check_map_sensor(sensor, map); },
                              [&](const RingSensorSpec& ring) {
                                  if (const auto found =
                                          require_map(config_.file, sensor.map_at, ring.map, true))
                                      check_record(sensor, ring, *found->object);
                              },
                              [](const LinkSensorSpec&) {}, [](const SoftnetSensorSpec&) {},
                              [](const PressureSensorSpec&) {}},
                   sensor.source);
    }

    void check_map_sensor(const SensorSpec& sensor, const MapSensorSpec& map) {
        const auto found = require_map(config_.file, sensor.map_at, map.map, false);
        if (!found) return;
        for (const LabelSource& label : map.key)
            check_label(label, *found->object, found->map->key, "the key of map '" + map.map + "'");
        for (const FieldMetric& metric : map.fields)
            check_metric(metric, found->map->value, "the value of map '" + map.map + "'");
    }

    void check_record(const SensorSpec& sensor, const RingSensorSpec& ring, const ObjectLayout& object) {
        const TypeLayout* record = object.record(ring.record);
        if (record == nullptr) {
            mistake(config_.file, sensor.record_at, "the object has no struct '" + ring.record + "'",
                    suggestion(ring.record, names_of(object.structs),
                               "expected the name of a struct in its BTF"));
            return;
        }
        for (const LabelSource& label : ring.labels)
            check_label(label, object, *record, "struct '" + ring.record + "'");
        for (const FieldMetric& metric : ring.fields)
            check_metric(metric, *record, "struct '" + ring.record + "'");
    }

    void check_entry(const std::string& file, Position at, const std::string& map, const std::string& key,
                     const MapValue& value) {
        const auto found = require_map(file, at, map, false);
        if (!found) return;
        if (!key.empty()) check_key(file, at, *found, key);
        std::vector<std::byte> scratch(found->map->value.size);
        for (const auto& [name, number] : value) {
            const FieldLayout* field = found->map->value.field(name);
            if (field == nullptr) {
                const std::vector<std::string> known = field_names(found->map->value);
                mistake(file, at,
                        name.empty() ? "the value of map '" + map + "' is a struct"
                                     : "the value of map '" + map + "' has no field '" + name + "'",
                        suggestion(name, known, "its fields are: " + joined(known)));
            } else if (const auto written = write_number(*field, number, scratch); !written) {
                mistake(file, at, "map '" + map + "': " + written.error().what);
            }
        }
    }

    void check_key(const std::string& file, Position at, const FoundMap& found, const std::string& key) {
        const TypeLayout& type = found.map->key;
        if (type.fields.size() != 1 || !type.fields.front().name.empty()) {
            mistake(file, at, "the key of map '" + found.map->name + "' is a struct",
                    "only plain keys can be set");
            return;
        }
        const auto bytes = encode_key(type, *found.object, key);
        const bool is_negative = found.map->is_array() && key.starts_with('-');
        if (!bytes && !is_negative) return wrong_key(file, at, found, key, bytes.error().what);
        if (is_negative ||
            (found.map->is_array() && read_unsigned(type.fields.front(), *bytes) >= found.map->max_entries)) {
            mistake(file, at, "map '" + found.map->name + "' has no entry " + key,
                    "expected 0 to " + std::to_string(found.map->max_entries - 1));
            return;
        }
        // Arbitration knows entries by their keys' text: two spellings of one entry would overwrite each
        // other.
        const auto spelling = spellings_.try_emplace({found.map->name, *bytes}, key).first->second;
        if (spelling != key)
            mistake(file, at,
                    "key '" + key + "' of map '" + found.map->name + "' is also written '" + spelling + "'",
                    "write it alike everywhere");
    }

    void wrong_key(const std::string& file, Position at, const FoundMap& found, const std::string& key,
                   const std::string& why) {
        const FieldLayout& field = found.map->key.fields.front();
        const std::string whose = "key of map '" + found.map->name + "': ";
        if (!field.is_number())
            return mistake(file, at, whose + why, "expected one such as 10.0.0.7 or 2001:db8::1");
        if (const EnumLayout* own = found.object->enumeration(field.enumeration))
            return mistake(file, at, whose + "'" + key + "' is not in enum " + own->name,
                           suggestion(key, own->words(), "expected one of " + joined(own->words())));
        std::vector<std::string> words;
        for (const EnumLayout& enumeration : found.object->enums)
            std::ranges::move(enumeration.words(), std::back_inserter(words));
        mistake(file, at, whose + why, suggestion(key, words, ""));
    }

    void check_setting(const AdaptationRule& rule, const OverlaySetting& setting) {
        const std::string& file = rule.name.file;
        const std::vector<std::string> interfaces = names_of(config_.interfaces);
        if (const auto name = literal(setting.interface);
            name && std::ranges::find(interfaces, *name) == interfaces.end())
            mistake(file, setting.interface_at, "interface '" + *name + "' is not managed here",
                    suggestion(*name, interfaces, "declare it with [[interface]] in the config"));
        const std::vector<std::string> programs = names_of(config_.programs);
        if (sets_program(setting)) {
            const auto program = literal(setting.program);
            if (program && *program != "none" && std::ranges::find(programs, *program) == programs.end())
                mistake(file, setting.at, "no program is named '" + *program + "'",
                        suggestion(*program, programs, "declare it with [[program]] in the config"));
            if (program)
                check_kind(file, setting.at, *program,
                           setting.kind == OverlaySetting::Kind::program ? ProgramKind::xdp
                                                                         : ProgramKind::tc);
        }
        if (setting.kind == OverlaySetting::Kind::entry)
            check_entry(file, setting.at, setting.map, literal(setting.key).value_or(""), setting.value);
    }

    // A template's text, where it has no labels.
    static std::optional<std::string> literal(const Template& text) {
        const auto bound = bind(text, {});
        return bound ? std::optional(*bound) : std::nullopt;
    }

    // A window that the store cannot hold is refused here: there is no silent truncation later.
    void check_windows(const PolicySet& policies) {
        const auto check = [&](const Condition& condition) {
            for (const promql::SelectorNeed& need : promql::selectors(condition.expr)) {
                // The sample before the window is kept too.
                const auto samples = static_cast<std::size_t>(need.history / config_.period) + 1;
                if (samples <= config_.limits.store.samples_per_series_max) continue;
                mistake(condition.source.file, condition.source.position(need.at.offset),
                        "a window of " + to_text(need.history) + " needs " + std::to_string(samples) +
                            " samples at a period of " + to_text(config_.period),
                        "expected at most " + std::to_string(config_.limits.store.samples_per_series_max) +
                            ": shorten it, or raise limits.samples_per_series_max");
            }
        };
        for (const SignalRule& signal : policies.signals) check(signal.expr);
        for (const Symptom& symptom : policies.symptoms) {
            check(symptom.rule.raise);
            if (symptom.rule.clear) check(*symptom.rule.clear);
        }
    }

    const ControllerConfig& config_;
    const ObjectLayouts& objects_;
    Diagnostics& diagnostics_;
    std::map<std::pair<std::string, std::vector<std::byte>>, std::string>
        spellings_; // of keys, by map and bytes
};

} // namespace

std::span<const std::string_view> link_metrics() { return link_metric_names; }
std::span<const std::string_view> softnet_metrics() { return softnet_metric_names; }
std::span<const std::string_view> pressure_metrics() { return pressure_metric_names; }

ProvidedMetrics provided_metrics(const ControllerConfig& config) {
    ProvidedMetrics names = fact_names();
    const auto add = Overloaded{
        [&](const MapSensorSpec& map) {
            for (const FieldMetric& metric : map.fields) names.insert(metric.metric);
        },
        [&](const RingSensorSpec& ring) {
            for (const FieldMetric& metric : ring.fields) names.insert(metric.metric);
            if (!ring.count.empty()) names.insert(ring.count);
            names.emplace("sensor_short_records_total");
        },
        [&](const LinkSensorSpec&) { names.insert(link_metric_names.begin(), link_metric_names.end()); },
        [&](const SoftnetSensorSpec&) {
            names.insert(softnet_metric_names.begin(), softnet_metric_names.end());
        },
        [&](const PressureSensorSpec&) {
            names.insert(pressure_metric_names.begin(), pressure_metric_names.end());
        }};
    for (const SensorSpec& sensor : config.sensors) std::visit(add, sensor.source);
    return names;
}

namespace {

// A sensor that needs no map is only to be declared.
void add_sensors_without_maps(NamesElsewhere& elsewhere) {
    const auto add = [&](std::string_view type, std::span<const std::string_view> metrics) {
        for (const std::string_view metric : metrics)
            elsewhere.metrics.emplace(metric,
                                      "declare its sensor in the configuration: [[sensor]] with type = \"" +
                                          std::string(type) + "\"");
    };
    add("rtnetlink", link_metrics());
    add("softnet", softnet_metrics());
    add("pressure", pressure_metrics());
}

} // namespace

GenerationPtr make_generation(const ControllerConfig& config, std::vector<PolicyDocument> policies,
                              const ObjectLayouts& objects, std::uint64_t number, Diagnostics& diagnostics,
                              PolicyReview* review, NamesElsewhere elsewhere) {
    auto generation = std::make_shared<Generation>();
    generation->number = number;
    generation->baseline = config.baseline();
    const ProvidedMetrics provided = provided_metrics(config);
    add_sensors_without_maps(elsewhere);
    generation->policies = make_policy_set(std::move(policies), &provided, diagnostics, std::move(elsewhere));
    generation->programs = names_of(config.programs);
    generation->sensors = names_of(config.sensors);
    generation->limits = config.limits;
    Checker(config, objects, diagnostics).run(generation->policies);
    if (review != nullptr) *review = review_policies(generation->policies, config, objects, diagnostics);
    if (has_errors(diagnostics)) return nullptr;
    return generation;
}

void check_reloadable(const ControllerConfig& running, const ControllerConfig& next,
                      Diagnostics& diagnostics) {
    const auto differs = [&](Position at, std::string what) {
        diagnostics.push_back({.file = next.file,
                               .at = at,
                               .what = std::move(what),
                               .expected = "restart the controller for it"});
    };
    if (running.period != next.period) differs({}, "the period has changed");
    if (running.control != next.control) differs({}, "controller.control has changed");
    if (running.instance != next.instance || running.bpffs != next.bpffs ||
        running.state_folder != next.state_folder)
        differs({}, "controller.instance, bpffs or state has changed");
    if (running.object_folders != next.object_folders) differs({}, "controller.objects has changed");
    if (names_of(running.interfaces) != names_of(next.interfaces))
        differs({}, "the list of interfaces has changed");
    if (running.programs != next.programs) differs({}, "the programs have changed");
    if (running.sensors != next.sensors) differs({}, "the sensors have changed");
}

} // namespace homeostat
