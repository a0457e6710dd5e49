#include "engine/policy_test/simulation.hpp"

#include "engine/datapath_in_memory.hpp"
#include "knowledge/overloaded.hpp"

#include <algorithm>
#include <cassert>
#include <map>
#include <utility>

namespace homeostat::policy_test {

namespace {

std::vector<std::string> sensors_of(const TestCase& test_case) {
    std::vector<std::string> names;
    const auto add = [&](const std::string& name) {
        if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    };
    for (const PlayedSeries& series : test_case.series) add(series.sensor);
    for (const Event& event : test_case.events)
        std::visit(Overloaded{[&](const UrgentSample& sample) { add(sample.sensor); },
                              [&](const SensorFailure& failure) { add(failure.sensor); }, [](const auto&) {}},
                   event.what);
    return names;
}

std::vector<std::string> names_of(const DesiredState& state) {
    std::vector<std::string> names;
    for (const auto& [name, desired] : state) names.push_back(name);
    return names;
}

// One value that a sensor reads.
struct Reading {
    Duration time{};
    std::size_t sensor = 0;
    std::uint32_t local = 0;
    double value = 0;
    bool urgent = false;
};

// A sensor's series, numbered as they first occur.
struct SimulatedSensor {
    std::string name;
    std::vector<Labels> series;
    std::size_t defined = 0; // of these, told to the engine

    std::uint32_t number_of(const Labels& labels) {
        const auto known = std::ranges::find(series, labels);
        const auto local = static_cast<std::uint32_t>(known - series.begin());
        if (known == series.end()) series.push_back(labels);
        return local;
    }
};

// All that the sensors of a case read, by time. Where an event and a series have one time, the event counts.
class Telemetry {
  public:
    explicit Telemetry(const TestCase& test_case) : case_(test_case) {
        for (const std::string& name : sensors_of(test_case))
            sensors_.push_back({.name = name, .series = {}, .defined = 0});
        for (const Event& event : test_case.events)
            if (const auto* sample = std::get_if<UrgentSample>(&event.what))
                add(sample->sensor, sample->labels, event.time, sample->value, true);
        for (const PlayedSeries& series : test_case.series)
            for (std::size_t i = 0; i < series.values.size(); ++i)
                if (series.values[i])
                    add(series.sensor, series.labels,
                        series.from + series.every * static_cast<Duration::rep>(i), *series.values[i],
                        series.urgent);
        std::ranges::stable_sort(readings_, {}, &Reading::time);
        for (const Reading& reading : readings_)
            if (reading.urgent && failure_at(reading.sensor, reading.time) == nullptr)
                urgent_.push_back(reading.time);
    }

    // The first reading that starts a tick of its own, after the last one that was collected.
    std::optional<Duration> next_urgent() const {
        return next_urgent_ < urgent_.size() ? std::optional(urgent_[next_urgent_]) : std::nullopt;
    }

    // What was read since the last tick. Every sensor reports at a periodic tick, be it nothing or a failure.
    void collect(Duration now, Instant start, bool periodic, Readings& out) {
        while (next_ < readings_.size() && readings_[next_].time <= now) {
            const Reading& reading = readings_[next_++];
            if (failure_at(reading.sensor, reading.time) == nullptr)
                append(batch_of(reading.sensor, start + reading.time, out), reading);
        }
        while (next_urgent_ < urgent_.size() && urgent_[next_urgent_] <= now) ++next_urgent_;
        if (!periodic) return;
        for (std::size_t i = 0; i < sensors_.size(); ++i) {
            const SensorFailure* failure = failure_at(i, now);
            SampleBatch& batch = batch_of(i, start + now, out);
            if (failure != nullptr) batch.error = failure->error;
        }
    }

  private:
    void add(const std::string& sensor, const Labels& labels, Duration time, double value, bool urgent) {
        const auto place = std::ranges::find(sensors_, sensor, &SimulatedSensor::name);
        readings_.push_back({.time = time,
                             .sensor = static_cast<std::size_t>(place - sensors_.begin()),
                             .local = place->number_of(labels),
                             .value = value,
                             .urgent = urgent});
    }

    const SensorFailure* failure_at(std::size_t sensor, Duration time) const {
        for (const Event& event : case_.events)
            if (const auto* failure = std::get_if<SensorFailure>(&event.what))
                if (failure->sensor == sensors_[sensor].name && event.time <= time && time < failure->until)
                    return failure;
        return nullptr;
    }

    SampleBatch& batch_of(std::size_t sensor, Instant time, Readings& out) {
        const auto id = static_cast<SensorId>(sensor);
        for (SampleBatch& batch : out.batches)
            if (batch.sensor == id && batch.time == time) return batch;
        SampleBatch batch;
        batch.sensor = id;
        batch.time = time;
        SimulatedSensor& known = sensors_[sensor];
        for (; known.defined < known.series.size(); ++known.defined)
            batch.defined.push_back({static_cast<std::uint32_t>(known.defined), known.series[known.defined]});
        return out.batches.emplace_back(std::move(batch));
    }

    static void append(SampleBatch& batch, const Reading& reading) {
        if (is_stale(reading.value))
            batch.ended.push_back(reading.local);
        else
            batch.samples.push_back({reading.local, reading.value});
    }

    const TestCase& case_;
    std::vector<SimulatedSensor> sensors_;
    std::vector<Reading> readings_;
    std::size_t next_ = 0;
    std::vector<Duration> urgent_; // times, rising
    std::size_t next_urgent_ = 0;
};

// A transaction under way, or the outcome that waits for the next tick.
struct Underway {
    std::optional<Duration> due; // none: with the next tick
    Transaction transaction;
    Outcome outcome; // where there is no `due`
    std::vector<XdpMode> modes;
    std::string fails;
    Duration took{0};
};

} // namespace

GenerationPtr make_case_generation(const PolicyTest& test, const TestCase& test_case,
                                   std::vector<PolicyDocument> policies, Diagnostics& diagnostics) {
    auto generation = std::make_shared<Generation>();
    generation->baseline = test.baseline;
    Diagnostics found;
    generation->policies = make_policy_set(std::move(policies), nullptr, found);
    generation->programs = test.programs;
    generation->sensors = sensors_of(test_case);
    const bool is_sound = !has_errors(found);
    std::ranges::move(found, std::back_inserter(diagnostics));
    return is_sound ? generation : nullptr;
}

struct Simulation::Play {
    Play(const PolicyTest& a_test, const TestCase& a_case, GenerationPtr generation)
        : test(a_test), test_case(a_case), state(std::move(generation)), datapath(names_of(a_test.baseline)),
          telemetry(a_case) {}

    std::optional<Duration> next() const;
    const Decisions& step();

  private:
    void advance_world(Duration now, Inputs& inputs);
    void take_event(const Event& event, Inputs& inputs);
    void finish(Underway underway, Inputs& inputs);
    Outcome execute(const Underway& underway);
    void begin(const PlannedTransaction& planned, Duration now);
    const OutcomeRule* rule_for(const std::string& interface, Duration now);

  public:
    const PolicyTest& test;
    const TestCase& test_case;
    EngineState state;
    DatapathInMemory datapath;
    Telemetry telemetry;
    Decisions decisions;

  private:
    Duration next_periodic_{0};
    std::size_t next_event_ = 0;
    std::vector<Underway> underway_;
    std::map<std::string, std::size_t> planned_on_; // transactions so far, by interface
    std::size_t planned_ = 0;
};

std::optional<Duration> Simulation::Play::next() const {
    Duration time = next_periodic_;
    if (const auto urgent = telemetry.next_urgent()) time = std::min(time, *urgent);
    for (const Underway& one : underway_)
        if (one.due) time = std::min(time, *one.due);
    return time <= test_case.end ? std::optional(time) : std::nullopt;
}

const Decisions& Simulation::Play::step() {
    const Duration now = next().value();
    Inputs inputs;
    inputs.now = test.start + now;
    inputs.periodic = now == next_periodic_;
    advance_world(now, inputs);
    telemetry.collect(now, test.start, inputs.periodic, inputs.readings);
    if (inputs.periodic) next_periodic_ += test_case.period;
    if (inputs.periodic || !inputs.readings.links.empty()) inputs.observed = datapath.read_back();
    decisions = tick(state, inputs);
    for (const PlannedTransaction& transaction : decisions.transactions) begin(transaction, now);
    return decisions;
}

// What happened since the last tick, in the order of its times; an outcome before an event of the same time.
void Simulation::Play::advance_world(Duration now, Inputs& inputs) {
    for (Underway& one : std::exchange(underway_, {}))
        if (one.due)
            underway_.push_back(std::move(one));
        else
            inputs.outcomes.push_back(std::move(one.outcome));
    for (;;) {
        const auto first =
            std::ranges::min_element(underway_, {}, [](const Underway& one) { return one.due.value(); });
        const Event* event = next_event_ < test_case.events.size() ? &test_case.events[next_event_] : nullptr;
        const bool is_done = first != underway_.end() && *first->due <= now;
        const bool happens = event != nullptr && event->time <= now;
        if (is_done && (!happens || *first->due <= event->time)) {
            Underway done = std::move(*first);
            underway_.erase(first);
            finish(std::move(done), inputs);
        } else if (happens) {
            ++next_event_;
            take_event(*event, inputs);
        } else {
            return;
        }
    }
}

void Simulation::Play::take_event(const Event& event, Inputs& inputs) {
    std::visit(Overloaded{[&](const LinkChange& link) {
                              datapath.set_link(link.interface, link.present, link.up);
                              const ActualInterface& actual = datapath.state().at(link.interface);
                              inputs.readings.links.push_back({.interface = link.interface,
                                                               .present = actual.present,
                                                               .up = actual.up,
                                                               .index = actual.index});
                          },
                          [&](const Drift& drift) { datapath.attach(drift.interface, drift.program); },
                          [](const auto&) {}}, // the telemetry has it
               event.what);
}

Outcome Simulation::Play::execute(const Underway& one) {
    datapath.set_modes(one.transaction.interface, one.modes);
    Outcome outcome = one.fails.empty() ? datapath.apply(one.transaction)
                                        : Outcome{.id = one.transaction.id,
                                                  .interface = one.transaction.interface,
                                                  .ok = false,
                                                  .error = one.fails,
                                                  .notes = {},
                                                  .actual = datapath.state().at(one.transaction.interface),
                                                  .took_ns = 0,
                                                  .done_monotonic_ns = 0};
    outcome.took_ns = std::chrono::nanoseconds(one.took).count();
    return outcome;
}

void Simulation::Play::finish(Underway one, Inputs& inputs) {
    Outcome outcome = execute(one);
    outcome.done_monotonic_ns = std::chrono::nanoseconds(one.due.value()).count();
    inputs.outcomes.push_back(std::move(outcome));
}

const OutcomeRule* Simulation::Play::rule_for(const std::string& interface, Duration now) {
    const std::size_t nth_of_interface = ++planned_on_[interface];
    ++planned_;
    for (const OutcomeRule& rule : test_case.outcomes) {
        if (!rule.interface.empty() && rule.interface != interface) continue;
        const std::size_t nth = rule.interface.empty() ? planned_ : nth_of_interface;
        if (rule.nth && *rule.nth != nth) continue;
        if (now >= rule.from && (!rule.until || now < *rule.until)) return &rule;
    }
    return nullptr;
}

void Simulation::Play::begin(const PlannedTransaction& transaction, Duration now) {
    const OutcomeRule* rule = rule_for(transaction.transaction.interface, now);
    Underway one{.due = {},
                 .transaction = transaction.transaction,
                 .outcome = {},
                 .modes = rule != nullptr ? rule->modes : std::vector<XdpMode>(),
                 .fails = rule != nullptr ? rule->fails : ""};
    const auto latency = rule != nullptr && rule->latency ? rule->latency : test_case.latency;
    if (latency) {
        one.took = *latency;
        one.due = now + *latency;
    } else {
        one.outcome = execute(one);
        one.outcome.done_monotonic_ns = std::chrono::nanoseconds(now).count();
    }
    underway_.push_back(std::move(one));
}

Simulation::Simulation(const PolicyTest& test, const TestCase& test_case, GenerationPtr generation)
    : play_(std::make_unique<Play>(test, test_case, std::move(generation))) {}

Simulation::Simulation(Simulation&&) noexcept = default;
Simulation::~Simulation() = default;

std::optional<Duration> Simulation::next() const { return play_->next(); }
const Decisions& Simulation::step() { return play_->step(); }
const PolicyTest& Simulation::test() const { return play_->test; }
const EngineState& Simulation::state() const { return play_->state; }
EngineState Simulation::take_state() && { return std::move(play_->state); }
const ActualState& Simulation::actual() const { return play_->datapath.state(); }

SimulatedRun run_case(const PolicyTest& test, const TestCase& test_case, std::optional<Duration> until) {
    Diagnostics diagnostics;
    GenerationPtr generation = make_case_generation(test, test_case, test.policies, diagnostics);
    assert(generation != nullptr);
    Simulation simulation(test, test_case, std::move(generation));
    std::vector<Decisions> decisions;
    for (auto time = simulation.next(); time && (!until || *time <= *until); time = simulation.next())
        decisions.push_back(simulation.step());
    return {std::move(simulation).take_state(), std::move(decisions)};
}

} // namespace homeostat::policy_test
