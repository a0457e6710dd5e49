#include "engine/runner.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <algorithm>
#include <csignal>
#include <optional>
#include <set>
#include <string>
#include <unistd.h>
#include <utility>

namespace homeostat {

namespace asio = boost::asio;

// Everything here runs on the thread of run(), but for what is posted to the worker.
struct Runner::Loop {
    Loop(GenerationPtr first, RunnerPorts the_ports, RunnerOptions the_options)
        : ports(std::move(the_ports)), options(the_options), state(std::move(first)) {
        // From here on: a signal that comes before run() waits for it.
        if (options.handle_signals)
            for (const int signal : {SIGINT, SIGTERM, SIGHUP}) signals.add(signal);
    }

    RunnerPorts ports;
    RunnerOptions options;
    EngineState state;
    asio::io_context context{1};
    asio::steady_timer timer{context};
    asio::steady_timer read_back_timer{context};
    asio::signal_set signals{context};
    std::vector<std::unique_ptr<asio::posix::stream_descriptor>> descriptors;
    asio::thread_pool worker{1};

    Inputs queue;
    std::size_t queued = 0;
    bool reading_back = false;
    std::set<std::string> changed_meanwhile; // interfaces whose links changed while what is attached is read
    bool urgent_posted = false;
    bool stopping = false;
    std::size_t in_flight = 0;
    std::optional<Instant> last_tick;

    void run();
    void begin_stop();
    void ask_reload();
    void take(OperatorCommand command);

  private:
    void wait_period();
    void on_period();
    void wait_signal();
    void wait_readable(std::size_t sensor);
    Readings read(Sensor& sensor) const;
    void enqueue(Readings readings);
    void post_urgent();
    void run_tick(bool periodic);
    void execute(const PlannedTransaction& planned);
    void finish(Outcome outcome);
    void wait_read_back();
    void ask_read_back();
    void take_read_back(ActualState seen);
    bool is_news(const std::string& interface, const ActualInterface& seen) const;
    void follow_links(const std::vector<LinkEvent>& links);
    bool make_room();
};

void Runner::Loop::run() {
    queue.observed = ports.datapath->read_back();
    for (std::size_t i = 0; i < ports.sensors.size(); ++i) {
        const int descriptor = ports.sensors[i]->descriptor();
        // Asio closes what it is given, and the sensor keeps its own.
        descriptors.push_back(
            descriptor < 0 ? nullptr
                           : std::make_unique<asio::posix::stream_descriptor>(context, ::dup(descriptor)));
        if (descriptors[i]) wait_readable(i);
    }
    if (options.handle_signals) wait_signal();
    for (Service* service : ports.services) service->start(context, state);
    timer.expires_after(std::chrono::seconds{0});
    wait_period();
    read_back_timer.expires_after(options.read_back_every);
    wait_read_back();
    context.run();
    worker.join();
}

void Runner::Loop::wait_signal() {
    signals.async_wait([this](const boost::system::error_code& error, int signal) {
        if (error) return;
        if (signal == SIGHUP) {
            ask_reload();
            wait_signal();
        } else {
            begin_stop();
        }
    });
}

void Runner::Loop::wait_period() {
    timer.async_wait([this](const boost::system::error_code& error) {
        if (!error && !stopping) on_period();
    });
}

// Ticks keep to a grid of the period; a tick that comes too late for the next ones skips them and says so.
void Runner::Loop::on_period() {
    for (Sensor* sensor : ports.sensors) enqueue(read(*sensor));
    run_tick(true);
    auto next = timer.expiry() + options.period;
    const auto now = asio::steady_timer::clock_type::now();
    if (next < now) {
        const auto missed = (now - next) / options.period + 1;
        queue.ticks_skipped += static_cast<std::uint64_t>(missed);
        next += missed * options.period;
    }
    timer.expires_at(next);
    wait_period();
}

void Runner::Loop::wait_readable(std::size_t index) {
    descriptors[index]->async_wait(
        asio::posix::stream_descriptor::wait_read, [this, index](const boost::system::error_code& error) {
            if (error || stopping) return;
            Sensor& sensor = *ports.sensors[index];
            Readings readings = read(sensor);
            const bool worth_a_tick =
                !readings.links.empty() ||
                (sensor.urgent() && std::ranges::any_of(readings.batches, [](const SampleBatch& batch) {
                     return !batch.samples.empty();
                 }));
            enqueue(std::move(readings));
            if (worth_a_tick) post_urgent();
            wait_readable(index);
        });
}

Readings Runner::Loop::read(Sensor& sensor) const {
    Readings readings;
    sensor.collect(ports.clock(), readings);
    return readings;
}

bool Runner::Loop::make_room() {
    if (queued < state.generation->limits.inputs_queued_max) {
        ++queued;
        return true;
    }
    ++queue.inputs_dropped;
    return false;
}

// At the limit samples are lost, and counted; what later samples need to be understood is not.
void Runner::Loop::enqueue(Readings readings) {
    for (SampleBatch& batch : readings.batches) {
        if (!make_room()) {
            batch.samples.clear();
            if (batch.defined.empty() && batch.ended.empty() && batch.error.empty()) continue;
        }
        queue.readings.batches.push_back(std::move(batch));
    }
    follow_links(readings.links);
    std::ranges::move(readings.links, std::back_inserter(queue.readings.links));
}

// What was read of a device that is gone, or is being read, is no longer to be believed.
void Runner::Loop::follow_links(const std::vector<LinkEvent>& links) {
    for (const LinkEvent& link : links) {
        const auto seen = queue.observed.find(link.interface);
        if (seen != queue.observed.end() && (!link.present || seen->second.index != link.index))
            queue.observed.erase(seen);
        if (reading_back) changed_meanwhile.insert(link.interface);
    }
    if (!links.empty()) ask_read_back();
}

// Urgent ticks coalesce: whatever is readable by now comes into the same one.
void Runner::Loop::post_urgent() {
    if (std::exchange(urgent_posted, true)) return;
    asio::post(context, [this] {
        urgent_posted = false;
        if (!stopping) run_tick(false);
    });
}

void Runner::Loop::run_tick(bool periodic) {
    Inputs inputs = std::exchange(queue, Inputs{});
    queued = 0;
    inputs.periodic = periodic;
    inputs.now = ports.clock();
    if (last_tick) inputs.now = std::max(inputs.now, *last_tick + Duration{1});
    last_tick = inputs.now;
    // Nothing is read later than the tick that sees it.
    for (SampleBatch& batch : inputs.readings.batches) batch.time = std::min(batch.time, inputs.now);
    const Decisions decisions = tick(state, inputs);
    for (const PlannedTransaction& planned : decisions.transactions) execute(planned);
    ports.decided(decisions, state);
}

void Runner::Loop::execute(const PlannedTransaction& planned) {
    ++in_flight;
    // The guard keeps run() from returning while the kernel is still at work.
    asio::post(worker, [this, transaction = planned.transaction, guard = asio::make_work_guard(context)] {
        Outcome outcome = ports.datapath->apply(transaction);
        asio::post(context, [this, done = std::move(outcome)]() mutable { finish(std::move(done)); });
    });
}

// An outcome is never dropped, whatever the queue holds: the engine waits for it.
void Runner::Loop::finish(Outcome outcome) {
    --in_flight;
    queue.observed.erase(outcome.interface); // on the one worker it was read before
    queue.outcomes.push_back(std::move(outcome));
    if (stopping)
        begin_stop();
    else
        post_urgent();
}

// Link operations of others send no event, so what is attached is read back all the time.
void Runner::Loop::wait_read_back() {
    read_back_timer.async_wait([this](const boost::system::error_code& error) {
        if (error || stopping) return;
        ask_read_back();
        read_back_timer.expires_after(options.read_back_every);
        wait_read_back();
    });
}

// One reading at a time. On the one worker it comes back in order with the outcomes.
void Runner::Loop::ask_read_back() {
    if (stopping || std::exchange(reading_back, true)) return;
    asio::post(worker, [this, guard = asio::make_work_guard(context)] {
        ActualState observed = ports.datapath->read_back();
        asio::post(context,
                   [this, seen = std::move(observed)]() mutable { take_read_back(std::move(seen)); });
    });
}

void Runner::Loop::take_read_back(ActualState seen) {
    reading_back = false;
    const std::set<std::string> changed = std::exchange(changed_meanwhile, {});
    for (const std::string& interface : changed) seen.erase(interface);
    if (std::ranges::any_of(seen, [this](const auto& one) { return is_news(one.first, one.second); }))
        post_urgent();
    queue.observed = std::move(seen);
    if (!changed.empty()) ask_read_back();
}

// Whether a tick would make something of it.
bool Runner::Loop::is_news(const std::string& interface, const ActualInterface& seen) const {
    const auto known = state.knowledge.actual.find(interface);
    const auto target = state.knowledge.targets.find(interface);
    if (known == state.knowledge.actual.end() || target == state.knowledge.targets.end()) return true;
    if (target->second.in_flight || known->second.index != seen.index) return false;
    return target->second.unread || known->second.xdp != seen.xdp || known->second.tc != seen.tc ||
           known->second.pinned != seen.pinned || known->second.entries != seen.entries;
}

void Runner::Loop::begin_stop() {
    if (!std::exchange(stopping, true))
        for (Service* service : ports.services) service->stop();
    timer.cancel();
    read_back_timer.cancel();
    signals.cancel(); // but stay caught: a second one must not cut the end short
    for (auto& descriptor : descriptors)
        if (descriptor) descriptor->cancel();
    // The last outcomes still find their way into the decisions.
    if (in_flight == 0 && !queue.outcomes.empty()) {
        Decisions last;
        last.now = ports.clock();
        last.generation = state.generation->number;
        last.outcomes = std::exchange(queue.outcomes, {});
        ports.decided(last, state);
    }
}

void Runner::Loop::ask_reload() {
    if (!ports.reload) return;
    if (GenerationPtr next = ports.reload()) {
        queue.reload = std::move(next);
        post_urgent();
    }
}

void Runner::Loop::take(OperatorCommand command) {
    queue.commands.push_back(std::move(command));
    post_urgent();
}

Runner::Runner(GenerationPtr first, RunnerPorts ports, RunnerOptions options)
    : loop_(std::make_unique<Loop>(std::move(first), std::move(ports), options)) {}

Runner::~Runner() = default;

void Runner::run() { loop_->run(); }

void Runner::stop() {
    asio::post(loop_->context, [loop = loop_.get()] { loop->begin_stop(); });
}

void Runner::reload() {
    asio::post(loop_->context, [loop = loop_.get()] { loop->ask_reload(); });
}

void Runner::command(OperatorCommand command) {
    asio::post(loop_->context,
               [loop = loop_.get(), taken = std::move(command)]() mutable { loop->take(std::move(taken)); });
}

} // namespace homeostat
