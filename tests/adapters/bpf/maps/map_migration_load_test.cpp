// Migration while programs count, on each CPU and in interrupts.
#include "adapters/bpf/grace_period.hpp"
#include "tests/adapters/bpf/maps/flows.hpp"

#include <sched.h>
#include <sys/resource.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <latch>
#include <random>
#include <span>
#include <stop_token>
#include <thread>

namespace homeostat::bpf {
namespace {

constexpr std::uint32_t wide = 1'000'000 + keys_per_packet; // entries

// Packets run through the active program on every CPU, one thread on each, and each thread keeps count of
// what it sent.
class Traffic {
  public:
    using Sent = std::vector<std::uint32_t>; // packets by their first key

    Traffic(int dispatcher, std::uint32_t first_keys_max)
        : sent_(cpus, Sent(first_keys_max)), started_(static_cast<std::ptrdiff_t>(cpus)) {
        for (std::size_t cpu = 0; cpu < cpus; ++cpu)
            threads_.emplace_back([this, cpu, dispatcher](const std::stop_token& stop) {
                cpu_set_t one;
                CPU_ZERO(&one);
                CPU_SET(cpu, &one);
                sched_setaffinity(0, sizeof one, &one);
                std::minstd_rand random(static_cast<unsigned>(cpu + 1));
                std::uniform_int_distribution<std::uint32_t> key(
                    0, static_cast<std::uint32_t>(sent_[cpu].size()) - 1);
                for (std::uint64_t packets = 0; !stop.stop_requested(); ++packets) {
                    std::array<std::byte, 64> packet{};
                    const std::uint32_t first = key(random);
                    std::memcpy(packet.data(), &first, sizeof first);
                    if (run_program(dispatcher, packet) == XDP_PASS)
                        ++sent_[cpu][first];
                    else
                        ++failed_;
                    total_.fetch_add(1);
                    total_.notify_all();
                    if (packets == 0) started_.count_down();
                }
            });
        started_.wait();
    }

    void wait_for_more(std::uint64_t packets) {
        const std::uint64_t wanted = total_ + packets;
        for (std::uint64_t seen = total_; seen < wanted; seen = total_) total_.wait(seen);
    }
    std::uint64_t total() const { return total_; }
    std::uint64_t failed() const { return failed_; }

    std::vector<Sent> stop() {
        for (auto& thread : threads_) thread.request_stop();
        for (auto& thread : threads_) thread.join();
        return std::move(sent_);
    }

  private:
    std::vector<Sent> sent_; // by CPU
    std::latch started_;
    std::atomic<std::uint64_t> total_ = 0;
    std::atomic<std::uint64_t> failed_ = 0;
    std::vector<std::jthread> threads_;
};

// Calls `visit` with each key and its values, one for each CPU of a per-CPU map. Returns how many there are.
template <class Value>
std::size_t for_each_entry(int map, std::size_t lanes,
                           const std::function<void(std::uint32_t, std::span<const Value>)>& visit) {
    constexpr std::uint32_t batch = 4096;
    std::vector<std::uint32_t> keys(batch);
    std::vector<Value> values(batch * lanes);
    std::uint32_t position = 0;
    std::size_t entries = 0;
    for (int error = 0; error == 0;) {
        std::uint32_t count = batch;
        error = bpf_map_lookup_batch(map, entries == 0 ? nullptr : &position, &position, keys.data(),
                                     values.data(), &count, nullptr);
        if (error != 0 && error != -ENOENT) throw std::runtime_error("batch look-up");
        for (std::uint32_t i = 0; i < count; ++i)
            visit(keys[i], std::span<const Value>(values).subspan(i * lanes, lanes));
        entries += count;
    }
    return entries;
}

void set_active(const Version& dispatcher, int program) {
    const std::uint32_t key = 0;
    ASSERT_EQ(bpf_map_update_elem(dispatcher.map("active"), &key, &program, BPF_ANY), 0);
}

long resident_kib_max() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

// A million entries, whose 8 bytes become 16: 64 and 72 MB of kernel memory, and per CPU 8 and 16 MB more.
// All keys but a few are there before; while two CPUs send packets of 64 keys each, programs are exchanged
// and the old counts merged.
class UnderLoad : public MapMigrationTest {
  protected:
    void run(const char* map, const char* program, std::size_t lanes) {
        old_.resize(map, wide);
        new_.resize(map, wide);
        load();
        fill(map, lanes);
        auto prepared =
            MapMigration::prepare(old_.map(map), new_.map(map), plan_of(old_, new_, map, sum), merger);
        ASSERT_TRUE(prepared) << prepared.error().what;

        Version dispatcher("active_program");
        dispatcher.load();
        set_active(dispatcher, old_.program(program));
        Traffic traffic(dispatcher.program("run_active"), 1'000'000);
        traffic.wait_for_more(2'000);
        const long resident_before_kib = resident_kib_max();
        set_active(dispatcher, new_.program(program));
        ASSERT_TRUE(wait_for_running_programs());
        const std::uint64_t before = traffic.total();
        std::uint64_t steps = 0;
        const auto report = prepared->run([&](std::uint64_t done, std::uint64_t total) {
            ++steps;
            EXPECT_LE(done, total);
        });
        const std::uint64_t meanwhile = traffic.total() - before;
        traffic.wait_for_more(2'000);
        const std::uint64_t failed = traffic.failed();
        const auto sent = traffic.stop();

        ASSERT_TRUE(report) << report.error().what;
        EXPECT_EQ(failed, 0u);
        EXPECT_GE(report->entries, 1'000'000u);
        EXPECT_GT(meanwhile, 0u) << "no packet came while the map was merged";
        EXPECT_EQ(report->evicted, 0u);
        EXPECT_LT(resident_kib_max() - resident_before_kib, 8 * 1024) << "memory grew with the entries";
        std::printf("%s: %.0f ns an entry; %lu packets of 64 keys meanwhile; progress told %lu times\n", map,
                    static_cast<double>(report->took_ns) / static_cast<double>(report->entries),
                    static_cast<unsigned long>(meanwhile), static_cast<unsigned long>(steps));
        check(map, lanes, sent);
    }

    static OldFlow filled(std::uint32_t key, std::size_t lane) {
        if (key >= 1'000'000) return {};
        return {key + static_cast<std::uint32_t>(lane), 4'000'000'000U + key % 1'000};
    }

    void fill(const char* map, std::size_t lanes) {
        constexpr std::uint32_t batch = 50'000;
        std::vector<std::uint32_t> keys(batch);
        std::vector<OldFlow> values(batch * lanes);
        for (std::uint32_t first = 0; first < 1'000'000; first += batch) {
            for (std::uint32_t i = 0; i < batch; ++i) keys[i] = first + i;
            for (std::size_t i = 0; i < values.size(); ++i) values[i] = filled(keys[i / lanes], i % lanes);
            std::uint32_t count = batch;
            ASSERT_EQ(bpf_map_update_batch(old_.map(map), keys.data(), values.data(), &count, nullptr), 0);
        }
    }

    // What each CPU's packets and the fill make of a key.
    void check(const char* map, std::size_t lanes, const std::vector<Traffic::Sent>& sent) {
        std::vector<std::vector<std::uint64_t>> wanted(lanes, std::vector<std::uint64_t>(wide));
        for (std::size_t cpu = 0; cpu < cpus; ++cpu)
            for (std::size_t first = 0; first < sent[cpu].size(); ++first)
                for (std::uint32_t i = 0; sent[cpu][first] != 0 && i < keys_per_packet; ++i)
                    wanted[lanes == 1 ? 0 : cpu][first + i] += sent[cpu][first];
        std::size_t wrong = 0, seen = 0;
        for_each_entry<NewFlow>(new_.map(map), lanes,
                                [&](std::uint32_t key, std::span<const NewFlow> values) {
                                    ++seen;
                                    for (std::size_t lane = 0; lane < lanes; ++lane) {
                                        const OldFlow from = filled(key, lane);
                                        const std::uint64_t more = wanted[lane][key];
                                        wrong += values[lane].packets != from.packets + more ? 1 : 0;
                                        wrong += values[lane].bytes != from.bytes + 3 * more ? 1 : 0;
                                    }
                                });
        EXPECT_EQ(wrong, 0u) << "of " << seen;
        EXPECT_GE(seen, 1'000'000u);
    }
};

// The old counts are merged hundreds of times, so that programs and merger meet at the same number often.
TEST_F(UnderLoad, AddingToANumberThatOtherCpusAddToLosesNothing) {
    load();
    for (std::uint32_t key = 0; key < keys_per_packet; ++key) old_.put<OldFlow>("flows", key, {{1'000, 1}});
    auto prepared = MapMigration::prepare(old_.map("flows"), new_.map("flows"),
                                          plan_of(old_, new_, "flows", sum), merger);
    ASSERT_TRUE(prepared) << prepared.error().what;
    Traffic traffic(new_.program("count_shared"), 1);
    constexpr std::uint64_t times = 2'000;
    for (std::uint64_t i = 0; i < times; ++i) {
        const auto report = prepared->run();
        ASSERT_TRUE(report) << report.error().what;
    }
    std::uint64_t packets = 0;
    for (const auto& sent : traffic.stop()) packets += sent[0];
    for (std::uint32_t key = 0; key < keys_per_packet; ++key) {
        EXPECT_EQ(new_.get<NewFlow>("flows", key).at(0).packets, packets + 1'000 * times) << key;
        EXPECT_EQ(new_.get<NewFlow>("flows", key).at(0).bytes, 3 * packets + times) << key;
    }
}

TEST_F(UnderLoad, AddingOnACpuWhosePlainCountersAreInterruptsWorkLosesNothing) {
    old_.load();
    Version interrupting("interrupting");
    interrupting.load();
    for (std::uint32_t key = 0; key < keys_per_packet; ++key) {
        old_.put("cpu_flows", key, std::vector<OldFlow>(cpus, {1'000, 1}));
        interrupting.put("cpu_flows", key, std::vector<NewFlow>(cpus));
    }
    auto prepared = MapMigration::prepare(old_.map("cpu_flows"), interrupting.map("cpu_flows"),
                                          plan_of(old_, interrupting, "cpu_flows", sum), merger);
    ASSERT_TRUE(prepared) << prepared.error().what;
    const std::array<std::byte, 64> packet{};
    ASSERT_EQ(run_program(interrupting.program("start_ticking"), packet), std::uint32_t{XDP_PASS});
    constexpr std::uint64_t times = 1'000;
    for (std::uint64_t i = 0; i < times; ++i) {
        const auto report = prepared->run();
        ASSERT_TRUE(report) << report.error().what;
    }
    interrupting.put<std::uint64_t>("stopped", 0, {1});
    ASSERT_TRUE(wait_for_running_programs());
    const std::uint64_t ticks = interrupting.get<std::uint64_t>("ticks", 0).at(0);
    EXPECT_GT(ticks, times) << "too few interrupts to tell";
    for (std::uint32_t key = 0; key < keys_per_packet; ++key) {
        NewFlow all{};
        for (const NewFlow& one : interrupting.get<NewFlow>("cpu_flows", key)) {
            all.packets += one.packets;
            all.bytes += one.bytes;
        }
        EXPECT_EQ(all.packets, ticks + 1'000 * cpus * times) << key;
        EXPECT_EQ(all.bytes, 3 * ticks + cpus * times) << key;
    }
}

TEST_F(UnderLoad, StatesThatTheProgramWritesMeanwhileStandAndTheOthersAreMoved) {
    load();
    constexpr std::uint32_t keys = 1'000, written = 500;
    for (std::uint32_t key = 0; key < keys; ++key) old_.put<OldState>("states", key, {{9, {}, 80, 18}});
    auto prepared = MapMigration::prepare(old_.map("states"), new_.map("states"),
                                          plan_of(old_, new_, "states", {Merge::newest, "seen"}), merger);
    ASSERT_TRUE(prepared) << prepared.error().what;
    Traffic traffic(new_.program("note_states"), written - keys_per_packet + 1);
    for (int i = 0; i < 100; ++i) {
        const auto report = prepared->run();
        ASSERT_TRUE(report) << report.error().what;
    }
    const auto sent = traffic.stop();
    EXPECT_EQ(traffic.failed(), 0u);
    for (std::uint32_t key = 0; key < keys; ++key) {
        bool by_program = false;
        for (std::uint32_t first = key < keys_per_packet ? 0 : key - keys_per_packet + 1; first <= key;
             ++first)
            for (const auto& of_cpu : sent)
                by_program = by_program || (first < of_cpu.size() && of_cpu[first] != 0);
        const NewState state = new_.get<NewState>("states", key).at(0);
        EXPECT_EQ(state.twice, 2 * state.seen) << "of two entries: " << key;
        EXPECT_EQ(state.port, by_program ? 0 : 80) << key;
        EXPECT_EQ(state.seen > 9, by_program) << key;
    }
}

TEST_F(UnderLoad, AMillionEntriesOfAHashAreMergedAndNoUpdateIsLost) { run("flows", "count_shared", 1); }

TEST_F(UnderLoad, AMillionEntriesPerCpuAreMergedAndNoUpdateOfAPlainCounterIsLost) {
    run("cpu_flows", "count_per_cpu", cpus);
}

} // namespace
} // namespace homeostat::bpf
