// Mode hw, on netdevsim: a driver of the kernel's own that takes programs as a network card would, and
// refuses them where its debugfs says so. No image of Debian's has it: tests/guest builds it.
#include "adapters/bpf/datapath/datapath.hpp"
#include "adapters/bpf/datapath/link_facts.hpp"
#include "adapters/bpf/datapath/offload.hpp"
#include "adapters/bpf/sensors/map_sensor.hpp"
#include "tests/adapters/bpf/datapath/datapath_fixture.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <gtest/gtest.h>
#include <net/if.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>

namespace homeostat::bpf {
namespace {

namespace fs = std::filesystem;

const std::string bus = "/sys/bus/netdevsim/";

bool write_to(const std::string& path, const std::string& text) {
    std::ofstream file(path);
    file << text << std::flush;
    return file.good();
}

// A device in the calling thread's network namespace; it goes with this object.
class Netdevsim {
  public:
    Netdevsim() : number_(std::to_string(::getpid())) {
        if (!write_to(bus + "new_device", number_ + " 1")) return;
        struct if_nameindex* const all = ::if_nameindex();
        for (auto* one = all; one != nullptr && one->if_index != 0; ++one)
            if (link_facts(one->if_index).value_or(LinkFacts{}).driver == "netdevsim") name_ = one->if_name;
        ::if_freenameindex(all);
    }
    Netdevsim(const Netdevsim&) = delete;
    Netdevsim& operator=(const Netdevsim&) = delete;
    ~Netdevsim() { write_to(bus + "del_device", number_); }

    const std::string& name() const { return name_; }
    unsigned ifindex() const { return ::if_nametoindex(name_.c_str()); }
    // One of the knobs in its debugfs.
    bool set(const std::string& knob, bool on) const {
        return write_to("/sys/kernel/debug/netdevsim/netdevsim" + number_ + "/" + knob, on ? "Y" : "N");
    }

  private:
    std::string number_;
    std::string name_; // as the kernel gave it
};

class HwTest : public DatapathFixture {
  protected:
    void SetUp() override {
        if (::access((bus + "new_device").c_str(), W_OK) != 0)
            GTEST_SKIP() << "needs root and netdevsim, as the kernels of tests/guest have it";
        DatapathFixture::SetUp();
        if (HasFatalFailure()) return;
        sim_.emplace();
        ASSERT_NE(sim_->name(), "");
        open();
    }
    void TearDown() override {
        datapath_.reset();
        sim_.reset();
        DatapathFixture::TearDown();
    }

    DatapathOptions options() const override {
        DatapathOptions unanchored = DatapathFixture::options();
        unanchored.anchored = false;
        return unanchored;
    }
    InterfacePins pins() const { return {place(), sim_->name()}; }

    Result<std::unique_ptr<XdpDatapath>> opened(KernelPort kernel) const {
        return XdpDatapath::open(options_with(std::move(kernel)),
                                 {source("pass", "offloaded", "hw_pass"),
                                  source("drop", "offloaded", "hw_drop"),
                                  source("per_cpu", "counting", "count_pass")},
                                 {sim_->name(), lab_->host_link});
    }
    void open(KernelPort kernel = KernelPort()) {
        datapath_.reset();
        auto datapath = opened(std::move(kernel));
        ASSERT_TRUE(datapath) << datapath.error().what;
        datapath_ = std::move(*datapath);
    }

    Outcome apply(std::vector<Step> steps, const std::string& interface = "") {
        return DatapathFixture::apply(std::move(steps), interface.empty() ? sim_->name() : interface);
    }
    Outcome attach(const std::string& program, std::vector<XdpMode> ladder) {
        return apply({AttachXdp{program, std::move(ladder)}});
    }
    Outcome change(const std::string& program, std::vector<XdpMode> ladder) {
        return apply({SwitchXdpMode{program, std::move(ladder)}});
    }

    ActualInterface actual() { return datapath_->read_back().at(sim_->name()); }
    std::vector<AttachedProgram> shown() const { return attached_programs(sim_->ifindex()).value(); }

    // Of a map of the program in the card; none where it has no such key.
    template <class Value> std::optional<Value> on_card(const std::string& map, std::uint32_t key) {
        const Descriptor held = map_on_card(map);
        Value value{};
        if (bpf_map_lookup_elem(held.get(), &key, &value) != 0) return std::nullopt;
        return value;
    }
    Descriptor map_on_card(const std::string& map) {
        const Descriptor program(bpf_prog_get_fd_by_id(actual().xdp->program_id));
        Descriptor held;
        map_on_device(program.get(), map, {.descriptor = -1, .object = {}, .layout = {}, .shape = {}}, held);
        return held;
    }

    std::set<std::string> program_pins() const {
        std::set<std::string> names;
        for (const auto& pin : fs::directory_iterator(pins().programs()))
            names.insert(version_of_pin(pin.path()));
        return names;
    }

    std::optional<Netdevsim> sim_;
};

struct Limit {
    std::uint32_t pps, burst;
};

TEST_F(HwTest, AttachReplaceAndDetachAreWhatTheKernelShows) {
    const Outcome attached = attach("pass", {XdpMode::hw});
    ASSERT_TRUE(attached.ok) << attached.error;
    ASSERT_TRUE(attached.actual.xdp);
    EXPECT_EQ(attached.actual.xdp->program, "pass");
    EXPECT_EQ(attached.actual.xdp->mode, XdpMode::hw);
    ASSERT_EQ(shown().size(), 1u);
    EXPECT_EQ(shown()[0].id, attached.actual.xdp->program_id);
    EXPECT_EQ(shown()[0].mode, XdpMode::hw);

    const Outcome replaced = apply({ReplaceXdp{"drop"}});
    ASSERT_TRUE(replaced.ok) << replaced.error;
    EXPECT_EQ(replaced.actual.xdp->program, "drop");
    EXPECT_EQ(replaced.actual.xdp->mode, XdpMode::hw);
    EXPECT_EQ(program_name(shown().at(0).id), "hw_drop");
    EXPECT_NE(replaced.actual.xdp->program_id, attached.actual.xdp->program_id);

    ASSERT_TRUE(apply({DetachXdp{}}).ok);
    EXPECT_TRUE(shown().empty());
    EXPECT_FALSE(actual().xdp);
}

TEST_F(HwTest, BetweenTheCardAndTheHostBothAreAttachedUntilTheOldOneGoes) {
    std::size_t fewest = 2;
    const auto watch = [&](KernelCall call) {
        if (call == KernelCall::detach_link) fewest = std::min(fewest, shown().size());
        return 0;
    };
    open(KernelPort(watch));
    for (const XdpMode host : {XdpMode::drv, XdpMode::skb}) {
        ASSERT_TRUE(attach("pass", {host}).ok);
        for (const auto& [to, text] : {std::pair{XdpMode::hw, "to hw"}, std::pair{host, "from hw"}}) {
            const Outcome switched = change("drop", {to});
            ASSERT_TRUE(switched.ok) << switched.error;
            EXPECT_FALSE(switched.gap);
            EXPECT_EQ(switched.actual.xdp->mode, to);
            EXPECT_EQ(switched.actual.xdp->program, "drop");
            EXPECT_EQ(shown().size(), 1u);
            ASSERT_EQ(switched.notes.size(), 1u);
            EXPECT_NE(switched.notes[0].find(text), std::string::npos) << switched.notes[0];
            EXPECT_NE(switched.notes[0].find("without a gap"), std::string::npos) << switched.notes[0];
        }
        EXPECT_EQ(fewest, 2u) << "attached when one was about to be detached";
        ASSERT_TRUE(apply({DetachXdp{}}).ok);
        fewest = 2;
    }
}

TEST_F(HwTest, AProgramForTheCardIsUnpinnedWhenItIsNoLongerAttached) {
    const std::set<std::string> before = program_pins();
    ASSERT_TRUE(attach("pass", {XdpMode::hw}).ok);
    EXPECT_EQ(program_pins().size(), before.size() + 1);
    ASSERT_TRUE(apply({ReplaceXdp{"drop"}}).ok);
    EXPECT_EQ(program_pins().size(), before.size() + 1);
    ASSERT_TRUE(change("drop", {XdpMode::drv}).ok);
    EXPECT_EQ(program_pins(), before);
    ASSERT_TRUE(change("drop", {XdpMode::hw}).ok);
    ASSERT_TRUE(apply({DetachXdp{}}).ok);
    EXPECT_EQ(program_pins(), before);
}

TEST_F(HwTest, ALadderFallsOnAVethWithTheReason) {
    const Outcome outcome = apply({AttachXdp{"pass", {XdpMode::hw, XdpMode::drv}}}, lab_->host_link);
    ASSERT_TRUE(outcome.ok) << outcome.error;
    EXPECT_EQ(outcome.actual.xdp->mode, XdpMode::drv);
    ASSERT_EQ(outcome.notes.size(), 1u);
    EXPECT_NE(
        outcome.notes[0].find("hw takes a network card that runs programs itself; this one (driver veth) "
                              "takes none"),
        std::string::npos)
        << outcome.notes[0];
}

TEST_F(HwTest, WhateverTheCardRefusesALadderFallsAndClimbsAgainWithoutAGap) {
    for (const std::string knob : {"bpf_bind_accept", "bpf_bind_verifier_accept",
                                   "ports/0/bpf_xdpoffload_accept", "ports/0/bpf_map_accept"}) {
        SCOPED_TRACE(knob);
        ASSERT_TRUE(sim_->set(knob, false));
        EXPECT_FALSE(attach("pass", {XdpMode::hw}).ok);
        EXPECT_TRUE(shown().empty());
        const Outcome fallen = attach("pass", {XdpMode::hw, XdpMode::drv, XdpMode::skb});
        ASSERT_TRUE(fallen.ok) << fallen.error;
        EXPECT_EQ(fallen.actual.xdp->mode, XdpMode::drv);
        ASSERT_EQ(fallen.notes.size(), 1u);
        EXPECT_NE(fallen.notes[0].find("fell to mode drv: attach to " + sim_->name() + " in mode hw: "),
                  std::string::npos)
            << fallen.notes[0];

        const Outcome refused = change("pass", {XdpMode::hw});
        EXPECT_FALSE(refused.ok);
        EXPECT_EQ(refused.actual.xdp, fallen.actual.xdp) << "what is there is not touched";
        ASSERT_TRUE(sim_->set(knob, true));
        const Outcome climbed = change("pass", {XdpMode::hw});
        ASSERT_TRUE(climbed.ok) << climbed.error;
        EXPECT_EQ(climbed.actual.xdp->mode, XdpMode::hw);
        EXPECT_FALSE(climbed.gap);
        ASSERT_TRUE(apply({DetachXdp{}}).ok);
    }
}

TEST_F(HwTest, WhereTheHostsModesAreRefusedTheCardGoesOn) {
    const Outcome attached = attach("pass", {XdpMode::hw});
    ASSERT_TRUE(attached.ok) << attached.error;
    ASSERT_TRUE(sim_->set("ports/0/bpf_xdpdrv_accept", false));
    const Outcome refused = change("pass", {XdpMode::drv});
    EXPECT_FALSE(refused.ok);
    EXPECT_EQ(refused.actual.xdp, attached.actual.xdp);
    const Outcome stayed = change("drop", {XdpMode::drv, XdpMode::hw});
    ASSERT_TRUE(stayed.ok) << stayed.error;
    EXPECT_EQ(stayed.actual.xdp->mode, XdpMode::hw);
    EXPECT_EQ(stayed.actual.xdp->program, "drop");
    EXPECT_EQ(shown().size(), 1u);
}

TEST_F(HwTest, AProgramWithMapsThatNoCardTakesIsRefusedInWords) {
    const Outcome outcome = attach("per_cpu", {XdpMode::hw});
    EXPECT_FALSE(outcome.ok);
    EXPECT_NE(outcome.error.find("; a network card has array and hash maps only, none per CPU and no LRU"),
              std::string::npos)
        << outcome.error;
    EXPECT_TRUE(shown().empty());
}

TEST_F(HwTest, EntriesThatWereSetAreOnTheCardBeforeTheProgramIsAndFollowItsChanges) {
    const MapEntry entry{"card_limits", "1"};
    ASSERT_TRUE(apply({SetMapEntry{entry, {{"pps", 7}}}, AttachXdp{"pass", {XdpMode::hw}}}).ok);
    ASSERT_TRUE(on_card<Limit>("card_limits", 1));
    EXPECT_EQ(on_card<Limit>("card_limits", 1)->pps, 7u);
    ASSERT_TRUE(apply({SetMapEntry{entry, {{"pps", 8}}}}).ok);
    EXPECT_EQ(on_card<Limit>("card_limits", 1)->pps, 8u);
    EXPECT_EQ(actual().entries.at(entry).at("pps"), 8);

    const Limit changed{9, 0};
    const std::uint32_t key = 1;
    ASSERT_EQ(bpf_map_update_elem(map_on_card("card_limits").get(), &key, &changed, BPF_ANY), 0);
    EXPECT_EQ(actual().entries.at(entry).at("pps"), 9) << "what the card has is what is read back";

    EXPECT_FALSE(apply({SetMapEntry{entry, {{"pps", 1}}}, ReplaceXdp{"nobody"}}).ok);
    EXPECT_EQ(on_card<Limit>("card_limits", 1)->pps, 8u) << "taken back, to what we had set";
    ASSERT_TRUE(apply({ClearMapEntry{entry}}).ok);
    EXPECT_FALSE(on_card<Limit>("card_limits", 1));
}

TEST_F(HwTest, CountersOfTheCardGoOnWhenItsProgramIsReplaced) {
    ASSERT_TRUE(attach("pass", {XdpMode::hw}).ok);
    const std::uint32_t key = 1;
    const std::uint64_t packets = 41;
    ASSERT_EQ(bpf_map_update_elem(map_on_card("verdicts").get(), &key, &packets, BPF_ANY), 0);
    ASSERT_TRUE(apply({ReplaceXdp{"drop"}}).ok);
    EXPECT_EQ(on_card<std::uint64_t>("verdicts", 1), packets);
}

TEST_F(HwTest, ASensorReadsTheMapsOfTheProgramThatIsAttached) {
    auto maps = datapath_->maps_named("verdicts");
    ASSERT_TRUE(maps) << maps.error().what;
    std::erase_if(*maps, [&](const InterfaceMap& map) { return map.interface != sim_->name(); });
    ASSERT_EQ(maps->size(), 1u);
    const auto host = duplicate(maps->front().descriptor.get());
    ASSERT_TRUE(host);
    const MapSensorSpec spec{.map = "verdicts",
                             .key = {{.field = "", .label = "verdict", .enumeration = "", .at = {}}},
                             .fields = {{.field = "", .metric = "packets_total", .labels = {}, .at = {}}}};
    auto sensor = MapSensor::create(SensorId{0}, spec, 10, std::move(*maps));
    ASSERT_TRUE(sensor) << sensor.error().what;
    const auto read = [&] {
        Readings readings;
        (*sensor)->collect(Instant{}, readings);
        EXPECT_EQ(readings.batches.at(0).error, "");
        double sum = 0;
        for (const auto& sample : readings.batches.at(0).samples) sum += sample.value;
        return sum;
    };
    const auto count = [](const Descriptor& map, std::uint64_t packets) {
        const std::uint32_t key = 1;
        ASSERT_EQ(bpf_map_update_elem(map.get(), &key, &packets, BPF_ANY), 0);
    };
    count(*host, 5);
    ASSERT_TRUE(attach("pass", {XdpMode::drv}).ok);
    EXPECT_EQ(read(), 5);
    ASSERT_TRUE(change("pass", {XdpMode::hw}).ok);
    count(map_on_card("verdicts"), 41);
    EXPECT_EQ(read(), 41);
    ASSERT_TRUE(apply({ReplaceXdp{"drop"}}).ok);
    EXPECT_EQ(read(), 41);
    ASSERT_TRUE(change("pass", {XdpMode::drv}).ok);
    EXPECT_EQ(read(), 5);
}

TEST_F(HwTest, TheNextProcessGoesOnWithWhatIsAttachedAndDetachRemovesIt) {
    const Outcome attached = attach("pass", {XdpMode::hw});
    ASSERT_TRUE(attached.ok) << attached.error;
    open();
    EXPECT_EQ(actual().xdp, attached.actual.xdp);
    ASSERT_TRUE(apply({ReplaceXdp{"drop"}}).ok);
    EXPECT_EQ(actual().xdp->program, "drop");
    datapath_.reset();
    const auto detached = detach_instance(place());
    ASSERT_TRUE(detached) << detached.error().what;
    ASSERT_EQ(detached->size(), 1u);
    EXPECT_NE(detached->front().find(", hw)"), std::string::npos) << detached->front();
    EXPECT_TRUE(shown().empty());
    EXPECT_FALSE(fs::exists(place().bpffs + "/test"));
}

TEST_F(HwTest, AnOffloadedProgramRunsNowhereElse) {
    const Outcome attached = attach("pass", {XdpMode::hw});
    ASSERT_TRUE(attached.ok) << attached.error;
    const Descriptor program(bpf_prog_get_fd_by_id(attached.actual.xdp->program_id));
    const int on_veth =
        KernelPort().create_link(program.get(), ::if_nametoindex(lab_->host_link.c_str()), Hook::xdp_drv);
    EXPECT_EQ(on_veth, -EINVAL);
    const std::vector<int> programs{program.get()};
    EXPECT_FALSE(Anchors::hold(programs));
}

class HwChange : public HwTest {
  protected:
    // What a transaction may leave: the old state or the new one, and nothing half done.
    void expect_whole(const std::string& what) {
        SCOPED_TRACE(what);
        ASSERT_TRUE(actual().xdp);
        const AttachedXdp xdp = *actual().xdp;
        EXPECT_TRUE((xdp.program == "pass" && xdp.mode == XdpMode::drv) ||
                    (xdp.program == "drop" && xdp.mode == XdpMode::hw))
            << xdp.program << " " << to_text(xdp.mode);
        ASSERT_EQ(shown().size(), 1u);
        EXPECT_EQ(shown()[0].id, xdp.program_id);
        EXPECT_FALSE(fs::exists(pins().next_link()));
    }
    std::vector<Step> steps(bool to_card) const {
        return {to_card ? SwitchXdpMode{"drop", {XdpMode::hw}} : SwitchXdpMode{"pass", {XdpMode::drv}}};
    }
};

TEST_F(HwChange, WhicheverCallFailsTheProgramIsTheOldOneOrTheNewOne) {
    int turn = 0, failing = 0;
    open(KernelPort([&](KernelCall) { return ++turn == failing ? -ENOMEM : 0; }));
    ASSERT_TRUE(attach("pass", {XdpMode::drv}).ok);
    for (const bool to_card : {true, false}) {
        turn = failing = 0;
        ASSERT_TRUE(apply(steps(to_card)).ok);
        const int calls = turn;
        ASSERT_TRUE(apply(steps(!to_card)).ok);
        int failed = 0;
        for (int call = 1; call <= calls; ++call) {
            turn = 0;
            failing = call;
            const Outcome outcome = apply(steps(to_card));
            failing = 0;
            expect_whole("call " + std::to_string(call) + ": " + outcome.error);
            EXPECT_EQ(actual().xdp->mode == XdpMode::hw, outcome.ok == to_card) << outcome.error;
            failed += outcome.ok ? 0 : 1;
            if (outcome.ok) {
                ASSERT_TRUE(apply(steps(!to_card)).ok);
            }
        }
        EXPECT_GT(failed, 5) << "of " << calls;
        ASSERT_TRUE(apply(steps(to_card)).ok);
    }
}

TEST_F(HwChange, WhereverItIsKilledTheNextProcessFindsTheOldProgramOrTheNewOne) {
    ASSERT_TRUE(attach("pass", {XdpMode::drv}).ok);
    for (const bool to_card : {true, false}) {
        int kills = 0;
        for (int call = 1;; ++call) {
            datapath_.reset();
            const pid_t worker = ::fork();
            ASSERT_GE(worker, 0);
            if (worker == 0) {
                int turn = 0;
                bool armed = false;
                auto datapath = opened(KernelPort([&](KernelCall) {
                    if (armed && ++turn == call) ::_exit(7);
                    return 0;
                }));
                armed = true;
                const bool ok =
                    datapath && (*datapath)->apply({TransactionId{1}, sim_->name(), steps(to_card)}).ok;
                ::_exit(ok ? 0 : 1);
            }
            int status = 0;
            ASSERT_EQ(::waitpid(worker, &status, 0), worker);
            ASSERT_TRUE(WIFEXITED(status));
            ASSERT_NE(WEXITSTATUS(status), 1) << "call " << call;
            open();
            expect_whole("killed at call " + std::to_string(call));
            EXPECT_FALSE(fs::exists(place().state + "/test/journal"));
            if (WEXITSTATUS(status) == 0) break; // there are no more calls
            ++kills;
            if ((actual().xdp->mode == XdpMode::hw) == to_card) {
                ASSERT_TRUE(apply(steps(!to_card)).ok);
            }
        }
        EXPECT_GT(kills, 10);
    }
}

} // namespace
} // namespace homeostat::bpf
