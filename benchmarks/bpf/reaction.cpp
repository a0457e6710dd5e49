// From an urgent record in the kernel to the new program in place: by a policy in the whole loop, and by a
// bare epoll loop that does by hand what the policy says. Real packets in a lab of its own; needs root.
//
// bench_reaction [EVENTS]

#include "adapters/bpf/datapath/datapath.hpp"
#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/objects/object_layout.hpp"
#include "adapters/bpf/sensors/ring_sensor.hpp"
#include "adapters/lab/bpf_mount.hpp"
#include "adapters/lab/frames.hpp"
#include "adapters/lab/network.hpp"
#include "adapters/lab/traffic.hpp"
#include "engine/check.hpp"
#include "engine/runner.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace homeostat;
using namespace homeostat::bpf;

namespace {

constexpr std::string_view config_text = R"(
version = 1
[controller]
period = "100ms"
[[program]]
name = "calm"
object = "reaction.bpf.o"
function = "calm"
[[program]]
name = "strict"
object = "reaction.bpf.o"
function = "strict"
[[interface]]
name = "lab0"
xdp.program = "calm"
[[sensor]]
type = "bpf-ringbuf"
map = "alarms"
record = "alarm"
urgent = true
fields = { on = "alarm_on" }
[limits]
changes_per_minute_max = 1000000
)";

constexpr std::string_view policy_text = R"(
version = 1
[[symptom]]
name = "alarm"
raise = 'alarm_on == 1'
clear = 'alarm_on == 0'
[[adaptation]]
name = "be-strict"
when = "alarm"
[adaptation.set.interface."{{iface}}"]
xdp.program = "strict"
)";

template <class T> T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().what);
    return std::move(*result);
}

std::vector<ProgramSource> programs() {
    const auto layout = std::make_shared<const ObjectLayout>(must(read_layout(REACTION_OBJECT)));
    return {ProgramSource{"calm", REACTION_OBJECT, "calm", "", layout},
            ProgramSource{"strict", REACTION_OBJECT, "strict", "", layout}};
}

GenerationPtr generation(const ControllerConfig& config) {
    Diagnostics diagnostics;
    std::vector<PolicyDocument> documents;
    documents.push_back(read_policy(policy_text, "policy", diagnostics));
    const ObjectLayout layout = must(read_layout(REACTION_OBJECT));
    GenerationPtr made =
        make_generation(config, std::move(documents), {{"calm", layout}, {"strict", layout}}, 1, diagnostics);
    for (const Diagnostic& d : diagnostics) std::fprintf(stderr, "%s\n", to_text(d).c_str());
    if (!made) throw std::runtime_error("the policy is wrong");
    return made;
}

// Sends an alarm each time it is asked to, on and off in turns, at any moment of the loop's period; not more
// than ten a second, beyond which the loop would hold changes back.
class Alarms {
  public:
    explicit Alarms(const lab::NetNamespace& peer)
        : thread_([this, &peer] {
              std::mt19937 random(1);
              std::uniform_int_distribution<> pause_us(105'000, 205'000);
              for (bool on = true;; on = !on) {
                  asked_.acquire();
                  if (ended_) return;
                  std::this_thread::sleep_for(std::chrono::microseconds(pause_us(random)));
                  lab::Frame frame = lab::ethernet_frame({}, 0x88b5);
                  frame[14] = static_cast<std::byte>(on ? 1 : 0);
                  if (auto sent = lab::send_frames(peer, "lab1", {&frame, 1}); !sent)
                      std::fprintf(stderr, "%s\n", sent.error().what.c_str());
              }
          }) {}
    ~Alarms() {
        ended_ = true;
        asked_.release();
        thread_.join();
    }
    Alarms(const Alarms&) = delete;
    Alarms& operator=(const Alarms&) = delete;

    void next() { asked_.release(); }

  private:
    std::counting_semaphore<> asked_{0};
    std::atomic<bool> ended_ = false;
    std::thread thread_;
};

std::int64_t sent_ns(int map) {
    const std::uint32_t key = 0;
    std::uint64_t ns = 0;
    if (bpf_map_lookup_elem(map, &key, &ns) != 0) throw std::runtime_error("read sent_ns");
    return static_cast<std::int64_t>(ns);
}

std::vector<std::int64_t> by_policy(const lab::Lab& lab, const std::string& pins, const std::string& state,
                                    std::size_t events) {
    Diagnostics diagnostics;
    const auto config = read_config(config_text, "config", diagnostics);
    if (!config) throw std::runtime_error("the configuration is wrong");
    const auto datapath =
        must(XdpDatapath::open({.place = {.name = "reaction", .bpffs = pins + "/homeostat", .state = state},
                                .anchored = true,
                                .guard_kind = {},
                                .kernel = KernelPort()},
                               programs(), {"lab0"}));
    for (const std::string& note : datapath->notes()) std::fprintf(stderr, "%s\n", note.c_str());
    const auto map = must(datapath->maps_named("sent_ns"));
    const auto& spec = std::get<RingSensorSpec>(config->sensors.front().source);
    const auto sensor =
        must(RingSensor::create(SensorId{0}, spec, 100, must(datapath->maps_named("alarms"))));
    Alarms alarms(lab.peer);
    std::vector<std::int64_t> took;
    Runner* running = nullptr;
    const auto decided = [&](const Decisions& decisions, const EngineState&) {
        for (const Outcome& outcome : decisions.outcomes) {
            if (!outcome.ok) throw std::runtime_error(outcome.error);
            const std::int64_t sent = sent_ns(map.front().descriptor.get());
            if (sent != 0) took.push_back(outcome.done_monotonic_ns - sent); // 0: it was the baseline
            if (took.size() == events) return running->stop();
            alarms.next();
        }
    };
    Runner runner(generation(*config),
                  {.clock =
                       [] {
                           const auto now = std::chrono::system_clock::now().time_since_epoch();
                           return Instant{std::chrono::duration_cast<Duration>(now)};
                       },
                   .sensors = {sensor.get()},
                   .datapath = datapath.get(),
                   .decided = decided,
                   .reload = {}},
                  {.period = Duration{100}, .handle_signals = true});
    running = &runner;
    runner.run();
    if (auto detached = datapath->detach_all(); !detached)
        std::fprintf(stderr, "%s\n", detached.error().what.c_str());
    return took;
}

std::vector<std::int64_t> by_hand(const lab::Lab& lab, std::size_t events) {
    const LoadedPrograms loaded = must(LoadedPrograms::load(programs()));
    const std::vector<int> both{must(loaded.program("calm")).descriptor,
                                must(loaded.program("strict")).descriptor};
    const Anchors anchors = must(Anchors::hold(both));
    const KernelPort kernel;
    const Descriptor link(kernel.create_link(both[0], ::if_nametoindex("lab0"), Hook::xdp_drv));
    if (!link) throw std::runtime_error("attach: " + errno_text(link.get()));
    const int map = must(loaded.map("sent_ns")).descriptor;
    std::uint32_t on = 0;
    const auto keep = [](void* context, void* record, std::size_t) {
        *static_cast<std::uint32_t*>(context) = static_cast<std::uint32_t*>(record)[2];
        return 0;
    };
    ring_buffer* const ring = ring_buffer__new(must(loaded.map("alarms")).descriptor, keep, &on, nullptr);
    if (ring == nullptr) throw std::runtime_error("ring");
    Alarms alarms(lab.peer);
    std::vector<std::int64_t> took;
    while (took.size() < events) {
        alarms.next();
        epoll_event event{};
        while (::epoll_wait(ring_buffer__epoll_fd(ring), &event, 1, -1) != 1) {
        }
        ring_buffer__consume(ring);
        if (const int error = kernel.update_link(link.get(), both[on], both[1 - on]); error != 0)
            throw std::runtime_error("update: " + errno_text(error));
        took.push_back(monotonic_ns() - sent_ns(map));
    }
    ring_buffer__free(ring);
    kernel.detach_link(link.get());
    return took;
}

void print(const char* what, std::vector<std::int64_t> took) {
    std::ranges::sort(took);
    const auto at = [&](double share) {
        return static_cast<double>(
                   took[static_cast<std::size_t>(share * static_cast<double>(took.size() - 1))]) /
               1e3;
    };
    std::printf("%-64s %6zu %10.1f %10.1f %10.1f\n", what, took.size(), at(0.5), at(0.99), at(1));
}

void run(std::size_t events) {
    const lab::Lab lab = must(lab::Lab::create("hbbench" + std::to_string(::getpid())));
    const lab::BpfMount pins = must(lab::BpfMount::create());
    const std::string state = "/dev/shm/homeostat-bench-" + std::to_string(::getpid());
    const auto entered = must(lab.host.enter());
    std::printf("%-64s %6s %10s %10s %10s\n", "microseconds", "times", "p50", "p99", "most");
    print("urgent record to the new program, by policy", by_policy(lab, pins.path(), state, events));
    print("the same by a bare epoll loop", by_hand(lab, events));
    std::error_code error;
    std::filesystem::remove_all(state, error);
}

} // namespace

int main(int argc, char** argv) {
    try {
        run(argc > 1 ? static_cast<std::size_t>(std::max(10, std::atoi(argv[1]))) : 200);
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bench_reaction: %s\n", error.what());
        return 1;
    }
}
