// Devices that come, go, change their names and their network namespace, with indices that are used again,
// and attachments that somebody else takes away: under the live loop, the device that has the managed name
// has the program, and no other one ever keeps it.
#include "adapters/bpf/datapath/datapath.hpp"
#include "adapters/bpf/objects/object_layout.hpp"
#include "adapters/lab/bpf_mount.hpp"
#include "adapters/lab/network.hpp"
#include "adapters/rtnetlink/link_sensor.hpp"
#include "engine/runner.hpp"
#include "tests/long_run.hpp"

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <mutex>
#include <thread>

namespace homeostat::test {
namespace {

using Clock = std::chrono::steady_clock;

const std::string managed = "up0";

int cycles() { return is_long_run() ? 1'000 : 30; }

bpf::ProgramSource program(const std::string& name) {
    const std::string path = std::string(HOMEOSTAT_BINARY_DIR) + "/tests/bpf/twins.bpf.o";
    auto layout = bpf::read_layout(path);
    if (!layout) throw std::runtime_error(layout.error().what);
    return {name, path, name, name + "_tc", std::make_shared<const ObjectLayout>(std::move(*layout))};
}

// What the loop knows of the managed interface, for the test's thread to wait for.
struct Seen {
    ActualInterface actual;
    bool unread = true;
    int came = 0;    // how often a device was there anew
    int drifted = 0; // how often something else was attached than was known
};

class HotplugTest : public testing::Test {
  protected:
    void SetUp() override {
        if (::geteuid() != 0) GTEST_SKIP() << "making network namespaces needs root";
        const std::string tag = "hbhp" + std::to_string(::getpid());
        host_.emplace(must(lab::NetNamespace::create(tag + "-host")));
        elsewhere_.emplace(must(lab::NetNamespace::create(tag + "-else")));
        mount_.emplace(must(lab::BpfMount::create()));
        state_ = mount_->path() + "-state";
        entered_.emplace(must(host_->enter()));
        add(managed);
        start();
        wait_until_attached({}, Clock::now());
    }

    void TearDown() override {
        if (!runner_) return;
        runner_->stop();
        thread_.join();
        EXPECT_TRUE(datapath_->detach_all());
        datapath_.reset();
        std::error_code error;
        std::filesystem::remove_all(state_, error);
    }

    template <class T> static T must(Result<T> result) {
        if (!result) throw std::runtime_error(result.error().what);
        return std::move(*result);
    }

    static void ip(const std::string& arguments) {
        if (auto done = lab::ip(arguments); !done) throw std::runtime_error(done.error().what);
    }

    void add(const std::string& name, const std::string& index = " index 700") {
        ip("link add " + name + index + " type veth peer name far" + std::to_string(++far_));
    }

    void start() {
        datapath_ = must(bpf::XdpDatapath::open(
            {.place = {.name = "test", .bpffs = mount_->path() + "/homeostat", .state = state_},
             .anchored = true,
             .guard_kind = {},
             .kernel = bpf::KernelPort()},
            {program("first"), program("second")}, {managed}));
        links_ = must(rtnetlink::LinkSensor::create(SensorId{0}, {managed}, false));
        auto generation = std::make_shared<Generation>();
        generation->baseline[managed] = {
            .program = "first", .ladder = {XdpMode::drv, XdpMode::skb}, .entries = {}};
        generation->programs = {"first", "second"};
        generation->sensors = {"links"};
        const auto clock = [from = Clock::now()] {
            return at_ms(1'000'000'000'000) + std::chrono::duration_cast<Duration>(Clock::now() - from);
        };
        runner_.emplace(std::move(generation),
                        RunnerPorts{.clock = clock,
                                    .sensors = {links_.get()},
                                    .datapath = datapath_.get(),
                                    .decided = [this](const Decisions& decisions,
                                                      const EngineState& state) { note(decisions, state); },
                                    .reload = {}},
                        RunnerOptions{.period = Duration{100}, .handle_signals = false});
        thread_ = std::thread([this] { runner_->run(); });
    }

    void note(const Decisions& decisions, const EngineState& state) {
        const std::scoped_lock lock(mutex_);
        for (const std::string& message : decisions.messages) {
            if (message == "interface " + managed + " is there") ++seen_.came;
            if (message.starts_with("drift on " + managed)) ++seen_.drifted;
        }
        seen_.actual = state.knowledge.actual.at(managed);
        seen_.unread = state.knowledge.targets.at(managed).unread;
        changed_.notify_all();
    }

    Seen seen() {
        const std::scoped_lock lock(mutex_);
        return seen_;
    }

    // Waits for it; false after ten seconds.
    bool wait_for(const std::function<bool(const Seen&)>& holds) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds{10}, [&] { return holds(seen_); });
    }

    // Until a device that came, or lost its program, after `before` was seen has the program again.
    void wait_until_attached(const Seen& before, Clock::time_point since) {
        const unsigned index = ::if_nametoindex(managed.c_str());
        ASSERT_TRUE(wait_for([&](const Seen& now) {
            return (now.came + now.drifted > before.came + before.drifted || before.unread) && !now.unread &&
                   now.actual.index == index && now.actual.xdp && now.actual.xdp->program == "first";
        })) << "the managed interface was not reconciled";
        took_ms_.push_back(std::chrono::duration<double, std::milli>(Clock::now() - since).count());
        expect_ours_on_the_managed_alone();
    }

    void expect_ours_on_the_managed_alone() {
        struct if_nameindex* all = ::if_nameindex();
        for (const auto* one = all; one->if_index != 0; ++one) {
            const auto shown = must(bpf::attached_program(one->if_index));
            if (one->if_name == managed) {
                ASSERT_TRUE(shown);
                EXPECT_EQ(bpf::program_name(shown->id), "first");
            } else {
                EXPECT_FALSE(shown) << one->if_name << " has program " << shown->id;
            }
        }
        ::if_freenameindex(all);
    }

    // Of a device that is not managed any more: neither program nor guard.
    static void expect_nothing_on(const std::string& name) {
        const unsigned index = ::if_nametoindex(name.c_str());
        ASSERT_NE(index, 0U);
        EXPECT_FALSE(must(bpf::attached_program(index))) << name;
        std::vector<std::uint32_t> guards;
        if (bpf::KernelPort().query_tcx(index, bpf::Hook::tcx_ingress, guards) == 0) {
            EXPECT_TRUE(guards.empty()) << name;
        }
    }

    static bpf::Descriptor link_of(std::uint32_t program_id) {
        for (std::uint32_t id = 0; bpf_link_get_next_id(id, &id) == 0;) {
            bpf::Descriptor link(bpf_link_get_fd_by_id(id));
            bpf_link_info info{};
            std::uint32_t size = sizeof info;
            if (link && bpf_obj_get_info_by_fd(link.get(), &info, &size) == 0 &&
                info.type == BPF_LINK_TYPE_XDP && info.prog_id == program_id && info.xdp.ifindex != 0 &&
                info.xdp.ifindex == ::if_nametoindex(managed.c_str()))
                return link;
        }
        throw std::runtime_error("there is no such link");
    }

    void recreate() {
        ip("link del " + managed);
        add(managed);
    }

    void rename_away_and_replace() {
        ip("link set " + managed + " name old0");
        add(managed, "");
    }

    void move_away_and_replace() {
        ip("link set " + managed + " netns " + elsewhere_->name());
        add(managed);
    }

    void let_another_take_the_name() {
        add("spare0", "");
        ip("link del " + managed);
        ip("link set spare0 name " + managed);
    }

    void rename_and_back() {
        ip("link set " + managed + " name old0");
        ip("link set old0 name " + managed);
    }

    void detach_by_link() {
        const bpf::Descriptor link = link_of(seen().actual.xdp->program_id);
        ASSERT_EQ(bpf_link_detach(link.get()), 0);
    }

    void print_times(const std::string& of) {
        std::ranges::sort(took_ms_);
        const auto at = [&](double part) {
            return took_ms_[static_cast<std::size_t>(part * static_cast<double>(took_ms_.size() - 1))];
        };
        std::printf("%s: %zu times, until reconciled p50 %.1f ms, p99 %.1f ms, max %.1f ms\n", of.c_str(),
                    took_ms_.size(), at(0.5), at(0.99), took_ms_.back());
    }

    std::optional<lab::NetNamespace> host_;
    std::optional<lab::NetNamespace> elsewhere_;
    std::optional<lab::BpfMount> mount_;
    std::optional<lab::Entered> entered_; // left before the namespaces go
    std::string state_;
    std::unique_ptr<bpf::XdpDatapath> datapath_;
    std::unique_ptr<Sensor> links_;
    std::optional<Runner> runner_;
    std::thread thread_;
    std::mutex mutex_;
    std::condition_variable changed_;
    Seen seen_;
    int far_ = 0;
    std::vector<double> took_ms_;
};

TEST_F(HotplugTest, TheDeviceThatHasTheNameHasTheProgramAndNoOtherKeepsIt) {
    took_ms_.clear();
    for (int i = 0; i < cycles() && !HasFatalFailure(); ++i) {
        const Seen before = seen();
        const auto since = Clock::now();
        switch (i % 5) {
        case 0:
            recreate();
            wait_until_attached(before, since);
            break;
        case 1:
            rename_away_and_replace();
            wait_until_attached(before, since);
            expect_nothing_on("old0");
            ip("link del old0");
            break;
        case 2:
            move_away_and_replace();
            wait_until_attached(before, since);
            {
                const auto there = must(elsewhere_->enter());
                expect_nothing_on(managed);
            }
            ip("-n " + elsewhere_->name() + " link del " + managed);
            break;
        case 3:
            let_another_take_the_name();
            wait_until_attached(before, since);
            break;
        default:
            rename_and_back();
            wait_until_attached(before, since);
        }
    }
    print_times("devices that change");
}

TEST_F(HotplugTest, ALinkThatSomebodyDetachesIsMadeAnew) {
    took_ms_.clear();
    for (int i = 0; i < cycles() && !HasFatalFailure(); ++i) {
        const Seen before = seen();
        const auto since = Clock::now();
        detach_by_link();
        wait_until_attached(before, since);
    }
    print_times("links that are detached");
}

TEST_F(HotplugTest, ADeviceThatIsRenamedLosesWhatIsOursThoughNoOtherTakesItsName) {
    ip("link set " + managed + " name old0");
    ASSERT_TRUE(wait_for([](const Seen& now) { return !now.actual.present; }));
    // The next reading takes it off: it is done when a device that came later is reconciled.
    const Seen before = seen();
    add(managed, "");
    wait_until_attached(before, Clock::now());
    expect_nothing_on("old0");
}

TEST_F(HotplugTest, IpLinkSetXdpOffDoesNotTakeOurProgramOff) {
    (void)lab::ip("link set " + managed + " xdp off");
    expect_ours_on_the_managed_alone();
}

TEST_F(HotplugTest, AForeignProgramInPlaceOfOursStaysAndOursReturnsWhenItGoes) {
    const auto foreign = must(bpf::LoadedPrograms::load({program("second")}));
    const int index = static_cast<int>(::if_nametoindex(managed.c_str()));
    // Between the two calls the controller may be quicker; then it is tried again.
    int error = -EBUSY;
    for (int i = 0; i < 100 && error != 0; ++i) {
        detach_by_link();
        error =
            bpf_xdp_attach(index, must(foreign.program("second")).descriptor, XDP_FLAGS_DRV_MODE, nullptr);
        if (error != 0) {
            ASSERT_TRUE(wait_for([](const Seen& now) { return now.actual.xdp && !now.unread; }));
        }
    }
    ASSERT_EQ(error, 0);
    ASSERT_TRUE(wait_for(
        [](const Seen& now) { return now.actual.xdp && now.actual.xdp->program == "foreign:second"; }));
    ASSERT_EQ(bpf_xdp_detach(index, XDP_FLAGS_DRV_MODE, nullptr), 0);
    wait_until_attached({}, Clock::now());
}

} // namespace
} // namespace homeostat::test
