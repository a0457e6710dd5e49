// A program is replaced by one whose maps are defined differently: what the old one counted goes on, once,
// whatever call fails and wherever the process is killed.
#include "adapters/bpf/sensors/map_sensor.hpp"
#include "adapters/lab/traffic.hpp"
#include "tests/adapters/bpf/datapath/datapath_fixture.hpp"
#include "tests/adapters/bpf/datapath/handover_states.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <set>
#include <thread>

namespace homeostat::bpf {
namespace {

namespace fs = std::filesystem;

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint64_t packets_before = 3;

class MapHandoverTest : public DatapathFixture {
  protected:
    void TearDown() override {
        detach();
        DatapathFixture::TearDown();
    }

    void detach() {
        datapath_.reset();
        const auto detached = detach_instance(place());
        EXPECT_TRUE(detached) << detached.error().what;
    }

    DatapathOptions options() const override { return handover_options(mount_->path(), state_); }

    void open(const ProgramSource& program, KernelPort kernel = KernelPort()) {
        open_datapath(options_with(std::move(kernel)), {program});
    }

    // The old version ran and counted; its controller has gone.
    void run_old_version() {
        open(version("carry_old"));
        const Outcome attached =
            apply({SetMapEntry{{"limits", "1"}, {{"pps", 5}}}, SetMapEntry{{"limits", "2"}, {{"pps", 6}}},
                   AttachXdp{"count", {XdpMode::drv}}});
        ASSERT_TRUE(attached.ok) << attached.error;
        ASSERT_EQ(run_attached(packets_before), "count_old");
        datapath_.reset();
    }

    std::string why_rejected(const ProgramSource& program) {
        open(program);
        const auto found = datapath_->rejected().find("count");
        return found == datapath_->rejected().end() ? "" : found->second.what;
    }

    // Packets in the pinned map of counts, whichever version's it is.
    std::uint64_t counted() const { return sum_of(pins().map("counts")); }
    std::uint64_t kept() const { return sum_of(pins().map("kept")); }

    static std::uint64_t sum_of(const std::string& pin) {
        const Descriptor map(KernelPort().open_pin(pin));
        bpf_map_info info{};
        std::uint32_t size = sizeof info;
        if (!map || bpf_obj_get_info_by_fd(map.get(), &info, &size) != 0) return ~0ULL;
        const std::size_t words = info.value_size / 8; // packets are the last one
        std::vector<std::uint64_t> values(words * static_cast<std::size_t>(libbpf_num_possible_cpus()));
        const std::uint32_t key = 0;
        if (bpf_map_lookup_elem(map.get(), &key, values.data()) != 0) return ~0ULL;
        std::uint64_t sum = 0;
        for (std::size_t i = words - 1; i < values.size(); i += words) sum += values[i];
        return sum;
    }

    // Nothing is pinned or written down but what is needed.
    void expect_clean() {
        std::set<std::string> maps, programs;
        for (const auto& pin : fs::directory_iterator(pins().maps())) maps.insert(pin.path().filename());
        for (const auto& pin : fs::directory_iterator(pins().programs()))
            programs.insert(pin.path().filename());
        EXPECT_THAT(maps, ElementsAre("counts", "kept", "limits"));
        EXPECT_EQ(programs.size(), 1u);
        EXPECT_FALSE(fs::exists(state_ + "/test/journal"));
    }

    // The new version is in place, and has counted so much.
    void expect_new(std::uint64_t packets) {
        const ActualInterface now = actual();
        ASSERT_TRUE(now.xdp);
        EXPECT_EQ(now.xdp->program, "count");
        EXPECT_EQ(counted(), packets);
        EXPECT_EQ(now.entries.at({"limits", "1"}), (MapValue{{"pps", 7}, {"burst", 3}}))
            << "what is set is not added up";
        expect_clean();
    }
};

TEST_F(MapHandoverTest, CountsGoOnUnderTheNewDefinitionAndTheNextControllerFindsThem) {
    run_old_version();
    open(new_version());
    EXPECT_TRUE(actual().xdp->program.starts_with(outdated_prefix)) << actual().xdp->program;
    EXPECT_EQ(run_attached(1), "count_old") << "until it is replaced";
    const Outcome replaced = apply(handover_steps());
    ASSERT_TRUE(replaced.ok) << replaced.error;
    EXPECT_THAT(replaced.notes,
                ElementsAre("lab0: map counts: 2 entries were carried over into its new definition",
                            "lab0: map limits: 0 entries were carried over into its new definition"));
    expect_new(packets_before + 1);
    EXPECT_EQ(run_attached(4), "count_new");
    EXPECT_EQ(counted(), packets_before + 5);
    EXPECT_EQ(kept(), packets_before + 5) << "a map of the same definition is the same map";
    const auto before = actual();
    open(new_version());
    EXPECT_EQ(actual(), before) << "it was not touched";
    EXPECT_EQ(counted(), packets_before + 5);
}

TEST_F(MapHandoverTest, ASensorSeesACounterThatGoesOnAndNoJump) {
    run_old_version();
    open(new_version());
    auto maps = datapath_->maps_named("counts");
    ASSERT_TRUE(maps);
    const MapSensorSpec spec{
        .map = "counts",
        .key = {{.field = "", .label = "which", .enumeration = "", .at = {}}},
        .fields = {{.field = "packets", .metric = "packets_total", .labels = {}, .at = {}}}};
    auto sensor = MapSensor::create(SensorId{0}, spec, 10, std::move(*maps));
    ASSERT_TRUE(sensor) << sensor.error().what;
    const auto read = [&] {
        Readings readings;
        (*sensor)->collect(Instant{}, readings);
        EXPECT_EQ(readings.batches.at(0).error, "");
        std::vector<double> values;
        for (const auto& sample : readings.batches.at(0).samples) values.push_back(sample.value);
        return values;
    };
    EXPECT_THAT(read(), ElementsAre()) << "the new map counts nothing yet";
    ASSERT_TRUE(apply(handover_steps()).ok);
    EXPECT_THAT(read(), ElementsAre(3.0, 0.0));
}

TEST_F(MapHandoverTest, AProgramInAnotherModeOrAfterNoneTakesTheMapsOverAsWell) {
    for (const Step& first : {Step{SwitchXdpMode{"count", {XdpMode::skb}}}, Step{DetachXdp{}}}) {
        run_old_version();
        open(new_version());
        Outcome outcome = apply({SetMapEntry{{"limits", "1"}, {{"pps", 7}, {"burst", 3}}}, first});
        ASSERT_TRUE(outcome.ok) << outcome.error;
        if (!outcome.actual.xdp) outcome = apply({AttachXdp{"count", {XdpMode::drv}}});
        ASSERT_TRUE(outcome.ok) << outcome.error;
        expect_new(packets_before);
        detach();
    }
}

TEST_F(MapHandoverTest, WhatAnOldTcProgramStillCountsWhenTheXdpProgramIsReplacedIsCarriedOver) {
    const auto both = [](ProgramSource xdp) {
        ProgramSource tc = xdp;
        tc.name = "out";
        tc.function = "count_in_tc";
        return std::vector<ProgramSource>{std::move(xdp), std::move(tc)};
    };
    const auto open_both = [&](const ProgramSource& xdp, KernelPort kernel = KernelPort()) {
        datapath_.reset();
        DatapathOptions place = options();
        place.kernel = std::move(kernel);
        auto opened = XdpDatapath::open(std::move(place), both(xdp), {"lab0"});
        ASSERT_TRUE(opened) << opened.error().what;
        datapath_ = std::move(*opened);
    };
    open_both(version("carry_old"));
    ASSERT_TRUE(apply({AttachXdp{"count", {XdpMode::drv}}, AttachTc{TcDirection::egress, "out"}}).ok);
    const Descriptor old_tc(bpf_prog_get_fd_by_id(actual().tc.at(TcDirection::egress).program_id));
    const std::vector<std::byte> packet(64);
    int updates = 0;
    open_both(new_version(), KernelPort([&](KernelCall call) {
                  // Of the TC link, when the XDP link holds the new program.
                  if (call == KernelCall::update_link && ++updates == 2) run_program(old_tc.get(), packet, 1);
                  return 0;
              }));
    EXPECT_TRUE(actual().tc.at(TcDirection::egress).program.starts_with(outdated_prefix));
    const Outcome replaced = apply({ReplaceXdp{"count"}, ReplaceTc{TcDirection::egress, "out"}});
    ASSERT_TRUE(replaced.ok) << replaced.error;
    EXPECT_GE(updates, 2);
    EXPECT_EQ(replaced.notes.size(), 2u) << "each map is merged once";
    EXPECT_EQ(counted(), 1u);
    EXPECT_EQ(replaced.actual.tc.at(TcDirection::egress).program, "out");
}

TEST_F(MapHandoverTest, AnUpgradeThatIsCalledOffLeavesNothing) {
    run_old_version();
    open(new_version());
    ASSERT_TRUE(apply({SetMapEntry{{"limits", "1"}, {{"pps", 7}, {"burst", 3}}}}).ok);
    EXPECT_TRUE(fs::exists(pins().next_map("counts")));
    open(version("carry_old"));
    EXPECT_EQ(actual().xdp->program, "count");
    EXPECT_EQ(actual().entries.at({"limits", "1"}), (MapValue{{"pps", 5}}))
        << "without the field that was new";
    EXPECT_EQ(actual().entries.at({"limits", "2"}), (MapValue{{"pps", 6}}));
    EXPECT_EQ(run_attached(1), "count_old");
    EXPECT_EQ(counted(), packets_before + 1);
    expect_clean();
}

TEST_F(MapHandoverTest, NoPacketIsLostOrCountedTwiceUnderLoad) {
    open(version("carry_old"));
    ASSERT_TRUE(apply({AttachXdp{"count", {XdpMode::drv}}}).ok);
    auto flood = lab::flood_udp(lab_->peer, {.packets_per_second = 50'000});
    ASSERT_TRUE(flood) << flood.error().what;
    const auto wait_for = [&](std::uint64_t packets) {
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (counted() < packets && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    };
    wait_for(2'000);
    open(new_version());
    const Outcome replaced = apply(handover_steps());
    ASSERT_TRUE(replaced.ok) << replaced.error;
    const std::uint64_t merged = counted();
    wait_for(merged + 2'000);
    const auto sent = flood->stop();
    EXPECT_EQ(sent.error, "");
    wait_for(sent.sent);
    EXPECT_EQ(counted(), sent.sent);
    EXPECT_EQ(kept(), sent.sent) << "the map that both versions share is the measure";
}

TEST_F(MapHandoverTest, ADefinitionThatCannotGoOnIsRefusedWithTheReasonAndTheKeysThatHelp) {
    run_old_version();
    EXPECT_THAT(
        why_rejected(version("carry_new")),
        HasSubstr("load program count: map counts cannot be carried over: value field 'packets' was at "
                  "offset 0 and is 8; value field 'bytes' is new; the value's size was 8 bytes and is "
                  "16 bytes; no rule says how to merge old and new entries. In [[program]] count, "
                  "maps.counts.merge = \"sum\" or \"newest\" says how to merge, and on_incompatible = "
                  "\"reset\" lets such maps start anew"));
    EXPECT_TRUE(actual().xdp->program.starts_with(outdated_prefix)) << "and the old one goes on";
    EXPECT_THAT(why_rejected(version("carry_renamed")), HasSubstr("value field 'packets' is gone"))
        << "the same sizes are not the same";
    EXPECT_EQ(why_rejected(version("carry_old")), "") << "and back again, nothing has changed";
    EXPECT_EQ(actual().xdp->program, "count");
    EXPECT_EQ(counted(), packets_before);
    expect_clean();
}

// What it says then would be of the pin that it set in place of the one that it did not open.
TEST_F(MapHandoverTest, APinThatCannotBeOpenedIsNotTakenForOneThatIsNotThere) {
    run_old_version();
    open(new_version()); // the maps to be are pinned from here on
    ASSERT_TRUE(fs::exists(pins().next_map("counts")));
    datapath_.reset();
    bool is_reached = true;
    int refused = 0;
    for (int n = 1; is_reached; ++n) {
        is_reached = false;
        int asked = 0;
        const auto opened = XdpDatapath::open(options_with(KernelPort([&](KernelCall call) {
                                                  if (call != KernelCall::open_pin || ++asked != n) return 0;
                                                  is_reached = true;
                                                  return -EMFILE;
                                              })),
                                              {new_version()}, {"lab0"});
        if (!opened) {
            EXPECT_THAT(opened.error().what, HasSubstr("Too many open files")) << n;
            continue;
        }
        for (const auto& [name, why] : (*opened)->rejected()) {
            EXPECT_THAT(why.what, HasSubstr("Too many open files")) << n;
            ++refused;
        }
    }
    EXPECT_GE(refused, 2) << "of the map's pin, and of that of the map to be";
}

TEST_F(MapHandoverTest, OnIncompatibleResetStartsTheMapAnewAndSaysSo) {
    run_old_version();
    ProgramSource program = version("carry_renamed");
    program.resets_maps = true;
    open(program);
    const Outcome replaced = apply({ReplaceXdp{"count"}});
    ASSERT_TRUE(replaced.ok) << replaced.error;
    ASSERT_EQ(replaced.notes.size(), 1u);
    EXPECT_THAT(replaced.notes[0],
                HasSubstr("lab0: map counts starts anew: map counts cannot be carried over: "
                          "value field 'packets' is gone"));
    EXPECT_EQ(run_attached(1), "count_renamed");
    EXPECT_EQ(counted(), 1u);
    EXPECT_EQ(kept(), packets_before + 1);
    EXPECT_EQ(actual().entries.at({"limits", "1"}), (MapValue{{"pps", 5}})) << "of the same definition";
    expect_clean();
}

TEST_F(MapHandoverTest, WhereNothingTellsTheOldDefinitionTheSizesDecide) {
    run_old_version();
    fs::remove_all(state_ + "/test/maps");
    EXPECT_THAT(
        why_rejected(new_version()),
        HasSubstr("map counts cannot be carried over: value size 8 and 16 in the program that ran before "
                  "and in this one, and nothing tells how it was defined there"));
    EXPECT_EQ(why_rejected(version("carry_old")), "");
    EXPECT_EQ(actual().xdp->program, "count");
}

TEST_F(MapHandoverTest, WithoutTheMergerNothingChanges) {
    run_old_version();
    DatapathOptions without = options();
    without.map_merger = "";
    auto opened = XdpDatapath::open(without, {new_version()}, {"lab0"});
    ASSERT_TRUE(opened) << opened.error().what;
    datapath_ = std::move(*opened);
    const Outcome refused = apply({ReplaceXdp{"count"}});
    EXPECT_THAT(refused.error, HasSubstr("there is no map_merge.bpf.o"));
    EXPECT_EQ(run_attached(1), "count_old");
    EXPECT_EQ(counted(), packets_before + 1);
}

// Fails the call of the given turn, once, after some packets.
struct Fault {
    int countdown = 0; // to the call that fails; 0: none
    int error = 0;
    int turns = 0;
    std::string attached{}; // the program that had the packets

    int operator()(KernelCall) {
        ++turns;
        if (countdown == 0) return 0;
        --countdown;
        if (countdown != 0) return 0;
        attached = run_attached(packets_meanwhile);
        return error;
    }
};

TEST_F(MapHandoverTest, WhicheverCallFailsTheCountsAreTheOldOnesOrTheMergedOnes) {
    const auto fault = std::make_shared<Fault>();
    const KernelPort kernel([fault](KernelCall) { return (*fault)(KernelCall::pin); });
    int failed = 0, went_on = 0, lost_count = 0;
    for (int turn = 1, turns = 1; turn <= turns && !HasFatalFailure(); ++turn)
        for (const int error : {-EPERM, -ENOMEM}) {
            SCOPED_TRACE("call " + std::to_string(turn) + " fails with " + std::to_string(error));
            run_old_version();
            open(new_version(), kernel);
            *fault = Fault{.countdown = turn, .error = error};
            const Outcome outcome = apply(handover_steps());
            turns = std::max(turns, turn == 1 ? 200 : fault->turns);
            const std::string attached = fault->attached;
            *fault = Fault{};
            if (attached.empty()) { // it takes fewer calls
                turns = turn;
                detach();
                break;
            }
            EXPECT_EQ(outcome.error.find("undoing failed"), std::string::npos) << outcome.error;
            const bool is_lost = outcome.error.find("is lost in map counts") != std::string::npos;
            const bool is_new = attached == "count_new";
            EXPECT_TRUE(is_new || !is_lost) << outcome.error;
            if (!outcome.ok) {
                ASSERT_EQ(run_attached(0), "count_old") << outcome.error;
                EXPECT_EQ(counted(), packets_before + (is_new ? 0 : packets_meanwhile));
                EXPECT_FALSE(fs::exists(state_ + "/test/journal"));
                const Outcome again = apply(handover_steps());
                ASSERT_TRUE(again.ok) << again.error << ", after " << outcome.error;
            }
            ++(outcome.ok ? went_on : failed);
            lost_count += is_lost ? 1 : 0;
            EXPECT_EQ(kept(), packets_before + packets_meanwhile);
            EXPECT_EQ(counted(), packets_before + (is_lost ? 0 : packets_meanwhile)) << outcome.error;
            open(new_version());
            expect_new(packets_before + (is_lost ? 0 : packets_meanwhile));
            detach();
        }
    EXPECT_GT(failed, 20);
    EXPECT_GT(lost_count, 0);
    std::printf("%d failed and were repeated, of these %d lost what was counted meanwhile; %d went on\n",
                failed, lost_count, went_on);
}

TEST_F(MapHandoverTest, WhereverItIsKilledTheCountsAreTheOldOnesOrTheMergedOnes) {
    int taken_back = 0, whole = 0, lost_count = 0;
    for (unsigned long call = 1;; ++call) {
        SCOPED_TRACE("killed before call " + std::to_string(call));
        run_old_version();
        pid_t worker = -1;
        const std::string program = HOMEOSTAT_BINARY_DIR "/tests/handover_worker";
        const std::string number = std::to_string(call);
        const std::array<const char*, 5> arguments{program.c_str(), mount_->path().c_str(), state_.c_str(),
                                                   number.c_str(), nullptr};
        ASSERT_EQ(::posix_spawn(&worker, program.c_str(), nullptr, nullptr,
                                const_cast<char* const*>(arguments.data()), environ),
                  0);
        int status = 0;
        ASSERT_EQ(::waitpid(worker, &status, 0), worker);
        if (WIFEXITED(status)) {
            EXPECT_EQ(WEXITSTATUS(status), 0);
            break;
        }
        const bool was_new = run_attached(0) == "count_new";
        open(new_version());
        const bool is_new = actual().xdp->program == "count";
        const auto is_lost = std::ranges::any_of(datapath_->notes(), [](const std::string& note) {
            const std::size_t lost = note.find("is lost in map");
            return lost != std::string::npos && note.find("counts", lost) != std::string::npos;
        });
        EXPECT_TRUE(was_new || !(is_new || is_lost)) << "the old one is not replaced by opening";
        EXPECT_EQ(run_attached(0), is_new ? "count_new" : "count_old");
        EXPECT_EQ(counted(), packets_before + (was_new && !is_new ? 0 : packets_meanwhile))
            << "in the map of the program that runs";
        if (!is_new) {
            const Outcome again = apply(handover_steps());
            ASSERT_TRUE(again.ok) << again.error;
        }
        expect_new(packets_before + (is_lost ? 0 : packets_meanwhile));
        EXPECT_EQ(kept(), packets_before + packets_meanwhile);
        ++(is_new ? whole : taken_back);
        lost_count += is_lost ? 1 : 0;
        detach();
        ASSERT_FALSE(HasFailure());
    }
    EXPECT_GT(taken_back, 20);
    EXPECT_GT(whole, 0);
    EXPECT_GT(lost_count, 0);
    std::printf("killed at %d calls: %d times the old program went on, of these %d lost what the new one had "
                "counted\n",
                taken_back + whole, taken_back, lost_count);
}

} // namespace
} // namespace homeostat::bpf
