#include "engine/runner.hpp"
#include "tests/engine/scenario.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <future>
#include <mutex>
#include <thread>

namespace homeostat::test {
namespace {

using testing::Contains;
using testing::HasSubstr;

constexpr Duration never = std::chrono::hours{1}; // a period that no test waits for

// What the runner decided, for the test's thread to wait for.
class Log {
  public:
    void add(const Decisions& decisions) {
        const std::scoped_lock lock(mutex_);
        all_.push_back(decisions);
        changed_.notify_all();
    }

    // The first decisions for which this holds; waits for them.
    template <class Holds> Decisions wait_for(Holds holds) {
        std::unique_lock lock(mutex_);
        std::size_t seen = 0;
        for (;;) {
            for (; seen < all_.size(); ++seen)
                if (holds(all_[seen])) return all_[seen];
            changed_.wait(lock);
        }
    }

    Decisions wait_for_line(const std::string& line) {
        return wait_for([&](const Decisions& decisions) {
            return testing::Value(lines_of(decisions), Contains(HasSubstr(line)));
        });
    }

    std::vector<Decisions> all() {
        const std::scoped_lock lock(mutex_);
        return all_;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Decisions> all_;
};

// A sensor behind a pipe: each byte that is written is a record. The number of the byte is the sample.
class PipeSensor final : public Sensor {
  public:
    explicit PipeSensor(bool is_urgent) : urgent_(is_urgent) {
        if (::pipe2(ends_.data(), O_NONBLOCK | O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    }
    PipeSensor(const PipeSensor&) = delete;
    PipeSensor& operator=(const PipeSensor&) = delete;
    ~PipeSensor() override {
        for (const int end : ends_) ::close(end);
    }

    int descriptor() const override { return ends_[0]; }
    bool urgent() const override { return urgent_; }

    void collect(Instant now, Readings& out) override {
        unsigned char value = 0;
        while (::read(ends_[0], &value, 1) == 1) {
            SampleBatch batch;
            batch.time = now;
            if (!defined_) batch.defined.push_back({0, labels_of("pps{iface='eth0'}")});
            defined_ = true;
            batch.samples.push_back({0, static_cast<double>(value)});
            out.batches.push_back(std::move(batch));
        }
    }

    void write(unsigned char value) const {
        if (::write(ends_[1], &value, 1) != 1) throw std::runtime_error("the pipe is full");
    }

  private:
    std::array<int, 2> ends_{};
    bool urgent_;
    bool defined_ = false;
};

// Holds each transaction until it is let go.
class HeldDatapath final : public Datapath {
  public:
    explicit HeldDatapath(Datapath& inner) : inner_(inner) {}

    ActualState read_back() override { return inner_.read_back(); }
    Outcome apply(const Transaction& transaction) override {
        entered.set_value();
        released.get_future().wait();
        return inner_.apply(transaction);
    }

    std::promise<void> entered;
    std::promise<void> released;

  private:
    Datapath& inner_;
};

constexpr std::string_view one_interface = R"(version = 1
[[program]]
name = "counter"
object = "counter.bpf.o"
[[interface]]
name = "eth0"
xdp.program = "counter"
[[sensor]]
name = "packets"
type = "bpf-map"
map = "packets"
key = { as = "src" }
value = "pps"
)";

const std::string flood = "[[symptom]]\nname = 'flood'\nraise = 'pps > 100'\n";

GenerationPtr generation(std::uint64_t number = 1, const std::string& more_config = "") {
    return generation_of({flood}, number, std::string(one_interface) + more_config);
}

// A runner on a thread of its own, with a clock that goes on by a millisecond whenever it is asked.
class RunnerTest : public testing::Test {
  protected:
    RunnerPorts ports() {
        RunnerPorts ports;
        ports.clock = [this] { return at_ms(1'000'000'000'000 + ++clock_); };
        ports.datapath = &kernel_;
        ports.decided = [this](const Decisions& decisions, const EngineState&) { log_.add(decisions); };
        return ports;
    }

    void start(GenerationPtr first, RunnerPorts ports, Duration period = never, bool handle_signals = false) {
        runner_.emplace(std::move(first), std::move(ports),
                        RunnerOptions{.period = period, .handle_signals = handle_signals});
        thread_ = std::thread([this] { runner_->run(); });
    }

    void stop() {
        runner_->stop();
        thread_.join();
    }

    void TearDown() override {
        if (thread_.joinable()) stop();
    }

    Log log_;
    DatapathInMemory kernel_{{"eth0"}};
    std::optional<Runner> runner_;
    std::thread thread_;

  private:
    std::atomic<std::int64_t> clock_{0};
};

TEST_F(RunnerTest, TicksAtOnceAndThenEachPeriod) {
    start(generation(), ports(), Duration{1});
    int ticks = 0;
    log_.wait_for([&](const Decisions&) { return ++ticks == 5; });
    stop();
    const auto all = log_.all();
    for (std::size_t i = 1; i < all.size(); ++i) EXPECT_LT(all[i - 1].now, all[i].now);
}

TEST_F(RunnerTest, ReadsTheDatapathBackBeforeItsFirstTick) {
    Transaction attached{.id = {}, .interface = "eth0", .steps = {AttachXdp{"counter", {XdpMode::drv}}}};
    kernel_.apply(attached);
    start(generation(), ports());
    EXPECT_TRUE(log_.wait_for([](const Decisions&) { return true; }).transactions.empty());
}

TEST_F(RunnerTest, OutcomesComeBackAsInputsWithoutWaitingForThePeriod) {
    start(generation(), ports());
    const Decisions planned = log_.wait_for([](const Decisions& d) { return !d.transactions.empty(); });
    const Decisions done = log_.wait_for([](const Decisions& d) { return !d.outcomes.empty(); });
    EXPECT_EQ(done.outcomes.at(0).id, planned.transactions.at(0).transaction.id);
    EXPECT_TRUE(done.outcomes.at(0).ok);
    EXPECT_LT(planned.now, done.now);
    stop();
    EXPECT_EQ(kernel_.read_back().at("eth0").xdp->program, "counter");
}

TEST_F(RunnerTest, AnUrgentEventIsAnsweredBeforeTheNextPeriod) {
    PipeSensor sensor(true);
    RunnerPorts with = ports();
    with.sensors = {&sensor};
    start(generation(), std::move(with));
    log_.wait_for([](const Decisions& d) { return !d.outcomes.empty(); });
    sensor.write(200);
    log_.wait_for_line("flood{iface=\"eth0\"}: inactive -> raised (200)");
    sensor.write(5);
    log_.wait_for_line("flood{iface=\"eth0\"}: raised -> inactive");
    stop();
}

TEST_F(RunnerTest, AnEventThatIsNotUrgentWaitsForATick) {
    PipeSensor slow(false);
    PipeSensor urgent(true);
    RunnerPorts with = ports();
    with.sensors = {&slow};
    start(generation(), std::move(with));
    log_.wait_for([](const Decisions& d) { return !d.outcomes.empty(); });
    const std::size_t ticks = log_.all().size();
    slow.write(200);
    // A reload that changes nothing takes a turn of the loop after the pipe was written.
    runner_->reload();
    stop();
    EXPECT_EQ(log_.all().size(), ticks);
}

TEST_F(RunnerTest, StopWaitsForATransactionInFlight) {
    HeldDatapath held(kernel_);
    RunnerPorts with = ports();
    with.datapath = &held;
    start(generation(), std::move(with));
    held.entered.get_future().wait();
    runner_->stop();
    held.released.set_value();
    thread_.join();
    const auto all = log_.all();
    ASSERT_FALSE(all.empty());
    ASSERT_EQ(all.back().outcomes.size(), 1U) << "the last outcome is told";
    EXPECT_TRUE(all.back().outcomes.front().ok);
    EXPECT_TRUE(all.back().transactions.empty()) << "nothing new is begun";
}

TEST_F(RunnerTest, MayBeStoppedBeforeItRunsAndTwice) {
    runner_.emplace(generation(), ports(), RunnerOptions{.period = never, .handle_signals = false});
    runner_->stop();
    runner_->stop();
    runner_->run();
    EXPECT_TRUE(log_.all().empty());
}

TEST_F(RunnerTest, MayBeStoppedFromItsOwnCallback) {
    RunnerPorts with = ports();
    with.decided = [this](const Decisions& decisions, const EngineState&) {
        log_.add(decisions);
        runner_->stop();
    };
    start(generation(), std::move(with));
    thread_.join();
    EXPECT_FALSE(log_.all().empty());
}

TEST_F(RunnerTest, ReloadTakesTheNextGenerationAndKeepsTheLastGoodOneWhereThereIsNone) {
    PipeSensor sensor(true);
    RunnerPorts with = ports();
    with.sensors = {&sensor};
    std::vector<GenerationPtr> answers{generation(3), nullptr, generation(2), nullptr};
    std::array<std::promise<void>, 4> asked;
    with.reload = [&] {
        const GenerationPtr next = answers.back();
        answers.pop_back();
        asked[answers.size()].set_value();
        return next;
    };
    start(generation(), std::move(with));
    log_.wait_for([](const Decisions& d) { return !d.outcomes.empty(); });

    runner_->reload(); // null
    asked[3].get_future().wait();
    sensor.write(200);
    EXPECT_EQ(log_.wait_for_line("inactive -> raised").generation, 1U);

    runner_->reload(); // 2
    log_.wait_for([](const Decisions& d) { return d.generation == 2; });

    runner_->reload(); // null
    asked[1].get_future().wait();
    sensor.write(5);
    EXPECT_EQ(log_.wait_for_line("raised -> inactive").generation, 2U);

    runner_->reload(); // 3
    log_.wait_for([](const Decisions& d) { return d.generation == 3; });
    stop();
}

TEST_F(RunnerTest, CountsWhatDoesNotFitIntoItsQueue) {
    FakeSensor sensor;
    Readings many;
    many.batches.resize(5);
    sensor.feed(std::move(many));
    RunnerPorts with = ports();
    with.sensors = {&sensor};
    start(generation(1, "[limits]\ninputs_queued_max = 4\n"), std::move(with));
    const Decisions first = log_.wait_for([](const Decisions&) { return true; });
    EXPECT_THAT(first.messages, Contains("1 inputs were dropped: the queue was full"));
    stop();
}

TEST_F(RunnerTest, NeverDropsAnOutcome) {
    FakeSensor sensor;
    Readings full;
    full.batches.resize(1);
    sensor.feed(std::move(full));
    RunnerPorts with = ports();
    with.sensors = {&sensor};
    start(generation(1, "[limits]\ninputs_queued_max = 1\n"), std::move(with));
    log_.wait_for([](const Decisions& d) { return !d.outcomes.empty(); });
    stop();
}

TEST_F(RunnerTest, StopsOnSigtermAndReloadsOnSighup) {
    RunnerPorts with = ports();
    with.reload = [] { return generation(2); };
    start(generation(), std::move(with), never, true);
    log_.wait_for([](const Decisions&) { return true; });
    ::kill(::getpid(), SIGHUP);
    log_.wait_for([](const Decisions& d) { return d.generation == 2; });
    ::kill(::getpid(), SIGTERM);
    thread_.join();
}

} // namespace
} // namespace homeostat::test
