#include "adapters/bpf/datapath/datapath.hpp"
#include "adapters/bpf/datapath/link_facts.hpp"
#include "adapters/bpf/datapath/xdp_link.hpp"
#include "tests/adapters/bpf/datapath/datapath_fixture.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <bpf/libbpf.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <utility>

namespace homeostat::bpf {
namespace {

const std::vector<std::byte> packet(64);

// The link that holds this program, as somebody else would find it.
Descriptor link_of(const AttachedXdp& attached) {
    for (std::uint32_t id = 0; bpf_link_get_next_id(id, &id) == 0;) {
        Descriptor link(bpf_link_get_fd_by_id(id));
        bpf_link_info info{};
        std::uint32_t size = sizeof info;
        if (bpf_obj_get_info_by_fd(link.get(), &info, &size) == 0 && info.prog_id == attached.program_id)
            return link;
    }
    return {};
}

std::uint32_t link_id(const AttachedXdp& attached) {
    bpf_link_info info{};
    std::uint32_t size = sizeof info;
    return bpf_obj_get_info_by_fd(link_of(attached).get(), &info, &size) == 0 ? info.id : 0;
}

class DatapathTest : public DatapathFixture {
  protected:
    void SetUp() override {
        DatapathFixture::SetUp();
        if (!HasFatalFailure()) open({"lo", lab_->host_link});
    }

    void open(const std::vector<std::string>& interfaces) {
        open_datapath(options(),
                      {source("pass", "counting", "count_pass"), source("drop", "counting", "count_drop"),
                       source("broken", "out_of_bounds"), source("odd", "conflicting")},
                      interfaces);
    }

    DatapathOptions options() const override {
        DatapathOptions unanchored = DatapathFixture::options();
        unanchored.anchored = false;
        return unanchored;
    }

    std::optional<AttachedProgram> shown(const std::string& interface = "lab0") {
        const auto program = attached_program(::if_nametoindex(interface.c_str()));
        EXPECT_TRUE(program) << program.error().what;
        return program.value_or(std::nullopt);
    }

    static void run_attached(const Outcome& outcome, int times) {
        const Descriptor program(bpf_prog_get_fd_by_id(outcome.actual.xdp->program_id));
        run_program(program.get(), packet, times);
    }

    void set_peer_mtu(int bytes) {
        const auto entered = lab_->peer.enter();
        ASSERT_TRUE(entered);
        ASSERT_TRUE(lab::ip("link set " + lab_->peer_link + " mtu " + std::to_string(bytes)));
    }

    // That the program counted on lab0.
    std::uint64_t packets(const std::string& program) {
        const auto maps = datapath_->maps_named("verdict_counters");
        EXPECT_TRUE(maps && maps->size() == 2) << "one for each interface";
        const std::uint32_t key = program == "pass" ? 1 : 0;
        std::vector<std::array<std::uint64_t, 2>> counters(
            static_cast<std::size_t>(libbpf_num_possible_cpus()));
        EXPECT_EQ(bpf_map_lookup_elem(maps->back().descriptor.get(), &key, counters.data()), 0);
        std::uint64_t sum = 0;
        for (const auto& [count, bytes] : counters) sum += count;
        return sum;
    }

    MapValue entry(const std::string& map, const std::string& key) {
        const ActualState state = datapath_->read_back();
        const auto& entries = state.at("lab0").entries;
        const auto found = entries.find({map, key});
        return found == entries.end() ? MapValue{} : found->second;
    }
};

TEST_F(DatapathTest, AttachReplaceAndDetachAreWhatTheKernelShows) {
    const Outcome attached = apply({AttachXdp{"pass", {XdpMode::drv}}});
    ASSERT_TRUE(attached.ok) << attached.error;
    EXPECT_EQ(attached.id, TransactionId{7});
    EXPECT_EQ(attached.interface, "lab0");
    EXPECT_TRUE(attached.actual.present);
    EXPECT_TRUE(attached.actual.up);
    EXPECT_GT(attached.took_ns, 0);
    EXPECT_GT(attached.done_monotonic_ns, 0);
    ASSERT_TRUE(attached.actual.xdp);
    EXPECT_EQ(attached.actual.xdp->program, "pass");
    EXPECT_EQ(attached.actual.xdp->mode, XdpMode::drv);
    EXPECT_EQ(attached.actual.xdp->program_id, shown()->id);
    EXPECT_EQ(program_name(shown()->id), "count_pass");

    const Outcome replaced = apply({ReplaceXdp{"drop"}});
    ASSERT_TRUE(replaced.ok) << replaced.error;
    EXPECT_EQ(replaced.actual.xdp->program, "drop");
    EXPECT_EQ(shown()->mode, XdpMode::drv);
    EXPECT_EQ(program_name(shown()->id), "count_drop");

    const Outcome detached = apply({DetachXdp{}});
    ASSERT_TRUE(detached.ok) << detached.error;
    EXPECT_FALSE(detached.actual.xdp);
    EXPECT_FALSE(shown());
}

TEST_F(DatapathTest, WhatIsAttachedStaysWhenTheDatapathIsClosedAndTheNextOneGoesOnWithIt) {
    const Outcome attached =
        apply({SetMapEntry{{"limits", "udp"}, {{"pps", 5}}}, AttachXdp{"pass", {XdpMode::drv}}});
    ASSERT_TRUE(attached.ok) << attached.error;
    run_attached(attached, 3);
    datapath_.reset();
    ASSERT_TRUE(shown());
    EXPECT_EQ(shown()->id, attached.actual.xdp->program_id);

    open({"lo", "lab0"});
    const ActualInterface taken_up = datapath_->read_back().at("lab0");
    EXPECT_EQ(taken_up.xdp, attached.actual.xdp) << "it was not touched";
    EXPECT_EQ(taken_up.entries, attached.actual.entries);
    run_attached(apply({ReplaceXdp{"drop"}}), 1);
    run_attached(apply({ReplaceXdp{"pass"}}), 4);
    EXPECT_EQ(packets("drop"), 1u);
    EXPECT_EQ(packets("pass"), 7u) << "the counters went on";
    ASSERT_TRUE(apply({ClearMapEntry{{"limits", "udp"}}}).ok);
    EXPECT_EQ(entry("limits", "udp"), MapValue{});
}

TEST_F(DatapathTest, DetachingAllLeavesNoTrace) {
    ASSERT_TRUE(apply({AttachXdp{"pass", {XdpMode::drv}}}).ok);
    ASSERT_TRUE(apply({AttachXdp{"drop", {XdpMode::skb}}}, "lo").ok);
    const auto detached = datapath_->detach_all();
    EXPECT_TRUE(detached) << detached.error().what;
    EXPECT_FALSE(shown());
    EXPECT_FALSE(shown("lo"));
    EXPECT_FALSE(std::filesystem::exists(options().place.bpffs));
    EXPECT_FALSE(std::filesystem::exists(options().place.state));
}

TEST_F(DatapathTest, AReplacedProgramGoesOnWithTheCounters) {
    run_attached(apply({AttachXdp{"pass", {XdpMode::drv}}}), 3);
    run_attached(apply({ReplaceXdp{"drop"}}), 4);
    run_attached(apply({ReplaceXdp{"pass"}}), 5);
    EXPECT_EQ(packets("drop"), 4u);
    EXPECT_EQ(packets("pass"), 8u);
}

TEST_F(DatapathTest, ARejectedProgramIsToldInTheVerifiersWordsAndLeavesTheLiveOne) {
    ASSERT_TRUE(apply({AttachXdp{"pass", {XdpMode::drv}}}).ok);
    const auto before = shown();
    for (const Step& step : {Step{ReplaceXdp{"broken"}}, Step{SwitchXdpMode{"broken", {XdpMode::skb}}}}) {
        const Outcome outcome = apply({step});
        EXPECT_FALSE(outcome.ok);
        EXPECT_NE(outcome.error.find("invalid access to packet"), std::string::npos) << outcome.error;
        EXPECT_NE(outcome.error.find("data[25]"), std::string::npos) << "the source line: " << outcome.error;
        EXPECT_EQ(outcome.actual.xdp->program, "pass");
        EXPECT_EQ(shown()->id, before->id);
        EXPECT_EQ(shown()->mode, before->mode);
    }
    EXPECT_EQ(datapath_->rejected().count("broken"), 1u);
}

TEST_F(DatapathTest, APinThatCannotBeTakenAwayIsToldWithTheKernelsOwnNumber) {
    ASSERT_TRUE(apply({AttachXdp{"pass", {XdpMode::drv}}}).ok);
    ASSERT_EQ(KernelPort().unpin(pins().map("verdict_counters")), 0); // the pinned program has another one
    DatapathOptions stuck =
        options_with(KernelPort([](KernelCall call) { return call == KernelCall::unpin ? -EIO : 0; }));
    stuck.leaves_others = true;
    open_datapath(std::move(stuck), {source("pass", "counting", "count_pass")});
    ASSERT_TRUE(datapath_->rejected().contains("pass"));
    const std::string why = datapath_->rejected().at("pass").what;
    EXPECT_NE(why.find("Input/output error"), std::string::npos) << why;
    open({"lab0"});
}

TEST_F(DatapathTest, MapsOfOneNameWithTwoDefinitionsAreRefusedWithTheDifference) {
    ASSERT_EQ(datapath_->rejected().count("odd"), 1u);
    const std::string error = datapath_->rejected().find("odd")->second.what;
    EXPECT_NE(error.find("verdict_counters"), std::string::npos) << error;
    EXPECT_NE(error.find("value size 16 and 8"), std::string::npos) << error;
}

TEST_F(DatapathTest, EntriesAreWrittenByWordAndReadBackByField) {
    const Outcome outcome =
        apply({SetMapEntry{{"limits", "udp"}, {{"pps", 10'000}, {"slack", -5}}},
               SetMapEntry{{"limits", "6"}, {{"burst", 7}}}, SetMapEntry{{"switches", "1"}, {{"", 3}}},
               SetMapEntry{{"weights", "tcp"}, {{"", 9}}}});
    ASSERT_TRUE(outcome.ok) << outcome.error;
    EXPECT_EQ(outcome.actual.entries.size(), 4u);
    EXPECT_EQ(entry("limits", "udp"), (MapValue{{"pps", 10'000}, {"slack", -5}}));
    EXPECT_EQ(entry("limits", "6"), (MapValue{{"burst", 7}}));
    EXPECT_EQ(entry("switches", "1"), (MapValue{{"", 3}}));

    const auto weights = datapath_->maps_named("weights");
    const std::uint32_t tcp = 6;
    std::vector<std::uint64_t> on_each_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    ASSERT_EQ(bpf_map_lookup_elem(weights->back().descriptor.get(), &tcp, on_each_cpu.data()), 0);
    for (const std::uint64_t weight : on_each_cpu) EXPECT_EQ(weight, 9u);
    on_each_cpu.back() = 10; // somebody else writes to one CPU's value
    ASSERT_EQ(bpf_map_update_elem(weights->back().descriptor.get(), &tcp, on_each_cpu.data(), 0), 0);
    EXPECT_EQ(entry("weights", "tcp"), (MapValue{{"", 10}}));

    ASSERT_TRUE(apply({ClearMapEntry{{"limits", "udp"}}, ClearMapEntry{{"switches", "1"}}}).ok);
    const std::uint32_t udp = 17, one = 1;
    std::array<std::uint64_t, 2> value{};
    EXPECT_EQ(
        bpf_map_lookup_elem(datapath_->maps_named("limits")->back().descriptor.get(), &udp, value.data()),
        -ENOENT);
    EXPECT_EQ(
        bpf_map_lookup_elem(datapath_->maps_named("switches")->back().descriptor.get(), &one, value.data()),
        0);
    EXPECT_EQ(value[0], 0u) << "an array's entry is zeroed";
    EXPECT_EQ(entry("limits", "udp"), MapValue{}) << "and no longer owned";
}

TEST_F(DatapathTest, WrongEntriesAreRefusedWithWhatIsWrong) {
    const auto error = [&](const Step& step) { return apply({step}).error; };
    EXPECT_NE(error(SetMapEntry{{"limit", "udp"}, {}}).find("there are limits, switches"), std::string::npos);
    EXPECT_NE(error(SetMapEntry{{"limits", "udpp"}, {}}).find("'udpp' is no number"), std::string::npos);
    EXPECT_NE(error(SetMapEntry{{"weights", "udpp"}, {}}).find("did you mean 'udp'?"), std::string::npos);
    EXPECT_NE(error(SetMapEntry{{"limits", "1"}, {{"rate", 1}}}).find("no field 'rate'"), std::string::npos);
    EXPECT_NE(error(SetMapEntry{{"limits", "1"}, {{"pps", -1}}}).find("negative"), std::string::npos);
    EXPECT_NE(error(SetMapEntry{{"switches", "2"}, {{"", 1}}}).find("beyond the array's 2"),
              std::string::npos);
}

TEST_F(DatapathTest, AFailingStepTakesTheEarlierOnesBack) {
    ASSERT_TRUE(
        apply({SetMapEntry{{"limits", "udp"}, {{"pps", 1}, {"burst", 2}}}, AttachXdp{"pass", {XdpMode::drv}}})
            .ok);
    const auto before = shown();
    const Outcome outcome =
        apply({SetMapEntry{{"limits", "udp"}, {{"pps", 99}}}, SetMapEntry{{"limits", "tcp"}, {{"pps", 99}}},
               SetMapEntry{{"switches", "0"}, {{"", 1}}}, ClearMapEntry{{"limits", "udp"}},
               ReplaceXdp{"drop"}, SwitchXdpMode{"drop", {XdpMode::skb}}, ReplaceXdp{"broken"}});
    EXPECT_FALSE(outcome.ok);
    EXPECT_EQ(outcome.error.find("undoing failed"), std::string::npos) << outcome.error;
    EXPECT_EQ(outcome.actual.xdp->program, "pass");
    EXPECT_EQ(shown()->id, before->id);
    EXPECT_EQ(shown()->mode, XdpMode::drv);
    EXPECT_EQ(outcome.actual.entries,
              (std::map<MapEntry, MapValue>{{{"limits", "udp"}, {{"burst", 2}, {"pps", 1}}}}));
    const std::uint32_t tcp = 6, zero = 0;
    std::array<std::uint64_t, 2> value{};
    EXPECT_EQ(
        bpf_map_lookup_elem(datapath_->maps_named("limits")->back().descriptor.get(), &tcp, value.data()),
        -ENOENT);
    ASSERT_EQ(
        bpf_map_lookup_elem(datapath_->maps_named("switches")->back().descriptor.get(), &zero, value.data()),
        0);
    EXPECT_EQ(value[0], 0u);
}

TEST_F(DatapathTest, AFailureAfterADetachAttachesTheProgramAgain) {
    ASSERT_TRUE(apply({AttachXdp{"pass", {XdpMode::skb}}}).ok);
    const Outcome outcome = apply({DetachXdp{}, ReplaceXdp{"drop"}});
    EXPECT_FALSE(outcome.ok);
    ASSERT_TRUE(outcome.actual.xdp);
    EXPECT_EQ(outcome.actual.xdp->program, "pass");
    EXPECT_EQ(outcome.actual.xdp->mode, XdpMode::skb);
}

TEST_F(DatapathTest, AModeSwitchTellsItsGap) {
    ASSERT_TRUE(apply({AttachXdp{"pass", {XdpMode::drv}}}).ok);
    const Outcome outcome = apply({SwitchXdpMode{"drop", {XdpMode::skb}}});
    ASSERT_TRUE(outcome.ok) << outcome.error;
    EXPECT_EQ(shown()->mode, XdpMode::skb);
    EXPECT_EQ(outcome.actual.xdp->program, "drop");
    ASSERT_EQ(outcome.notes.size(), 1u);
    EXPECT_NE(outcome.notes[0].find(" ms while switching from drv to skb"), std::string::npos)
        << outcome.notes[0];
}

TEST_F(DatapathTest, TheGapOfAModeSwitchIsMeasuredAlsoWhereItFails) {
    const Outcome attached = apply({AttachXdp{"pass", {XdpMode::skb}}});
    ASSERT_TRUE(attached.ok) << attached.error;
    EXPECT_FALSE(attached.gap);
    set_peer_mtu(8901); // which no fact of the interface tells
    const Outcome failed = apply({SwitchXdpMode{"pass", {XdpMode::drv}}});
    EXPECT_FALSE(failed.ok);
    ASSERT_TRUE(failed.gap) << "until the old program was there again";
    EXPECT_GT(failed.gap->ns, 0);
    EXPECT_LE(failed.gap->ns, failed.took_ns);

    set_peer_mtu(1500);
    const Outcome switched = apply({SwitchXdpMode{"drop", {XdpMode::drv}}});
    ASSERT_TRUE(switched.gap);
    EXPECT_GT(switched.gap->ns, 0);
    EXPECT_LE(switched.gap->ns, switched.took_ns);
    EXPECT_FALSE(switched.gap->covered) << "there is no twin";
    EXPECT_NE(switched.notes.at(0).find(milliseconds_text(switched.gap->ns)), std::string::npos);
}

TEST_F(DatapathTest, ASwitchWhoseGapMayBeTooLongTouchesNothing) {
    const Outcome attached =
        apply({SetMapEntry{{"limits", "udp"}, {{"pps", 5}}}, AttachXdp{"pass", {XdpMode::drv}}});
    ASSERT_TRUE(attached.ok) << attached.error;
    const std::uint32_t link = link_id(*attached.actual.xdp);
    using namespace std::chrono_literals;
    for (const GapLimit& limit :
         {GapLimit{.max = 5ms, .expected_ns = {}}, GapLimit{.max = 5ms, .expected_ns = 6'000'000}}) {
        const Outcome refused = apply(
            {SetMapEntry{{"limits", "udp"}, {{"pps", 6}}}, SwitchXdpMode{"drop", {XdpMode::skb}, limit}});
        EXPECT_FALSE(refused.ok);
        EXPECT_NE(refused.error.find("uncovered (the program has no TC twin), and xdp.max_gap is 5ms"),
                  std::string::npos)
            << refused.error;
        EXPECT_FALSE(refused.gap);
        EXPECT_EQ(refused.actual, attached.actual);
        EXPECT_EQ(link_id(*refused.actual.xdp), link) << "it is the very same link";
    }
    EXPECT_TRUE(apply({SwitchXdpMode{"drop", {XdpMode::skb}, {.max = 5ms, .expected_ns = 4'000'000}}}).ok);
}

TEST_F(DatapathTest, AModeSwitchThatFailsLeavesTheOldProgramInItsMode) {
    ASSERT_TRUE(apply({AttachXdp{"pass", {XdpMode::skb}}}).ok);
    set_peer_mtu(8901);
    const Outcome outcome = apply({SwitchXdpMode{"drop", {XdpMode::drv}}});
    EXPECT_FALSE(outcome.ok);
    EXPECT_EQ(outcome.error.find("undoing failed"), std::string::npos) << outcome.error;
    EXPECT_EQ(outcome.actual.xdp->program, "pass");
    EXPECT_EQ(outcome.actual.xdp->mode, XdpMode::skb);
}

TEST_F(DatapathTest, AForeignProgramIsReportedAndLeftAlone) {
    auto other = LoadedPrograms::load({source("theirs", "counting", "count_drop")});
    ASSERT_TRUE(other) << other.error().what;
    const int index = static_cast<int>(::if_nametoindex("lab0"));
    ASSERT_EQ(bpf_xdp_attach(index, other->program("theirs")->descriptor, XDP_FLAGS_SKB_MODE, nullptr), 0);
    const auto before = shown();
    EXPECT_EQ(datapath_->read_back().at("lab0").xdp->program, "foreign:count_drop");
    for (const Step& step : {Step{AttachXdp{"pass", {XdpMode::drv, XdpMode::skb}}}, Step{ReplaceXdp{"pass"}},
                             Step{SwitchXdpMode{"pass", {XdpMode::drv}}}, Step{DetachXdp{}}}) {
        const Outcome outcome = apply({step});
        EXPECT_FALSE(outcome.ok) << to_text(step);
        EXPECT_NE(
            outcome.error.find("foreign program " + std::to_string(before->id) + " (count_drop) in mode skb"),
            std::string::npos)
            << outcome.error;
        EXPECT_EQ(shown()->id, before->id);
    }
}

TEST_F(DatapathTest, AProgramThatSomebodyPutIntoOurLinkIsNoLackOfPrivileges) {
    const Outcome attached = apply({AttachXdp{"pass", {XdpMode::drv}}});
    ASSERT_TRUE(attached.ok);
    auto other = LoadedPrograms::load({source("theirs", "counting", "count_drop")});
    const Descriptor link = link_of(*attached.actual.xdp);
    ASSERT_TRUE(link);
    ASSERT_EQ(bpf_link_update(link.get(), other->program("theirs")->descriptor, nullptr), 0);
    EXPECT_EQ(datapath_->read_back().at("lab0").xdp->program, "foreign:count_drop");
    const Outcome outcome = apply({ReplaceXdp{"drop"}});
    EXPECT_FALSE(outcome.ok);
    EXPECT_NE(outcome.error.find("somebody else changed it"), std::string::npos) << outcome.error;
    EXPECT_EQ(outcome.error.find("CAP_"), std::string::npos) << outcome.error;
}

TEST_F(DatapathTest, ALinkThatSomebodyDetachedCountsAsNotAttached) {
    const Outcome attached = apply({AttachXdp{"pass", {XdpMode::drv}}});
    ASSERT_TRUE(attached.ok);
    ASSERT_EQ(bpf_link_detach(link_of(*attached.actual.xdp).get()), 0);
    EXPECT_FALSE(datapath_->read_back().at("lab0").xdp);
    EXPECT_TRUE(apply({AttachXdp{"pass", {XdpMode::skb}}}).ok) << "drift can be repaired, in any mode";
}

TEST_F(DatapathTest, AnInterfaceThatGoesAndComesBackIsAttachedAnew) {
    ASSERT_TRUE(apply({AttachXdp{"pass", {XdpMode::drv}}}).ok);
    ASSERT_TRUE(lab::ip("link del lab0"));
    const ActualInterface gone = datapath_->read_back().at("lab0");
    EXPECT_FALSE(gone.present);
    EXPECT_FALSE(gone.xdp);
    const Outcome failed = apply({ReplaceXdp{"drop"}});
    EXPECT_FALSE(failed.ok);
    EXPECT_NE(failed.error.find("no such interface"), std::string::npos) << failed.error;

    ASSERT_TRUE(lab::ip("link add lab0 type veth peer name lab9"));
    const ActualInterface back = datapath_->read_back().at("lab0");
    EXPECT_TRUE(back.present);
    EXPECT_FALSE(back.up);
    EXPECT_FALSE(back.xdp);
    EXPECT_TRUE(apply({AttachXdp{"drop", {XdpMode::skb}}}).ok);
}

TEST_F(DatapathTest, ADeviceThatMovedAwayIsNotTakenForAnotherOfItsIndex) {
    ASSERT_TRUE(apply({AttachXdp{"pass", {XdpMode::drv}}}).ok);
    const unsigned index = ::if_nametoindex("lab0");
    auto elsewhere = lab::NetNamespace::create("hbdp-away" + std::to_string(::getpid()));
    ASSERT_TRUE(elsewhere);
    ASSERT_TRUE(lab::ip("link set lab0 netns " + elsewhere->name()));
    ASSERT_TRUE(lab::ip("link add lab0 index " + std::to_string(index) + " type veth peer name lab9"));
    auto other = LoadedPrograms::load({source("theirs", "counting", "count_pass")});
    ASSERT_TRUE(other);
    ASSERT_EQ(bpf_xdp_attach(static_cast<int>(index), other->program("theirs")->descriptor,
                             XDP_FLAGS_DRV_MODE, nullptr),
              0);
    const Outcome outcome = apply({ReplaceXdp{"drop"}});
    EXPECT_FALSE(outcome.ok);
    EXPECT_NE(outcome.error.find("foreign program"), std::string::npos) << outcome.error;
    ASSERT_EQ(bpf_xdp_detach(static_cast<int>(index), XDP_FLAGS_DRV_MODE, nullptr), 0);
    EXPECT_FALSE(datapath_->read_back().at("lab0").xdp);
    EXPECT_TRUE(apply({AttachXdp{"drop", {XdpMode::drv}}}).ok);
    EXPECT_EQ(program_name(shown()->id), "count_drop");
}

TEST_F(DatapathTest, ADeviceThatWentAndCameBackUnseenIsTakenUpAgain) {
    const Outcome attached = apply({AttachXdp{"pass", {XdpMode::drv}}});
    ASSERT_TRUE(attached.ok);
    // Linux before 6.2 renames only what is down.
    ASSERT_TRUE(lab::ip("link set lab0 down") && lab::ip("link set lab0 name away0"));
    ASSERT_TRUE(lab::ip("link set away0 name lab0"));
    EXPECT_EQ(datapath_->read_back().at("lab0").xdp, attached.actual.xdp);
    EXPECT_TRUE(apply({ReplaceXdp{"drop"}}).ok);
}

TEST_F(DatapathTest, WhatIsOursIsTakenOffADeviceThatLostTheManagedName) {
    ASSERT_TRUE(apply({AttachXdp{"pass", {XdpMode::drv}}}).ok);
    ASSERT_TRUE(lab::ip("link set lab0 down") && lab::ip("link set lab0 name away0"));
    EXPECT_FALSE(datapath_->read_back().at("lab0").present);
    EXPECT_FALSE(shown("away0"));
    ASSERT_TRUE(lab::ip("link set away0 name lab0"));
    EXPECT_TRUE(apply({AttachXdp{"drop", {XdpMode::drv}}}).ok);
}

TEST_F(DatapathTest, ADeviceThatLostItsNameWhileNobodyLookedIsFoundAtTheStart) {
    ASSERT_TRUE(apply({AttachXdp{"pass", {XdpMode::drv}}}).ok);
    datapath_.reset();
    ASSERT_TRUE(lab::ip("link set lab0 down") && lab::ip("link set lab0 name away0"));
    open({"lo", "lab0"});
    datapath_->read_back();
    EXPECT_FALSE(shown("away0"));
}

// The kernel is asked to attach by the index, which another device may have by then.
TEST_F(DatapathTest, ADeviceThatLosesItsNameWhileItIsAttachedKeepsNothing) {
    datapath_.reset();
    bool renamed = false;
    DatapathOptions with = options();
    with.kernel = KernelPort([&](KernelCall call) {
        if (call == KernelCall::create_link && !std::exchange(renamed, true)) {
            EXPECT_TRUE(lab::ip("link set lab0 down") && lab::ip("link set lab0 name away0"));
        }
        return 0;
    });
    auto opened = XdpDatapath::open(std::move(with), {source("pass", "counting", "count_pass")}, {"lab0"});
    ASSERT_TRUE(opened) << opened.error().what;
    datapath_ = std::move(*opened);
    const Outcome outcome = apply({AttachXdp{"pass", {XdpMode::drv}}});
    EXPECT_TRUE(renamed);
    EXPECT_FALSE(outcome.ok);
    EXPECT_NE(outcome.error.find("another device has its name"), std::string::npos) << outcome.error;
    EXPECT_FALSE(shown("away0"));
    datapath_.reset(); // with what its port refers to
}

TEST_F(DatapathTest, OurProgramThatSomebodyReplacedInOurLinkIsNotTakenForOurs) {
    const Outcome attached = apply({AttachXdp{"pass", {XdpMode::drv}}});
    ASSERT_TRUE(attached.ok);
    auto other = LoadedPrograms::load({source("theirs", "counting", "count_drop")});
    ASSERT_EQ(
        bpf_link_update(link_of(*attached.actual.xdp).get(), other->program("theirs")->descriptor, nullptr),
        0);
    const auto theirs = shown();
    for (const Step& step :
         {Step{ReplaceXdp{"pass"}}, Step{SwitchXdpMode{"pass", {XdpMode::skb}}}, Step{DetachXdp{}}}) {
        const Outcome outcome = apply({step});
        EXPECT_FALSE(outcome.ok) << to_text(step);
        EXPECT_NE(outcome.error.find("somebody else changed it"), std::string::npos) << outcome.error;
        EXPECT_EQ(shown()->id, theirs->id) << to_text(step);
    }
}

TEST_F(DatapathTest, AnInterfaceThatIsNotManagedIsAnError) {
    const Outcome outcome = apply({DetachXdp{}}, "lab7");
    EXPECT_FALSE(outcome.ok);
    EXPECT_EQ(outcome.error, "interface lab7 is not managed");
}

TEST_F(DatapathTest, MissingPrivilegesAreNamed) {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    const std::vector<ProgramSource> programs{source("pass", "counting", "count_pass")};
    const pid_t child = ::fork();
    if (child == 0) {
        __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
        std::array<__user_cap_data_struct, 2> none{};
        none[0].effective = none[0].permitted = 1U << CAP_NET_ADMIN;
        ::syscall(SYS_capset, &header, none.data());
        DatapathOptions apart = options();
        apart.place.name = "apart";
        const auto opened = XdpDatapath::open(apart, programs, {"lab0"});
        const std::string text = opened ? "it was opened" : opened.error().what;
        const bool written = ::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
        ::_exit(written ? 0 : 1);
    }
    ::close(ends[1]);
    std::string text(4096, '\0');
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::read(ends[0], text.data(), text.size()))));
    ::close(ends[0]);
    int status = -1;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_NE(text.find("missing CAP_BPF, CAP_PERFMON: run as root or grant them"), std::string::npos)
        << text;
}

} // namespace
} // namespace homeostat::bpf
