// TC programs at both sides of an interface, and the guard, at TCX and as filters of a clsact qdisc, beside
// what others have there.
#include "adapters/bpf/datapath/recovery.hpp"
#include "adapters/bpf/datapath/survey.hpp"
#include "adapters/lab/traffic.hpp"
#include "tests/adapters/bpf/datapath/datapath_fixture.hpp"
#include "tests/adapters/bpf/datapath/transaction_states.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace homeostat::bpf {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr TcDirection into = TcDirection::ingress;
constexpr TcDirection out = TcDirection::egress;

// Hands everything on.
Descriptor load_theirs(const char* name = "theirs") {
    const bpf_insn next[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = -1},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    return Descriptor(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, name, "GPL", next, std::size(next), nullptr));
}

class TcTest : public GuardKindFixture {
  protected:
    void SetUp() override {
        GuardKindFixture::SetUp();
        if (!HasFatalFailure() && !IsSkipped()) open();
    }

    void open(const std::vector<std::string>& interfaces = {"lab0"}) { open(interfaces, options()); }

    void open(const std::vector<std::string>& interfaces, DatapathOptions options) {
        auto programs = state_programs();
        for (const char* name : {"count_first", "count_second", "count_third", "drop"})
            programs.push_back(source(name, "tc_count", name));
        programs.push_back(source("drop_udp", "twins", "first_tc"));
        open_datapath(std::move(options), programs, interfaces);
    }

    // What a row of tc_count's map says.
    std::uint64_t seen(std::uint32_t row) {
        const auto maps = datapath_->maps_named("seen");
        std::uint64_t packets = 0;
        EXPECT_TRUE(maps && maps->size() == 1);
        EXPECT_EQ(bpf_map_lookup_elem(maps->front().descriptor.get(), &row, &packets), 0);
        return packets;
    }

    // Echo requests that the host answers: so many packets in each direction. Returns how many came back.
    std::uint64_t ping(std::uint64_t count) {
        auto probe =
            lab::probe_icmp(lab_->peer, {.messages_per_second = 1'000, .bounds = {.packets = count}});
        EXPECT_TRUE(probe) << probe.error().what;
        return probe->wait().received;
    }

    // The names of the programs at that side, in the order in which they run: at TCX, then at clsact.
    std::vector<std::string> there(TcDirection direction) {
        std::vector<std::uint32_t> programs;
        kernel_.query_tcx(index_, hook_of(direction), programs);
        std::vector<std::string> names;
        for (const std::uint32_t id : programs) names.push_back(program_name(id));
        for (const Filter& filter : filters(direction))
            if (filter.handle != 0)
                names.push_back(filter.kind == "bpf" ? program_name(filter.program_id) : filter.kind);
        return names;
    }

    std::vector<Filter> filters(TcDirection direction) {
        std::vector<Filter> filters;
        EXPECT_EQ(kernel_.query_filters(index_, hook_of(direction), filters), 0);
        return filters;
    }

    // Asks by trying to make one.
    bool has_clsact() {
        const int made = kernel_.make_clsact(index_);
        if (made == 0) kernel_.remove_clsact(index_);
        return made == -EEXIST;
    }

    // Of somebody else, a filter of that preference.
    void add_foreign_filter(TcDirection direction, std::uint32_t preference) {
        const int made = kernel_.make_clsact(index_);
        ASSERT_TRUE(made == 0 || made == -EEXIST);
        const Descriptor program = load_theirs();
        ASSERT_EQ(kernel_.add_filter(index_, hook_of(direction), {.priority = preference, .handle = 5},
                                     program.get()),
                  0);
    }

    const KernelPort kernel_;
};

TEST_P(TcTest, ProgramsOfBothSidesSeeThePacketsAreReplacedAndDetached) {
    const Outcome attached = apply({AttachTc{into, "count_first"}, AttachTc{out, "count_second"}});
    ASSERT_TRUE(attached.ok) << attached.error;
    EXPECT_EQ(attached.actual.tc.at(into).program, "count_first");
    EXPECT_EQ(attached.actual.tc.at(out).program, "count_second");
    EXPECT_THAT(there(into), ElementsAre("count_first"));
    EXPECT_THAT(there(out), ElementsAre("count_second"));
    EXPECT_EQ(ping(20), 20u);
    EXPECT_EQ(seen(0), 20u);
    EXPECT_EQ(seen(1), 20u);

    const Outcome replaced = apply({ReplaceTc{into, "count_third"}});
    ASSERT_TRUE(replaced.ok) << replaced.error;
    EXPECT_THAT(there(into), ElementsAre("count_third"));
    EXPECT_EQ(ping(10), 10u);
    EXPECT_EQ(seen(0), 20u) << "it is gone";
    EXPECT_EQ(seen(2), 10u);
    EXPECT_EQ(seen(1), 30u);

    ASSERT_TRUE(apply({ReplaceTc{out, "drop"}}).ok);
    EXPECT_EQ(ping(5), 0u) << "no answer leaves";
    EXPECT_EQ(seen(3), 5u);

    const Outcome detached = apply({DetachTc{into}, DetachTc{out}});
    ASSERT_TRUE(detached.ok) << detached.error;
    EXPECT_THAT(detached.actual.tc, IsEmpty());
    EXPECT_THAT(there(into), IsEmpty());
    EXPECT_THAT(there(out), IsEmpty());
    EXPECT_EQ(ping(5), 5u);
}

TEST_P(TcTest, AReplacementLetsNoPacketPassBetween) {
    ASSERT_TRUE(apply({AttachTc{into, "drop"}}).ok);
    auto receiver = lab::receive_udp(lab_->host, 9);
    ASSERT_TRUE(receiver) << receiver.error().what;
    auto flood = lab::flood_udp(lab_->peer, {.packets_per_second = 20'000});
    ASSERT_TRUE(flood) << flood.error().what;
    for (int i = 0; i < 100; ++i) {
        const Outcome outcome = apply({ReplaceTc{into, i % 2 == 0 ? "drop_udp" : "drop"}});
        ASSERT_TRUE(outcome.ok) << outcome.error;
    }
    const auto sent = flood->stop();
    EXPECT_GT(sent.sent, 0u);
    EXPECT_EQ(receiver->stop().received, 0u) << "of " << sent.sent;
}

TEST_P(TcTest, TheIngressProgramStandsBehindTheGuardWhicheverCameFirst) {
    ASSERT_TRUE(apply({AttachTc{into, "count_first"}}).ok);
    ASSERT_TRUE(apply({AttachXdp{"first", {XdpMode::drv}}}).ok);
    EXPECT_THAT(there(into), ElementsAre("tc_pass", "count_first"));
    ASSERT_TRUE(apply({DetachTc{into}, AttachTc{out, "count_first"}}).ok);
    ASSERT_TRUE(apply({AttachTc{into, "count_second"}}).ok);
    EXPECT_THAT(there(into), ElementsAre("tc_pass", "count_second"));

    const Outcome switched = apply({SwitchXdpMode{"first", {XdpMode::skb}, {.max = Duration{0}}}});
    ASSERT_TRUE(switched.ok) << switched.error;
    EXPECT_TRUE(switched.gap && switched.gap->covered);
    EXPECT_THAT(there(out), ElementsAre("count_first"));
}

TEST_P(TcTest, WhatOthersHaveThereSurvivesAndAQdiscThatIsNotEmptyIsLeft) {
    add_foreign_filter(into, 10);
    add_foreign_filter(out, 1);
    const Descriptor theirs = load_theirs("at_tcx");
    std::vector<std::uint32_t> programs;
    const bool has_tcx = kernel_.query_tcx(index_, Hook::tcx_ingress, programs) == 0;
    const Descriptor link(has_tcx ? kernel_.create_link(theirs.get(), index_, Hook::tcx_ingress) : -1);

    ASSERT_TRUE(apply({AttachXdp{"first", {XdpMode::drv}}, AttachTc{into, "count_first"},
                       AttachTc{out, "count_second"}})
                    .ok);
    ASSERT_TRUE(apply({ReplaceTc{into, "count_second"}}).ok);
    EXPECT_EQ(ping(3), 3u);
    EXPECT_GE(seen(1), 3u);
    ASSERT_TRUE(datapath_->detach_all());
    datapath_.reset();
    std::vector<std::string> at_ingress{"theirs"};
    if (has_tcx) at_ingress.insert(at_ingress.begin(), "at_tcx");
    EXPECT_EQ(there(into), at_ingress);
    EXPECT_THAT(there(out), ElementsAre("theirs"));
    EXPECT_FALSE(fs::exists(place().bpffs));
    open();
}

TEST_P(TcTest, AQdiscThatWasMadeForUsGoesWithUsAndOneThatWasThereStays) {
    ASSERT_FALSE(has_clsact());
    ASSERT_TRUE(apply({AttachTc{out, "count_first"}}).ok);
    EXPECT_EQ(has_clsact(), GetParam() == Guard::Kind::clsact);
    open(); // another process
    ASSERT_TRUE(datapath_->detach_all());
    EXPECT_FALSE(has_clsact());

    ASSERT_EQ(kernel_.make_clsact(index_), 0); // somebody's, and empty
    open();
    ASSERT_TRUE(apply({AttachTc{out, "count_first"}}).ok);
    ASSERT_TRUE(datapath_->detach_all());
    EXPECT_TRUE(has_clsact());
    open();
}

TEST_P(TcTest, AQdiscOfOursOnWhichOthersHaveAFilterMeanwhileIsTheirs) {
    ASSERT_TRUE(apply({AttachTc{into, "count_first"}}).ok);
    add_foreign_filter(out, 7);
    ASSERT_TRUE(datapath_->detach_all());
    EXPECT_TRUE(has_clsact());
    EXPECT_THAT(there(out), ElementsAre("theirs"));
    EXPECT_THAT(there(into), IsEmpty());
    open();
}

TEST_P(TcTest, TheNextProcessGoesOnWithWhatIsAttachedAndDetachesWhatIsNoLongerManaged) {
    const Outcome attached = apply({AttachTc{into, "count_first"}, AttachTc{out, "drop"}});
    ASSERT_TRUE(attached.ok) << attached.error;
    open();
    EXPECT_EQ(actual().tc, attached.actual.tc) << "untouched: the same programs by their numbers";
    EXPECT_THAT(datapath_->notes(), testing::Contains(HasSubstr("at TC ingress, which was attached")));
    ASSERT_TRUE(apply({ReplaceTc{into, "count_second"}}).ok);

    open({"lo"});
    EXPECT_THAT(there(into), IsEmpty());
    EXPECT_THAT(there(out), IsEmpty());
    EXPECT_FALSE(fs::exists(pins().folder()));
    open();
}

TEST_P(TcTest, DetachTellsWhatItTookAwayAndASecondTimeThereIsNothing) {
    ASSERT_TRUE(apply({AttachTc{into, "count_first"}, AttachTc{out, "drop"}}).ok);
    datapath_.reset();
    const auto told = detach_instance(place());
    ASSERT_TRUE(told) << told.error().what;
    EXPECT_THAT(*told, ElementsAre(HasSubstr("lab0: detached program count_first@"),
                                   HasSubstr("lab0: detached program drop@")));
    EXPECT_THAT(told->front(), HasSubstr("TC ingress)"));
    EXPECT_THAT(there(out), IsEmpty());
    EXPECT_THAT(detach_instance(place()).value_or(std::vector<std::string>{"it failed"}), IsEmpty());
    EXPECT_FALSE(has_clsact());
}

TEST_P(TcTest, WhatSomebodyDetachedIsSeenAndAttachedAgain) {
    ASSERT_TRUE(apply({AttachTc{into, "count_first"}}).ok);
    if (GetParam() == Guard::Kind::tcx) {
        const Descriptor link(bpf_obj_get(pins().tc_link(into).c_str()));
        ASSERT_EQ(kernel_.detach_link(link.get()), 0);
    } else {
        ASSERT_EQ(kernel_.remove_filter(index_, Hook::tcx_ingress, filters(into).back()), 0);
    }
    EXPECT_THAT(actual().tc, IsEmpty());
    const Outcome again = apply({AttachTc{into, "count_first"}});
    ASSERT_TRUE(again.ok) << again.error;
    EXPECT_THAT(there(into), ElementsAre("count_first"));
}

TEST_P(TcTest, AProgramThatSomebodyPutInOurPlaceIsSeenAndLeftAlone) {
    ASSERT_TRUE(apply({AttachTc{into, "count_first"}}).ok);
    const Descriptor theirs = load_theirs();
    if (GetParam() == Guard::Kind::tcx) {
        const Descriptor link(bpf_obj_get(pins().tc_link(into).c_str()));
        ASSERT_EQ(kernel_.update_link(link.get(), theirs.get(), -1), 0);
    } else {
        const auto ours = filters(into).back();
        ASSERT_EQ(kernel_.add_filter(index_, Hook::tcx_ingress, ours, theirs.get()), 0);
    }
    EXPECT_EQ(actual().tc.at(into).program, "foreign:theirs");
    for (const Step& step : std::vector<Step>{ReplaceTc{into, "count_second"}, DetachTc{into}}) {
        const Outcome refused = apply({step});
        EXPECT_FALSE(refused.ok);
        EXPECT_THAT(refused.error, HasSubstr("(theirs) in our place, which we did not put there"));
        EXPECT_THAT(refused.error, testing::Not(HasSubstr("CAP_")));
        EXPECT_THAT(there(into), ElementsAre("theirs"));
    }
    open(); // also by a process that did not put ours there
    EXPECT_EQ(actual().tc.at(into).program, "foreign:theirs");
    EXPECT_THAT(apply({ReplaceTc{into, "count_second"}}).error, HasSubstr("(theirs) in our place"));
    EXPECT_THAT(there(into), ElementsAre("theirs"));
}

TEST_P(TcTest, WhatNobodyCanMeanIsRefusedAndNothingIsTouched) {
    const auto refused = [&](Step step, const std::string& why) {
        const Outcome outcome = apply({std::move(step)});
        EXPECT_FALSE(outcome.ok);
        EXPECT_THAT(outcome.error, HasSubstr(why));
        EXPECT_THAT(there(into), IsEmpty());
        EXPECT_FALSE(outcome.actual.xdp);
    };
    refused(AttachTc{into, "first"}, "program first is an XDP program, and TC is asked for");
    refused(AttachXdp{"count_first", {XdpMode::drv}},
            "program count_first is a TC program, and XDP is asked for");
    refused(AttachTc{into, "nobody"}, "no program 'nobody' is declared");
    refused(ReplaceTc{into, "count_first"}, "nothing of ours is attached at TC ingress");
    refused(DetachTc{out}, "nothing of ours is attached at TC egress");
    ASSERT_TRUE(apply({AttachTc{out, "count_first"}}).ok);
    const Outcome twice = apply({AttachTc{out, "count_second"}});
    EXPECT_THAT(twice.error, HasSubstr("is already attached; replace it"));
    EXPECT_THAT(there(out), ElementsAre("count_first"));
}

TEST_P(TcTest, AStepThatFailsTakesTheOnesBeforeItBack) {
    ASSERT_TRUE(apply({AttachTc{into, "count_first"}}).ok);
    const Outcome failed =
        apply({ReplaceTc{into, "count_second"}, AttachTc{out, "drop"}, AttachTc{out, "drop"}});
    EXPECT_FALSE(failed.ok);
    EXPECT_THAT(there(into), ElementsAre("count_first"));
    EXPECT_THAT(there(out), IsEmpty());
    EXPECT_EQ(actual().tc.at(into).program, "count_first");
}

TEST_P(TcTest, ADeviceThatIsRenamedIsRidOfThemAndTheOneThatHasTheNameGetsThem) {
    ASSERT_TRUE(
        apply({AttachXdp{"first", {XdpMode::drv}}, AttachTc{into, "count_first"}, AttachTc{out, "drop"}}).ok);
    ASSERT_TRUE(lab::ip("link set lab0 down"));
    ASSERT_TRUE(lab::ip("link set lab0 name other"));
    ASSERT_TRUE(lab::ip("link add lab0 type veth peer name lab9"));
    EXPECT_THAT(actual().tc, IsEmpty());
    EXPECT_THAT(there(into), IsEmpty()) << "of the device that is called other now";
    EXPECT_THAT(there(out), IsEmpty());
    EXPECT_FALSE(has_clsact());
    index_ = ::if_nametoindex("lab0");
    const Outcome outcome = apply({AttachTc{into, "count_first"}});
    ASSERT_TRUE(outcome.ok) << outcome.error;
    EXPECT_THAT(there(into), ElementsAre("count_first"));
}

TEST_P(TcTest, AGuardThatCannotBeAskedForIsNotTakenForOneThatIsNotThere) {
    ASSERT_TRUE(apply({AttachXdp{"first", {XdpMode::drv}}}).ok);
    const Descriptor twin(
        bpf_obj_get(pins().program(twin_of(version_of(state_programs()[0]).value())).c_str()));
    ASSERT_TRUE(twin);
    auto guard = Guard::adopt(kernel_, pins(), index_);
    ASSERT_TRUE(guard && *guard);
    ASSERT_TRUE((*guard)->arm(twin.get()));
    for (const KernelCall call : {KernelCall::find_filter, KernelCall::link_info, KernelCall::query_tcx}) {
        const bool is_asked = (call == KernelCall::find_filter) == (GetParam() == Guard::Kind::clsact);
        const KernelPort deaf([call](KernelCall asked) { return asked == call ? -ENOBUFS : 0; });
        if (!is_asked) continue;
        EXPECT_THAT(disarm_guard(deaf, pins(), "lab0"), HasSubstr("ask for the guard: ")) << to_text(call);
        EXPECT_THAT(there(into), ElementsAre("first_tc")) << to_text(call);
    }
    EXPECT_EQ(disarm_guard(kernel_, pins(), "lab0"), "");
    EXPECT_THAT(there(into), ElementsAre("tc_pass"));
}

TEST_P(TcTest, WhicheverQuestionFailsDetachSucceedsOnlyWhereNothingIsLeft) {
    bool is_reached = true;
    for (int n = 1; is_reached; ++n) {
        ASSERT_TRUE(apply({AttachXdp{"first", {XdpMode::drv}}}).ok);
        datapath_.reset();
        is_reached = false;
        int asked = 0;
        const KernelPort deaf([&](KernelCall call) {
            const bool is_question = call == KernelCall::find_filter || call == KernelCall::query_tcx ||
                                     call == KernelCall::query_filters || call == KernelCall::link_info;
            if (!is_question || ++asked != n) return 0;
            is_reached = true;
            return -ENOBUFS;
        });
        const auto detached = detach_instance(place(), deaf);
        if (!detached) {
            EXPECT_TRUE(fs::exists(pins().folder())) << n << ": what is left is not known any more";
            const auto again = detach_instance(place());
            ASSERT_TRUE(again) << again.error().what;
        }
        EXPECT_THAT(there(into), IsEmpty()) << n;
        EXPECT_FALSE(has_clsact()) << n;
        open();
    }
}

// A guard and a link of a device that is gone are in the place of the new ones.
TEST_P(TcTest, APinThatCannotBeTakenAwayIsToldWithTheKernelsOwnNumberAndNothingStaysAttached) {
    if (GetParam() == Guard::Kind::clsact) GTEST_SKIP() << "has no pins of links";
    ASSERT_TRUE(apply({AttachXdp{"first", {XdpMode::drv}}, AttachTc{into, "count_first"}}).ok);
    datapath_.reset();
    ASSERT_TRUE(lab::ip("link del lab0"));
    ASSERT_TRUE(lab::ip("link add lab0 type veth peer name lab9"));
    index_ = ::if_nametoindex("lab0");
    const KernelPort stuck([](KernelCall call) { return call == KernelCall::unpin ? -EIO : 0; });
    const auto guard = Guard::open(stuck, pins(), index_);
    ASSERT_FALSE(guard);
    EXPECT_EQ(guard.error().number, EIO) << guard.error().what;
    const Descriptor theirs = load_theirs();
    const auto link = TcLink::attach(
        stuck, pins(), {theirs.get(), "x"},
        {.interface = "lab0", .ifindex = index_, .direction = into, .guard = nullptr, .kind = {}});
    ASSERT_FALSE(link);
    EXPECT_EQ(link.error().number, EIO) << link.error().what;
    EXPECT_THAT(there(into), IsEmpty());
    open();
}

TEST_P(TcTest, StatusShowsProgramsAndGuardsWithTheirOwnersAndOthersBesideThem) {
    add_foreign_filter(out, 10);
    ASSERT_TRUE(apply({AttachXdp{"first", {XdpMode::drv}}, AttachTc{into, "count_first"},
                       AttachTc{out, "count_second"}})
                    .ok);
    const auto surveyed = survey_interfaces({"lab0"}, place().bpffs, place().state);
    ASSERT_TRUE(surveyed) << surveyed.error().what;
    std::vector<std::string> told;
    for (const SurveyedProgram& program : surveyed->front().programs) {
        const bool is_ours = program.owner.kind == Owner::Kind::homeostat;
        told.push_back(
            program.hook + ": " + program.name + (is_ours ? ", ours" : ", netlink's") +
            (program.version.empty() ? "" : ", " + program.version.substr(0, program.version.find('@'))) +
            (program.attached_unix_ms != 0 ? ", since" : ""));
        if (is_ours) {
            EXPECT_EQ(program.owner.instance, "test");
        }
    }
    const std::string at = GetParam() == Guard::Kind::tcx ? "tcx" : "clsact";
    EXPECT_THAT(told, ElementsAre("xdp drv: first, ours, first, since", at + " ingress: tc_pass, ours",
                                  at + " ingress: count_first, ours, count_first, since",
                                  at + " egress: count_second, ours, count_second, since",
                                  "clsact egress: theirs, netlink's"));
}

const auto kind_name = [](const auto& info) {
    return std::string(info.param == Guard::Kind::tcx ? "Tcx" : "Clsact");
};
INSTANTIATE_TEST_SUITE_P(Kinds, TcTest, testing::Values(Guard::Kind::tcx, Guard::Kind::clsact), kind_name);

// The guard as it is before Linux 6.6.
class ClsactGuard : public TcTest {
  protected:
    Outcome switch_to(XdpMode mode) {
        return apply({SwitchXdpMode{"first", {mode}, {.max = Duration{0}, .expected_ns = {}}}});
    }
};

TEST_P(ClsactGuard, IsAFilterOfTheFirstPreferenceThatIsArmedAndDisarmedAndCoversTheSwitch) {
    ASSERT_TRUE(apply({AttachXdp{"first", {XdpMode::drv}}}).ok);
    EXPECT_THAT(there(into), ElementsAre("tc_pass"));
    EXPECT_EQ(filters(into).back().priority, 1u);
    auto guard = Guard::adopt(kernel_, pins(), index_);
    ASSERT_TRUE(guard && *guard);
    EXPECT_EQ((*guard)->kind(), Guard::Kind::clsact);
    const Descriptor twin(
        bpf_obj_get(pins().program(twin_of(version_of(state_programs()[0]).value())).c_str()));
    ASSERT_TRUE(twin);
    ASSERT_TRUE((*guard)->arm(twin.get()));
    EXPECT_THAT(there(into), ElementsAre("first_tc"));
    ASSERT_TRUE((*guard)->disarm());
    EXPECT_THAT(there(into), ElementsAre("tc_pass"));

    auto receiver = lab::receive_udp(lab_->host, 9);
    ASSERT_TRUE(receiver) << receiver.error().what;
    auto flood = lab::flood_udp(lab_->peer, {.packets_per_second = 20'000});
    ASSERT_TRUE(flood) << flood.error().what;
    for (int i = 0; i < 20; ++i) {
        const Outcome outcome = switch_to(i % 2 == 0 ? XdpMode::skb : XdpMode::drv);
        ASSERT_TRUE(outcome.ok) << outcome.error;
        EXPECT_TRUE(outcome.gap && outcome.gap->covered);
        actual(); // has it stand down
        EXPECT_THAT(there(into), ElementsAre("tc_pass"));
    }
    const auto sent = flood->stop();
    EXPECT_GT(sent.sent, 0u);
    EXPECT_EQ(receiver->stop().received, 0u) << "of " << sent.sent;
}

TEST_P(ClsactGuard, AndTcProgramsAreFiltersByThemselvesWhereTheKernelHasNoTcx) {
    DatapathOptions options = options_at(mount_->path(), state_);
    const auto has_no_tcx = std::make_shared<bool>(false);
    options.kernel = KernelPort([has_no_tcx](KernelCall call) {
        return call == KernelCall::create_link && *has_no_tcx ? -EINVAL : 0; // as before Linux 6.6
    });
    open({"lab0"}, std::move(options));
    *has_no_tcx = true;
    const Outcome attached = apply({AttachTc{into, "count_first"}, AttachTc{out, "count_second"}});
    ASSERT_TRUE(attached.ok) << attached.error;
    EXPECT_THAT(filters(into).back().priority, 2u);
    EXPECT_THAT(there(out), ElementsAre("count_second"));
    *has_no_tcx = false;
    ASSERT_TRUE(apply({ReplaceTc{out, "count_third"}}).ok);
    EXPECT_THAT(there(out), ElementsAre("count_third"));
}

TEST_P(ClsactGuard, SurvivesItsProcessAndIsTakenUpArmedOrNot) {
    ASSERT_TRUE(apply({AttachXdp{"first", {XdpMode::drv}}}).ok);
    ASSERT_TRUE(switch_to(XdpMode::skb).ok);
    datapath_.reset();
    EXPECT_THAT(there(into), ElementsAre("tc_pass"));
    open();
    EXPECT_TRUE(switch_to(XdpMode::drv).gap->covered);
    EXPECT_EQ(filters(into).size(), 2u) << "the classifier and its one filter";
}

TEST_P(ClsactGuard, WhomSomebodyElseStandsBeforeSaysThatTheSwitchIsUncovered) {
    ASSERT_TRUE(apply({AttachXdp{"first", {XdpMode::drv}}}).ok);
    add_foreign_filter(into, 1); // of BPF, too: they share the preference, and the later one comes first
    ASSERT_THAT(there(into), ElementsAre("theirs", "tc_pass"));
    const Outcome refused = switch_to(XdpMode::skb);
    EXPECT_FALSE(refused.ok);
    EXPECT_THAT(refused.error, HasSubstr("foreign filter of preference 1 (program "));
    EXPECT_THAT(refused.error, HasSubstr(", theirs) sees packets before the guard"));
    EXPECT_EQ(refused.actual.xdp->mode, XdpMode::drv);
    actual();
    EXPECT_THAT(there(into), ElementsAre("theirs", "tc_pass"));
}

TEST_P(ClsactGuard, WhosePreferenceAnotherClassifierHasSaysThatTheSwitchIsUncovered) {
    ASSERT_EQ(kernel_.make_clsact(index_), 0);
    if (std::system("tc filter add dev lab0 ingress pref 1 protocol ip u32 match u32 0 0 flowid 1:1") != 0)
        GTEST_SKIP() << "needs tc, and the kernel's classifier u32";
    ASSERT_TRUE(apply({AttachXdp{"first", {XdpMode::drv}}}).ok);
    const Outcome refused = switch_to(XdpMode::skb);
    EXPECT_FALSE(refused.ok);
    EXPECT_THAT(refused.error, HasSubstr("foreign filter of preference 1 (u32) is in its place"));
    ASSERT_TRUE(datapath_->detach_all());
    EXPECT_THAT(there(into), testing::Contains("u32"));
    open();
}

INSTANTIATE_TEST_SUITE_P(Kinds, ClsactGuard, testing::Values(Guard::Kind::clsact), kind_name);

} // namespace
} // namespace homeostat::bpf
