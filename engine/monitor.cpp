#include "engine/monitor.hpp"

#include <algorithm>
#include <utility>

namespace homeostat {

namespace {

// A sensor's numbers are dense and limited; one far beyond is a sensor's bug, not a reason to allocate.
constexpr std::uint32_t local_max = 1U << 20U;

constexpr Duration sweep_every = std::chrono::seconds{30};

std::string sensor_name(const EngineState& state, SensorId id) {
    const auto index = static_cast<std::size_t>(id);
    return index < state.generation->sensors.size() ? state.generation->sensors[index]
                                                    : "sensor " + std::to_string(index);
}

SensorSeries& sensor_of(EngineState& state, SensorId id) {
    const auto index = static_cast<std::size_t>(id);
    if (index >= state.sensors.size()) state.sensors.resize(index + 1);
    return state.sensors[index];
}

// The series of a sensor's number; defined in the store when it is first written to.
std::optional<SeriesId> series_of(EngineState& state, SensorSeries& sensor, std::uint32_t local) {
    if (local >= sensor.locals.size()) return std::nullopt;
    SensorSeries::Local& entry = sensor.locals[local];
    if (entry.id || entry.labels.empty()) return entry.id;
    if (const auto id = state.knowledge.series.define(entry.labels))
        entry.id = *id;
    else
        sensor.store_full = true;
    return entry.id;
}

// A marker in the millisecond of a sample is refused; it comes with the sensor's next failure.
void end_all(EngineState& state, SensorSeries& sensor, Instant now) {
    SeriesStore& store = state.knowledge.series;
    for (const SensorSeries::Local& local : sensor.locals)
        if (local.id && store.newest(*local.id, now, state.generation->limits.lookback))
            store.append(*local.id, now, stale_marker);
}

using TcPrograms = std::map<TcDirection, AttachedTc>;

std::string name_of(const TcPrograms& programs, TcDirection direction) {
    const auto tc = programs.find(direction);
    if (tc == programs.end()) return "nothing";
    return tc->second.program + " (program " + std::to_string(tc->second.program_id) + ")";
}

void tell_tc_drift(const std::string& interface, const TcPrograms& before, const TcPrograms& now,
                   Decisions& decisions) {
    for (const TcDirection direction : tc_directions) {
        const std::string was = name_of(before, direction);
        const std::string is = name_of(now, direction);
        if (was != is)
            decisions.messages.push_back("drift on " + interface + ": " + was + " was attached at TC " +
                                         std::string(to_text(direction)) + ", now it is " + is);
    }
}

std::string name_of(const std::optional<AttachedXdp>& xdp) {
    if (!xdp) return "nothing";
    return xdp->program + " (" + std::string(to_text(xdp->mode)) + ", program " +
           std::to_string(xdp->program_id) + ")";
}

void note_health(EngineState& state, SensorSeries& sensor, const SampleBatch& batch, Decisions& decisions) {
    const std::string name = sensor_name(state, batch.sensor);
    if (batch.error != sensor.error) {
        decisions.messages.push_back("sensor " + name +
                                     (batch.error.empty() ? " has recovered" : ": " + batch.error));
        sensor.error = batch.error;
    }
    if (batch.refused > 0 && sensor.refused == 0)
        decisions.messages.push_back("sensor " + name +
                                     " has reached its limit of series: more are not recorded");
    sensor.refused += batch.refused;
}

// What was tried on one device says nothing of the next one: that is not to wait for a retry.
void forget_device(TargetMemory& target) {
    target.last_steps.clear();
    target.settled.clear();
    target.begun.clear();
    target.held_back = false;
    target.gap_newest.reset();
    target.gap_longest_ns.reset();
    target.climb_at.reset();
    target.climbs_failed = 0;
}

} // namespace

void take_batch(EngineState& state, const SampleBatch& batch, Decisions& decisions) {
    SensorSeries& sensor = sensor_of(state, batch.sensor);
    note_health(state, sensor, batch, decisions);
    for (const SeriesDefinition& definition : batch.defined) {
        if (definition.local >= local_max) {
            ++sensor.refused;
            continue;
        }
        if (definition.local >= sensor.locals.size()) sensor.locals.resize(definition.local + 1);
        sensor.locals[definition.local] = {definition.labels, std::nullopt};
    }
    sensor.up = batch.error.empty();
    if (!sensor.up) return end_all(state, sensor, batch.time);
    const bool was_full = std::exchange(sensor.store_full, false);
    for (const LocalSample& sample : batch.samples)
        if (const auto id = series_of(state, sensor, sample.local))
            state.knowledge.series.append(*id, batch.time, sample.value);
    if (sensor.store_full && !was_full)
        decisions.messages.push_back("sensor " + sensor_name(state, batch.sensor) +
                                     ": the store is full (limits.series_max): new series are not recorded");
    for (const std::uint32_t local : batch.ended)
        if (const auto id = series_of(state, sensor, local))
            state.knowledge.series.append(*id, batch.time, stale_marker);
}

void take_observed(EngineState& state, const std::string& interface, const ActualInterface& observed,
                   Decisions& decisions) {
    const auto known = state.knowledge.actual.find(interface);
    if (known == state.knowledge.actual.end()) {
        state.knowledge.actual.emplace(interface, observed);
        return;
    }
    // Whether the interface is there at all, link events tell.
    ActualInterface& actual = known->second;
    TargetMemory& target = state.knowledge.targets[interface];
    if (target.in_flight || observed.index != actual.index) return;
    if (!target.unread) {
        const std::size_t before = decisions.messages.size();
        if (observed.xdp != actual.xdp)
            decisions.messages.push_back("drift on " + interface + ": " + name_of(actual.xdp) +
                                         " was attached, now it is " + name_of(observed.xdp));
        tell_tc_drift(interface, actual.tc, observed.tc, decisions);
        if (decisions.messages.size() != before)
            target.last_steps.clear(); // the same steps again are no repetition
    }
    target.unread = false;
    actual.xdp = observed.xdp;
    actual.tc = observed.tc;
    actual.entries = observed.entries;
}

void take_link(EngineState& state, const LinkEvent& link, Decisions& decisions) {
    const auto [known, is_new] = state.knowledge.actual.try_emplace(link.interface);
    ActualInterface& actual = known->second;
    if (!is_new && actual.present != link.present)
        decisions.messages.push_back("interface " + link.interface +
                                     (link.present ? " is there" : " is gone"));
    // What hung on a device, and what was learned of it, goes with it; the maps are ours and stay.
    if (!link.present || link.index != actual.index) {
        actual.xdp.reset();
        actual.tc.clear();
        forget_device(state.knowledge.targets[link.interface]);
        state.knowledge.targets[link.interface].unread = link.present;
    }
    actual.present = link.present;
    actual.up = link.up;
    actual.index = link.index;
}

void sweep_series(EngineState& state, Instant now) {
    if (!state.swept_at) state.swept_at = now;
    if (now - *state.swept_at < sweep_every) return;
    state.swept_at = now;
    const std::vector<SeriesId> forgotten =
        state.knowledge.series.forget_unseen(now, state.generation->limits.lookback);
    if (forgotten.empty()) return;
    const auto is_gone = [&](SeriesId id) { return std::ranges::binary_search(forgotten, id); };
    for (SensorSeries& sensor : state.sensors)
        for (SensorSeries::Local& local : sensor.locals)
            if (local.id && is_gone(*local.id)) local.id.reset();
    for (auto& [family, recorded] : state.knowledge.recorded) std::erase_if(recorded.current, is_gone);
}

} // namespace homeostat
