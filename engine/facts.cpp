#include "engine/facts.hpp"

#include "policies/reconcile.hpp"

#include <array>

namespace homeostat {

namespace {

using Values = std::vector<LabelledValue>;

Labels named(std::string_view name) { return Labels{{std::string(metric_name_label), std::string(name)}}; }
double truth(bool b) { return b ? 1 : 0; }

void link_present(const EngineState& state, Values& out) {
    for (const auto& [name, actual] : state.knowledge.actual)
        out.push_back({named("link_present").with("iface", name), truth(actual.present)});
}

void link_up(const EngineState& state, Values& out) {
    for (const auto& [name, actual] : state.knowledge.actual)
        out.push_back({named("link_up").with("iface", name), truth(actual.up)});
}

void xdp_mode(const EngineState& state, Values& out) {
    for (const auto& [name, actual] : state.knowledge.actual)
        for (const XdpMode mode : {XdpMode::skb, XdpMode::drv, XdpMode::hw})
            out.push_back({named("xdp_mode").with("iface", name).with("mode", to_text(mode)),
                           truth(actual.xdp && actual.xdp->mode == mode)});
}

void xdp_program(const EngineState& state, Values& out) {
    for (const auto& [name, actual] : state.knowledge.actual)
        for (const std::string& program : state.generation->programs)
            out.push_back({named("xdp_program").with("iface", name).with("program", program),
                           truth(actual.xdp && actual.xdp->program == program)});
}

void tc_program(const EngineState& state, Values& out) {
    for (const auto& [name, actual] : state.knowledge.actual)
        for (const TcDirection direction : tc_directions) {
            const auto attached = actual.tc.find(direction);
            for (const std::string& program : state.generation->programs)
                out.push_back({named("tc_program")
                                   .with("iface", name)
                                   .with("direction", to_text(direction))
                                   .with("program", program),
                               truth(attached != actual.tc.end() && attached->second.program == program)});
        }
}

void sensor_up(const EngineState& state, Values& out) {
    for (std::size_t i = 0; i < state.generation->sensors.size(); ++i)
        out.push_back({named("sensor_up").with("sensor", state.generation->sensors[i]),
                       truth(i < state.sensors.size() && state.sensors[i].up)});
}

void symptom_raised(const EngineState& state, Values& out) {
    for (const auto& [name, memory] : state.knowledge.symptoms)
        for (const auto& [key, instance] : memory.instances)
            out.push_back({instance.fact, truth(instance.positive())});
}

void adaptation_active(const EngineState& state, Values& out) {
    for (const auto& [name, memory] : state.knowledge.adaptations)
        for (const auto& [key, instance] : memory.instances)
            out.push_back({instance.fact, truth(instance.active)});
}

void adaptation_outcomes(const EngineState& state, Values& out) {
    for (const auto& [name, memory] : state.knowledge.adaptations) {
        const auto add = [&, &adaptation = name](std::string_view outcome, std::uint64_t count) {
            out.push_back(
                {named("adaptation_outcome_total").with("adaptation", adaptation).with("outcome", outcome),
                 static_cast<double>(count)});
        };
        add("applied", memory.totals.applied);
        add("removed", memory.totals.removed);
        add("verified", memory.totals.verified);
        add("rolled_back", memory.totals.rolled_back);
    }
}

// Signals and symptoms whose last evaluation failed.
void evaluation_failed(const EngineState& state, Values& out) {
    const auto add = [&](std::string_view kind, const std::string& name, bool failed) {
        out.push_back({named("evaluation_failed").with("kind", kind).with("name", name), truth(failed)});
    };
    for (const SignalRule& signal : state.generation->policies.signals) {
        const auto recorded = state.knowledge.recorded.find(signal.name.text);
        add("signal", signal.name.text,
            recorded != state.knowledge.recorded.end() && !recorded->second.error.empty());
    }
    for (const auto& [name, memory] : state.knowledge.symptoms) add("symptom", name, !memory.error.empty());
}

void transactions(const EngineState& state, Values& out) {
    for (const auto& [interface, target] : state.knowledge.targets)
        for (const bool ok : {true, false})
            out.push_back(
                {named("transactions_total").with("iface", interface).with("outcome", ok ? "ok" : "failed"),
                 static_cast<double>(ok ? target.succeeded_total : target.failed_total)});
}

void mode_fallbacks(const EngineState& state, Values& out) {
    for (const auto& [interface, desired] : state.knowledge.desired) {
        const auto actual = state.knowledge.actual.find(interface);
        out.push_back({named("xdp_mode_fallback").with("iface", interface),
                       truth(actual != state.knowledge.actual.end() && is_fallen(desired, actual->second))});
    }
}

// Of interfaces that have had a gap.
void switch_gaps(const EngineState& state, Values& out) {
    for (const auto& [interface, target] : state.knowledge.targets)
        if (target.gap_newest)
            out.push_back({named("xdp_switch_gap_seconds").with("iface", interface),
                           static_cast<double>(target.gap_newest->ns) / 1e9});
}

void longest_gaps(const EngineState& state, Values& out) {
    for (const auto& [interface, target] : state.knowledge.targets)
        if (target.gap_longest_ns)
            out.push_back({named("xdp_switch_gap_max_seconds").with("iface", interface),
                           static_cast<double>(*target.gap_longest_ns) / 1e9});
}

void switches_covered(const EngineState& state, Values& out) {
    for (const auto& [interface, target] : state.knowledge.targets)
        if (target.gap_newest)
            out.push_back(
                {named("xdp_switch_covered").with("iface", interface), truth(target.gap_newest->covered)});
}

void ticks(const EngineState& state, Values& out) {
    out.push_back({named("homeostat_ticks_total"), static_cast<double>(state.ticks)});
    out.push_back(
        {named("homeostat_ticks_total").with("skipped", "true"), static_cast<double>(state.ticks_skipped)});
}

// What was refused or forgotten at a limit, by the limit.
void losses(const EngineState& state, Values& out) {
    const auto add = [&](std::string_view limit, std::uint64_t count) {
        out.push_back({named("homeostat_limit_hits_total").with("limit", limit), static_cast<double>(count)});
    };
    const StoreLosses& store = state.knowledge.series.losses();
    add("series_max", store.series_refused);
    add("samples_per_series_max", store.samples_truncated);
    add("one_sample_per_ms", store.samples_refused);
    add("inputs_queued_max", state.inputs_dropped);
    std::uint64_t sensor_series = 0;
    for (const SensorSeries& sensor : state.sensors) sensor_series += sensor.refused;
    add("sensor_series_max", sensor_series);
    std::uint64_t instances = 0;
    for (const auto& [name, memory] : state.knowledge.symptoms) instances += memory.instances_refused;
    add("instances_per_symptom_max", instances);
    add("decisions_kept_max", state.history.forgotten());
}

struct Fact {
    std::string_view name;
    void (*values)(const EngineState&, Values&);
};

constexpr std::array<Fact, 17> facts{{{"link_present", link_present},
                                      {"link_up", link_up},
                                      {"xdp_mode", xdp_mode},
                                      {"xdp_program", xdp_program},
                                      {"tc_program", tc_program},
                                      {"sensor_up", sensor_up},
                                      {"symptom_raised", symptom_raised},
                                      {"adaptation_active", adaptation_active},
                                      {"adaptation_outcome_total", adaptation_outcomes},
                                      {"evaluation_failed", evaluation_failed},
                                      {"transactions_total", transactions},
                                      {"xdp_mode_fallback", mode_fallbacks},
                                      {"xdp_switch_gap_seconds", switch_gaps},
                                      {"xdp_switch_gap_max_seconds", longest_gaps},
                                      {"xdp_switch_covered", switches_covered},
                                      {"homeostat_ticks_total", ticks},
                                      {"homeostat_limit_hits_total", losses}}};

} // namespace

void record_facts(EngineState& state, Instant now, Decisions& decisions) {
    Values values;
    for (const Fact& fact : facts) {
        values.clear();
        fact.values(state, values);
        const auto recorded = record(state.knowledge, std::string(fact.name), values, now);
        if (!recorded && state.knowledge.recorded[std::string(fact.name)].error.empty())
            decisions.messages.push_back("fact " + std::string(fact.name) + ": " + recorded.error().what);
        state.knowledge.recorded[std::string(fact.name)].error = recorded ? "" : recorded.error().what;
    }
}

ProvidedMetrics fact_names() {
    ProvidedMetrics names;
    for (const Fact& fact : facts) names.emplace(fact.name);
    return names;
}

} // namespace homeostat
