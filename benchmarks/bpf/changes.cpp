// What a change of the datapath costs, beside the bare system call and beside what a user would type instead.
// In a lab of its own; needs root. Each kind of change is made many times, in turns, and judged by
// percentiles.
//
// bench_changes [ROUNDS]

#include "adapters/bpf/datapath/datapath.hpp"
#include "adapters/bpf/kernel.hpp"
#include "adapters/bpf/objects/object_layout.hpp"
#include "adapters/lab/bpf_mount.hpp"
#include "adapters/lab/network.hpp"

#include <bpf/libbpf.h>
#include <net/if.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>

using namespace homeostat;
using namespace homeostat::bpf;

namespace {

template <class T> T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().what);
    return std::move(*result);
}

void must(Result<void> result) {
    if (!result) throw std::runtime_error(result.error().what);
}

struct Series {
    std::string what;
    std::vector<std::int64_t> ns{};

    double at(double share) const {
        const auto index = static_cast<std::size_t>(share * static_cast<double>(ns.size() - 1));
        return static_cast<double>(ns[index]) / 1e3;
    }
};

void print(std::initializer_list<Series*> all) {
    for (Series* one : all) {
        std::ranges::sort(one->ns);
        std::printf("%-64s %6zu %10.1f %10.1f %10.1f\n", one->what.c_str(), one->ns.size(), one->at(0.5),
                    one->at(0.99), one->at(1));
    }
}

std::int64_t time_of(const std::function<void()>& work) {
    const std::int64_t start = monotonic_ns();
    work();
    return monotonic_ns() - start;
}

const std::string object_folder = BPF_OBJECT_FOLDER;

ProgramSource source(const char* name, const std::string& path, const char* function, const char* twin) {
    return {name, path, function, twin, std::make_shared<const ObjectLayout>(must(read_layout(path)))};
}

std::vector<ProgramSource> programs() {
    return {source("counter", object_folder + "/xdp_counter.bpf.o", "", ""),
            source("guard", object_folder + "/xdp_guard.bpf.o", "", "tc_guard")};
}

// Programs of TC.
std::vector<ProgramSource> tc_programs() {
    return {source("empty", BARE_LOOP_OBJECT, "empty_tc", ""),
            source("other", BARE_LOOP_OBJECT, "bare_twin", "")};
}

// On a tmpfs, as /run is on a host.
std::string state_folder() { return "/dev/shm/homeostat-bench-" + std::to_string(::getpid()); }

// A datapath on the lab's interface, and its own pins.
class Stage {
  public:
    Stage(const std::string& pins, const std::string& name, const std::vector<ProgramSource>& sources,
          Step first) {
        datapath_ = must(
            XdpDatapath::open({.place = {.name = name, .bpffs = pins + "/homeostat", .state = state_folder()},
                               .anchored = true,
                               .guard_kind = {},
                               .kernel = KernelPort()},
                              sources, {"lab0"}));
        apply({std::move(first)});
    }
    ~Stage() {
        if (const auto detached = datapath_->detach_all(); !detached)
            std::fprintf(stderr, "%s\n", detached.error().what.c_str());
    }
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;

    Outcome apply(std::vector<Step> steps) {
        Outcome outcome = datapath_->apply({TransactionId{1}, "lab0", std::move(steps)});
        if (!outcome.ok) throw std::runtime_error(outcome.error);
        return outcome;
    }

    // From the call to the kernel's acceptance, and to the end of the read-back.
    void replace(Series& accepted, Series& whole) {
        for (const char* program : {"counter", "guard"}) {
            const std::int64_t start = monotonic_ns();
            const Outcome outcome = apply({ReplaceXdp{program}});
            accepted.ns.push_back(outcome.done_monotonic_ns - start);
            whole.ns.push_back(monotonic_ns() - start);
        }
    }

    void replace_tc(Series& accepted, Series& whole) {
        for (const char* program : {"other", "empty"}) {
            const std::int64_t start = monotonic_ns();
            const Outcome outcome = apply({ReplaceTc{TcDirection::ingress, program}});
            accepted.ns.push_back(outcome.done_monotonic_ns - start);
            whole.ns.push_back(monotonic_ns() - start);
        }
    }

    // Whole, and until the read-back after it has let the guard stand down.
    void switch_mode(Series& whole, Series& disarmed) {
        for (const XdpMode mode : {XdpMode::skb, XdpMode::drv}) {
            const std::int64_t start = monotonic_ns();
            apply({SwitchXdpMode{"guard", {mode}}});
            whole.ns.push_back(monotonic_ns() - start);
            datapath_->read_back();
            disarmed.ns.push_back(monotonic_ns() - start);
        }
    }

  private:
    std::unique_ptr<XdpDatapath> datapath_;
};

// The same by the bare system call: two programs that are in the kernel's dispatcher, and one link.
class BareLink {
  public:
    BareLink(const std::vector<ProgramSource>& sources, Hook hook, bool anchored)
        : loaded_(must(LoadedPrograms::load(sources))), first_(must(loaded_.program(sources[1].name))),
          second_(must(loaded_.program(sources[0].name))) {
        const std::vector<int> both{first_.descriptor, second_.descriptor};
        if (anchored) anchors_ = must(Anchors::hold(both));
        link_ = Descriptor(kernel_.create_link(first_.descriptor, ::if_nametoindex("lab0"), hook));
        if (!link_) throw std::runtime_error("attach: " + errno_text(link_.get()));
    }
    ~BareLink() { kernel_.detach_link(link_.get()); }
    BareLink(const BareLink&) = delete;
    BareLink& operator=(const BareLink&) = delete;

    // `read_back`: with what a controller asks after each change, so that the next one meets the same caches.
    void replace(Series& series, bool read_back) {
        for (const auto& [next, before] : {std::pair(&second_, &first_), std::pair(&first_, &second_)}) {
            series.ns.push_back(
                time_of([&] { kernel_.update_link(link_.get(), next->descriptor, before->descriptor); }));
            if (read_back) must(attached_program(::if_nametoindex("lab0")));
        }
    }

    void switch_mode(Series& series) {
        for (const Hook hook : {Hook::xdp_skb, Hook::xdp_drv})
            series.ns.push_back(time_of([&] {
                kernel_.detach_link(link_.get());
                link_ = Descriptor(kernel_.create_link(first_.descriptor, ::if_nametoindex("lab0"), hook));
            }));
    }

  private:
    KernelPort kernel_;
    LoadedPrograms loaded_;
    LoadedPrograms::Program first_, second_;
    Anchors anchors_;
    Descriptor link_;
};

// From the file until it is verified and in the kernel, and the same by libbpf alone.
void load(const std::string& program, Series& ours, Series& bare) {
    const std::vector<ProgramSource> all = programs();
    const ProgramSource& source = *std::ranges::find(all, program, &ProgramSource::name);
    {
        const std::int64_t start = monotonic_ns();
        const auto loaded = must(LoadedPrograms::load({source}));
        must(loaded.program(program));
        ours.ns.push_back(monotonic_ns() - start);
    }
    const std::int64_t start = monotonic_ns();
    bpf_object* const object = bpf_object__open_file(source.path.c_str(), nullptr);
    if (object == nullptr || bpf_object__load(object) != 0) throw std::runtime_error("load " + source.path);
    bare.ns.push_back(monotonic_ns() - start);
    bpf_object__close(object);
}

void two_ip_commands(Series& series) {
    const std::string program = " obj " + object_folder + "/xdp_counter.bpf.o sec xdp.frags";
    must(lab::ip("link set lab0 xdpdrv" + program));
    series.ns.push_back(time_of([&] {
        must(lab::ip("link set lab0 xdpdrv off"));
        must(lab::ip("link set lab0 xdpgeneric" + program));
    }));
    must(lab::ip("link set lab0 xdpgeneric off"));
}

void time_xdp(const std::string& pins, int rounds) {
    Series bare{"bpf_link_update, anchored, by itself"};
    Series bare_read_back{"bpf_link_update, anchored, with a read-back between"};
    Series replaced{"replace, anchored: until the kernel has taken it"};
    Series read_back{"replace, anchored: until it is read back and written down"};
    Series switched{"mode switch, anchored and guarded: whole"};
    Series disarmed{"mode switch, and until the guard was disarmed by a read-back"};
    {
        BareLink link(programs(), Hook::xdp_drv, true);
        for (int i = 0; i < rounds; ++i) link.replace(bare, false);
        for (int i = 0; i < rounds; ++i) link.replace(bare_read_back, true);
    }
    {
        Stage stage(pins, "xdp", programs(), AttachXdp{"guard", {XdpMode::drv}});
        for (int i = 0; i < rounds; ++i) stage.replace(replaced, read_back);
        for (int i = 0; i < rounds; ++i) stage.switch_mode(switched, disarmed);
    }
    print({&bare, &bare_read_back, &replaced, &read_back, &switched, &disarmed});
}

void time_xdp_without_anchors(int rounds) {
    Series bare{"bpf_link_update, not anchored"};
    Series switched{"detach and attach in the other mode, not anchored"};
    Series commands{"two `ip link set` commands, to switch the mode"};
    {
        BareLink link(programs(), Hook::xdp_drv, false);
        for (int i = 0; i < rounds / 10; ++i) link.replace(bare, false);
        for (int i = 0; i < rounds / 10; ++i) link.switch_mode(switched);
    }
    for (int i = 0; i < rounds / 20; ++i) two_ip_commands(commands);
    print({&bare, &switched, &commands});
}

void time_tc(const std::string& pins, int rounds) {
    Series bare{"bpf_link_update of a TCX link"};
    Series replaced{"replace a TC program: until the kernel has taken it"};
    Series read_back{"replace a TC program: until it is read back and written down"};
    {
        BareLink link(tc_programs(), Hook::tcx_ingress, false);
        for (int i = 0; i < rounds; ++i) link.replace(bare, false);
    }
    {
        Stage stage(pins, "tc", tc_programs(), AttachTc{TcDirection::ingress, "empty"});
        for (int i = 0; i < rounds; ++i) stage.replace_tc(replaced, read_back);
    }
    print({&bare, &replaced, &read_back});
}

void time_loads(int rounds) {
    Series counter{"load of xdp_counter"}, bare_counter{"the same by libbpf alone"};
    Series guard{"load of xdp_guard and its twin"}, bare_guard{"the same by libbpf alone"};
    for (int i = 0; i < rounds / 10; ++i) {
        load("counter", counter, bare_counter);
        load("guard", guard, bare_guard);
    }
    print({&counter, &bare_counter, &guard, &bare_guard});
}

void run(int rounds) {
    const lab::Lab lab = must(lab::Lab::create("hbbench" + std::to_string(::getpid())));
    const lab::BpfMount pins = must(lab::BpfMount::create());
    const auto entered = must(lab.host.enter());
    std::printf("%-64s %6s %10s %10s %10s\n", "microseconds", "times", "p50", "p99", "most");
    time_xdp(pins.path(), rounds);
    time_xdp_without_anchors(rounds);
    time_tc(pins.path(), rounds);
    time_loads(rounds);
    std::error_code error;
    std::filesystem::remove_all(state_folder(), error);
}

} // namespace

int main(int argc, char** argv) {
    try {
        run(argc > 1 ? std::max(20, std::atoi(argv[1])) : 500);
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bench_changes: %s\n", error.what());
        return 1;
    }
}
