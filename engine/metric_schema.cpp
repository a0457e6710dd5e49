#include "engine/metric_schema.hpp"

#include "knowledge/overloaded.hpp"

#include <algorithm>

namespace homeostat {

namespace {

using promql::LabelRange;
using promql::MetricKind;
using promql::ResultLabels;
using promql::Schema;

LabelRange one_of(std::set<std::string> values) {
    return {.always = true, .values = std::move(values), .also_numbers = false};
}

LabelRange anything() { return {.always = true, .values = std::nullopt, .also_numbers = false}; }

template <class Named> std::set<std::string> names_of(const std::vector<Named>& all) {
    std::set<std::string> names;
    for (const Named& named : all) names.insert(named.name);
    return names;
}

LabelRange words_of(const EnumLayout* enumeration) {
    if (enumeration == nullptr) return anything();
    const std::vector<std::string> words = enumeration->words();
    LabelRange range = one_of({words.begin(), words.end()});
    range.also_numbers = true;
    return range;
}

// By the Prometheus convention, and ours: what is counted is named _total.
MetricKind kind_by_name(const std::string& metric) {
    return metric.ends_with("_total") ? MetricKind::counter : MetricKind::unknown;
}

class SensorSchema {
  public:
    SensorSchema(const ControllerConfig& config, const ObjectLayouts& objects)
        : interfaces_(one_of(names_of(config.interfaces))), objects_(objects) {}

    void add(const SensorSpec& sensor, Schema& schema) const {
        std::visit(Overloaded{[&](const MapSensorSpec& map) { add(map, schema); },
                              [&](const RingSensorSpec& ring) { add(ring, schema); },
                              [&](const LinkSensorSpec&) {
                                  for (const std::string_view metric : link_metrics())
                                      put(schema, std::string(metric), {}, MetricKind::counter);
                              },
                              [&](const SoftnetSensorSpec&) {
                                  for (const std::string_view metric : softnet_metrics())
                                      put_host(schema, metric, {{"cpu", anything()}});
                              },
                              [&](const PressureSensorSpec&) { add_pressure(schema); }},
                   sensor.source);
    }

  private:
    void put(Schema& schema, const std::string& metric, ResultLabels labels, MetricKind kind) const {
        labels.labels["iface"] = interfaces_;
        const bool is_new = !schema.contains(metric);
        promql::MetricSchema& known = schema[metric];
        known.kind = is_new || known.kind == kind ? kind : MetricKind::unknown;
        known.shapes.push_back(std::move(labels));
    }

    // Of the host, not of an interface.
    static void put_host(Schema& schema, std::string_view metric, std::map<std::string, LabelRange> labels) {
        promql::MetricSchema& known = schema[std::string(metric)];
        known.kind = metric.ends_with("_total") ? MetricKind::counter : MetricKind::gauge;
        ResultLabels shape;
        for (auto& [name, range] : labels) shape.labels[name] = std::move(range);
        known.shapes.push_back(std::move(shape));
    }

    static void add_pressure(Schema& schema) {
        const LabelRange resource = one_of({"cpu", "memory", "io"});
        for (const std::string_view metric : pressure_metrics())
            if (metric.ends_with("_total"))
                put_host(schema, metric, {{"resource", resource}, {"kind", one_of({"some", "full"})}});
            else
                put_host(schema, metric,
                         {{"resource", resource}, {"window", one_of({"10s", "60s", "300s"})}});
    }

    void add(const MapSensorSpec& map, Schema& schema) const {
        const ObjectLayout* object = nullptr;
        const MapLayout* layout = nullptr;
        for (const auto& [program, candidate] : objects_)
            if (const MapLayout* found = candidate.map(map.map); found != nullptr && layout == nullptr) {
                layout = found;
                object = &candidate;
            }
        for (const FieldMetric& field : map.fields) {
            ResultLabels labels = labels_of(map.key, object, layout ? &layout->key : nullptr, field.labels);
            if (map.keep_cpus && (layout == nullptr || layout->per_cpu())) labels.labels["cpu"] = anything();
            put(schema, field.metric, std::move(labels), kind_by_name(field.metric));
        }
    }

    void add(const RingSensorSpec& ring, Schema& schema) const {
        const ObjectLayout* object = nullptr;
        for (const auto& [program, candidate] : objects_)
            if (object == nullptr && candidate.map(ring.map) != nullptr) object = &candidate;
        const TypeLayout* record = object != nullptr ? object->record(ring.record) : nullptr;
        for (const FieldMetric& field : ring.fields)
            put(schema, field.metric, labels_of(ring.labels, object, record, field.labels),
                MetricKind::gauge);
        if (!ring.count.empty())
            put(schema, ring.count, labels_of(ring.labels, object, record, {}), MetricKind::counter);
        ResultLabels short_records;
        short_records.labels["map"] = one_of({ring.map});
        put(schema, "sensor_short_records_total", std::move(short_records), MetricKind::counter);
    }

    static ResultLabels labels_of(const std::vector<LabelSource>& sources, const ObjectLayout* object,
                                  const TypeLayout* type, const std::vector<Label>& fixed) {
        ResultLabels labels;
        for (const LabelSource& source : sources)
            labels.labels[source.label] = range_of(source, object, type);
        for (const Label& label : fixed) labels.labels[label.name] = one_of({label.value});
        return labels;
    }

    static LabelRange range_of(const LabelSource& source, const ObjectLayout* object,
                               const TypeLayout* type) {
        const FieldLayout* field = type != nullptr ? type->field(source.field) : nullptr;
        if (object == nullptr || field == nullptr) return anything();
        if (!source.enumeration.empty()) return words_of(object->enumeration(source.enumeration));
        if (field->kind == FieldLayout::Kind::enumeration)
            return words_of(object->enumeration(field->enumeration));
        if (field->kind == FieldLayout::Kind::boolean) return one_of({"false", "true"});
        return anything();
    }

    LabelRange interfaces_;
    const ObjectLayouts& objects_;
};

ResultLabels shape(std::map<std::string, LabelRange> labels) {
    return {.labels = std::move(labels), .open = false};
}

void add_facts(const ControllerConfig& config, const PolicySet& policies, Schema& schema) {
    const LabelRange interfaces = one_of(names_of(config.interfaces));
    const ResultLabels by_interface = shape({{"iface", interfaces}});
    schema["link_present"] = {.shapes = {by_interface}, .kind = MetricKind::state};
    schema["link_up"] = {.shapes = {by_interface}, .kind = MetricKind::state};
    schema["xdp_mode"] = {.shapes = {shape({{"iface", interfaces}, {"mode", one_of({"skb", "drv", "hw"})}})},
                          .kind = MetricKind::state};
    schema["xdp_program"] = {
        .shapes = {shape({{"iface", interfaces}, {"program", one_of(names_of(config.programs))}})},
        .kind = MetricKind::state};
    schema["tc_program"] = {.shapes = {shape({{"iface", interfaces},
                                              {"direction", one_of({"ingress", "egress"})},
                                              {"program", one_of(names_of(config.programs))}})},
                            .kind = MetricKind::state};
    schema["sensor_up"] = {.shapes = {shape({{"sensor", one_of(names_of(config.sensors))}})},
                           .kind = MetricKind::state};
    schema["transactions_total"] = {
        .shapes = {shape({{"iface", interfaces}, {"outcome", one_of({"ok", "failed"})}})},
        .kind = MetricKind::counter};
    schema["xdp_mode_fallback"] = {.shapes = {by_interface}, .kind = MetricKind::state};
    schema["xdp_switch_gap_seconds"] = {.shapes = {by_interface}, .kind = MetricKind::gauge};
    schema["xdp_switch_gap_max_seconds"] = {.shapes = {by_interface}, .kind = MetricKind::gauge};
    schema["xdp_switch_covered"] = {.shapes = {by_interface}, .kind = MetricKind::state};
    std::set<std::string> adaptations;
    for (const AdaptationRule& rule : policies.adaptations) adaptations.insert(rule.name.text);
    schema["adaptation_outcome_total"] = {
        .shapes = {shape({{"adaptation", one_of(std::move(adaptations))},
                          {"outcome", one_of({"applied", "removed", "verified", "rolled_back"})}})},
        .kind = MetricKind::counter};
    std::set<std::string> signals;
    std::set<std::string> symptoms;
    for (const SignalRule& signal : policies.signals) signals.insert(signal.name.text);
    for (const Symptom& symptom : policies.symptoms) symptoms.insert(symptom.rule.name.text);
    schema["evaluation_failed"] = {
        .shapes = {shape({{"kind", one_of({"signal"})}, {"name", one_of(std::move(signals))}}),
                   shape({{"kind", one_of({"symptom"})}, {"name", one_of(std::move(symptoms))}})},
        .kind = MetricKind::state};
    schema["homeostat_ticks_total"] = {.shapes = {shape({}), shape({{"skipped", one_of({"true"})}})},
                                       .kind = MetricKind::counter};
    schema["homeostat_limit_hits_total"] = {.shapes = {shape({{"limit", anything()}})},
                                            .kind = MetricKind::counter};
}

} // namespace

Schema metric_schema(const ControllerConfig& config, const ObjectLayouts& objects,
                     const PolicySet& policies) {
    Schema schema;
    const SensorSchema sensors(config, objects);
    for (const SensorSpec& sensor : config.sensors) sensors.add(sensor, schema);
    add_facts(config, policies, schema);
    return schema;
}

} // namespace homeostat
