// What an instance that nobody runs has left behind.
#include "adapters/bpf/datapath/garbage.hpp"
#include "adapters/bpf/datapath/survey.hpp"
#include "adapters/bpf/datapath/xdp_link.hpp"
#include "tests/adapters/bpf/datapath/datapath_fixture.hpp"
#include "tests/adapters/bpf/datapath/transaction_states.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

namespace homeostat::bpf {
namespace {

class GarbageTest : public DatapathFixture {
  protected:
    void SetUp() override {
        DatapathFixture::SetUp();
        if (!HasFatalFailure()) open_datapath(options(), programs_);
    }

    void TearDown() override {
        datapath_.reset();
        EXPECT_TRUE(detach_instance(place()));
        DatapathFixture::TearDown();
    }

    // As a switch leaves it that was cut short, and whose journal somebody removed: the second of two links.
    void leave_next_link(const std::string& device) {
        const auto loaded = LoadedPrograms::load(programs_);
        ASSERT_TRUE(loaded) << loaded.error().what;
        const Descriptor link(kernel_.create_link(loaded->program("drop")->descriptor,
                                                  ::if_nametoindex(device.c_str()), Hook::xdp_skb));
        ASSERT_TRUE(link);
        ASSERT_EQ(kernel_.pin(link.get(), pins().next_link()), 0);
    }

    static std::string shown(const std::string& device) {
        const auto program = attached_program(::if_nametoindex(device.c_str()));
        return program && *program ? program_name((*program)->id) : "nothing";
    }

    std::vector<std::string> links(bool remove) {
        const auto found = collect_garbage(place(), remove);
        EXPECT_TRUE(found) << found.error().what;
        std::vector<std::string> paths;
        for (const Orphan& orphan : found.value_or(Garbage{}).orphans)
            if (orphan.what == "link") paths.push_back(orphan.path);
        return paths;
    }

    // All that is pinned and written down, with what is in the files.
    std::map<std::string, std::string> all_that_is_there() const {
        std::map<std::string, std::string> all;
        for (const std::string& root : {place().bpffs, place().state})
            for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
                std::stringstream content;
                if (root == place().state) content << std::ifstream(entry.path()).rdbuf();
                all.emplace(entry.path(), content.str());
            }
        return all;
    }

    const KernelPort kernel_;
    const std::vector<ProgramSource> programs_{source("pass", "counting", "count_pass"),
                                               source("drop", "counting", "count_drop")};
};

TEST_F(GarbageTest, TheSecondLinkOfASwitchThatWasCutShortGoesAndTheFirstOneStays) {
    ASSERT_TRUE(apply({AttachXdp{"pass", {XdpMode::drv}}}).ok);
    datapath_.reset();
    leave_next_link("lo"); // in place of a network card, where both are on one interface
    ASSERT_EQ(shown("lo"), "count_drop");

    const std::vector<std::string> next{pins().next_link()};
    EXPECT_EQ(links(false), next);
    EXPECT_EQ(shown("lo"), "count_drop") << "it is only told";
    EXPECT_EQ(links(true), next);
    EXPECT_EQ(shown("lo"), "nothing") << "it is detached, not only forgotten";
    EXPECT_FALSE(std::filesystem::exists(pins().next_link()));
    EXPECT_EQ(shown("lab0"), "count_pass");
    EXPECT_TRUE(links(true).empty());
}

TEST_F(GarbageTest, WithNothingElseAttachedNoTraceOfTheInstanceStays) {
    datapath_.reset();
    leave_next_link("lab0");
    EXPECT_EQ(links(true), (std::vector<std::string>{pins().next_link()}));
    EXPECT_EQ(shown("lab0"), "nothing");
    EXPECT_FALSE(std::filesystem::exists(place().bpffs + "/" + place().name));
    EXPECT_FALSE(std::filesystem::exists(place().state + "/" + place().name));
}

// The only trace of it is what it pinned and wrote down.
TEST_F(GarbageTest, OfANetworkNamespaceThatIsGoneADryRunTellsAllThereIsAndTouchesNothing) {
    ASSERT_TRUE(apply({AttachXdp{"pass", {XdpMode::drv}}}).ok);
    datapath_.reset();
    ASSERT_TRUE(lab::ip("link del lab0"));
    auto other = lab::Lab::create("hbdp" + std::to_string(::getpid()) + "o");
    ASSERT_TRUE(other) << other.error().what;
    enter(other->host);
    const auto before = all_that_is_there();
    const auto told = collect_garbage(place(), false);
    ASSERT_TRUE(told) << told.error().what;
    EXPECT_EQ(all_that_is_there(), before);
    std::set<std::string> paths;
    for (const Orphan& orphan : told->orphans) {
        EXPECT_EQ(orphan.why, "the network namespace that it worked in is gone");
        paths.insert(orphan.path);
    }
    EXPECT_TRUE(paths.contains(pins().link()));
    EXPECT_TRUE(paths.contains(pins().map("verdict_counters")));
    EXPECT_EQ(paths.size(), told->orphans.size());
    std::size_t pinned = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(place().bpffs))
        pinned += entry.is_directory() ? 0 : 1;
    EXPECT_EQ(paths.size(), pinned);

    const auto removed = collect_garbage(place(), true);
    ASSERT_TRUE(removed) << removed.error().what;
    EXPECT_EQ(removed->orphans, told->orphans) << "it does what it told";
    EXPECT_FALSE(std::filesystem::exists(place().bpffs + "/" + place().name));
    EXPECT_FALSE(std::filesystem::exists(place().state + "/" + place().name));
    enter(lab_->host);
}

TEST_F(GarbageTest, ADryRunOfWhatIsAttachedWritesNothing) {
    ASSERT_TRUE(apply({AttachXdp{"pass", {XdpMode::drv}}}).ok);
    const auto owned = collect_garbage(place(), false);
    ASSERT_FALSE(owned) << "it is owned";
    EXPECT_NE(owned.error().what.find("owns this instance (process " + std::to_string(::getpid())),
              std::string::npos)
        << owned.error().what;
    datapath_.reset();
    std::ofstream(place().state + "/" + place().name + "/lock") << "4711"; // whose was the last one
    const auto before = all_that_is_there();
    const auto told = collect_garbage(place(), false);
    ASSERT_TRUE(told) << told.error().what;
    EXPECT_EQ(all_that_is_there(), before);
}

// The guard as TCX and as a filter of clsact.
class GuardGarbage : public GuardKindFixture {
  protected:
    void SetUp() override {
        GuardKindFixture::SetUp();
        if (HasFatalFailure() || IsSkipped()) return;
        open_datapath(options(), state_programs());
        ASSERT_TRUE(apply({AttachXdp{"first", {XdpMode::drv}}}).ok);
    }

    bool has_clsact() const {
        const int made = kernel_.make_clsact(index_);
        if (made == 0) kernel_.remove_clsact(index_);
        return made == -EEXIST;
    }

    bool has_guard() const {
        const auto guard = Guard::adopt(kernel_, pins(), index_);
        EXPECT_TRUE(guard) << guard.error().what;
        return guard && *guard;
    }

    const KernelPort kernel_;
};

TEST_P(GuardGarbage, AGuardThatGuardsNothingGoesWithItsQdiscAndOneThatIsNeededStays) {
    datapath_.reset();
    ASSERT_TRUE(collect_garbage(place(), true));
    EXPECT_TRUE(has_guard());
    open_datapath(options(), state_programs());
    ASSERT_TRUE(apply({DetachXdp{}}).ok);
    datapath_.reset();
    ASSERT_TRUE(has_guard());

    const auto told = collect_garbage(place(), false);
    ASSERT_TRUE(told) << told.error().what;
    std::set<std::string> kinds;
    for (const Orphan& orphan : told->orphans) kinds.insert(orphan.what);
    EXPECT_TRUE(kinds.contains("guard"));
    EXPECT_EQ(kinds.contains("qdisc"), GetParam() == Guard::Kind::clsact);
    EXPECT_TRUE(has_guard());
    const auto removed = collect_garbage(place(), true);
    ASSERT_TRUE(removed) << removed.error().what;
    EXPECT_EQ(removed->orphans, told->orphans);
    EXPECT_FALSE(has_clsact());
    std::vector<std::uint32_t> shown;
    kernel_.query_tcx(index_, Hook::tcx_ingress, shown);
    EXPECT_TRUE(shown.empty());
    EXPECT_FALSE(std::filesystem::exists(place().bpffs + "/" + place().name));
}

TEST_P(GuardGarbage, WhatIsTakenBackAndAGuardThatStaysArmedAreTold) {
    const ActualInterface attached = actual();
    datapath_.reset();
    {
        auto instance = Instance::open(place(), kernel_);
        ASSERT_TRUE(instance) << instance.error().what;
        const std::string version = version_of(state_programs()[0]).value();
        ASSERT_TRUE(instance->begin("lab0"));
        ASSERT_TRUE(instance->note(RestoreXdp{RestoreXdp::Held{version, XdpMode::drv}}));
    }
    const KernelPort hasty(
        [](KernelCall call) { return call == KernelCall::wait_for_programs ? -ENOMEM : 0; });
    const auto told = collect_garbage(place(), true, hasty);
    ASSERT_TRUE(told) << told.error().what;
    ASSERT_FALSE(told->orphans.empty());
    EXPECT_EQ(told->orphans.front().what, "change");
    EXPECT_NE(told->orphans.front().why.find("a change that was cut short was taken back, not wholly"),
              std::string::npos)
        << told->orphans.front().why;
    EXPECT_NE(told->orphans.front().why.find("the guard stays armed"), std::string::npos)
        << told->orphans.front().why;
    EXPECT_TRUE(has_guard());
    open_datapath(options(), state_programs());
    EXPECT_EQ(actual(), attached);
}

// A program goes on when its device gets another name.
class RenamedDevice : public GuardGarbage {
  protected:
    void SetUp() override {
        GuardGarbage::SetUp();
        if (HasFatalFailure() || IsSkipped()) return;
        open_datapath(options(), programs());
        ASSERT_TRUE(apply({AttachTc{TcDirection::ingress, "count_first"}}).ok);
        attached_ = xdp();
        ASSERT_NE(attached_, 0u);
        datapath_.reset();
        ASSERT_TRUE(lab::ip("link set lab0 down"));
        ASSERT_TRUE(lab::ip("link set lab0 name w0"));
    }

    static std::vector<ProgramSource> programs() {
        auto all = state_programs();
        all.push_back(source("count_first", "tc_count", "count_first"));
        return all;
    }

    std::uint32_t xdp() const {
        const auto program = attached_program(index_);
        return program && *program ? (*program)->id : 0;
    }

    // All that is at TC ingress.
    std::size_t at_tc() const {
        std::vector<std::uint32_t> shown;
        std::vector<Filter> filters;
        kernel_.query_tcx(index_, Hook::tcx_ingress, shown);
        kernel_.query_filters(index_, Hook::tcx_ingress, filters);
        return shown.size() + filters.size();
    }

    void expect_detached(const std::vector<std::string>& told) {
        ASSERT_EQ(told.size(), 2u);
        for (const std::string& line : told) {
            EXPECT_TRUE(line.starts_with("lab0: detached program ")) << line;
            EXPECT_TRUE(line.ends_with(" from w0, as its device is called now")) << line;
        }
        EXPECT_EQ(xdp(), 0u);
        EXPECT_EQ(at_tc(), 0u);
        EXPECT_FALSE(has_clsact());
        EXPECT_FALSE(std::filesystem::exists(place().bpffs + "/" + place().name));
    }

    std::uint32_t attached_ = 0;
};

TEST_P(RenamedDevice, IsNoGarbageAndIsTold) {
    const std::size_t before = at_tc();
    for (const bool remove : {false, true}) {
        const auto found = collect_garbage(place(), remove);
        ASSERT_TRUE(found) << found.error().what;
        EXPECT_EQ(found->notes, (std::vector<std::string>{"pinned for lab0, its device is w0 now"}));
        for (const Orphan& orphan : found->orphans)
            EXPECT_TRUE(orphan.what == "program" && orphan.why == "it is not attached") << orphan.path;
    }
    EXPECT_EQ(xdp(), attached_);
    EXPECT_EQ(at_tc(), before);
    const auto surveyed = survey_interfaces({"w0"}, place().bpffs, place().state);
    ASSERT_TRUE(surveyed) << surveyed.error().what;
    ASSERT_EQ(surveyed->front().programs.size(), 3u);
    for (const SurveyedProgram& program : surveyed->front().programs) {
        EXPECT_EQ(program.owner.kind, Owner::Kind::homeostat) << program.hook;
        EXPECT_EQ(program.owner.interface, "lab0") << program.hook;
    }
    EXPECT_NE(surveyed->front().programs.front().attached_unix_ms, 0);
    EXPECT_EQ(
        survey_interfaces({"lab0"}, place().bpffs, place().state).error().what,
        "there is no interface 'lab0' in this network namespace; instance test: pinned for lab0, its device "
        "is w0 now");
}

TEST_P(RenamedDevice, SaysWhatItHasToWhoAttachesToIt) {
    DatapathOptions one = options();
    one.leaves_others = true;
    open_datapath(std::move(one), programs(), {"w0"});
    for (const Step& step : {Step{AttachXdp{"first", {XdpMode::drv}}}, Step{ReplaceXdp{"first"}},
                             Step{SwitchXdpMode{"first", {XdpMode::skb}}}}) {
        const Outcome refused = apply({step}, "w0");
        EXPECT_FALSE(refused.ok);
        EXPECT_NE(
            refused.error.find("pinned by instance test for lab0, whose device is w0 now; 'homeostat detach "
                               "w0 --instance test' takes it off"),
            std::string::npos)
            << refused.error;
        EXPECT_EQ(refused.error.find("foreign"), std::string::npos) << refused.error;
    }
    EXPECT_EQ(xdp(), attached_);
    datapath_.reset();
    EXPECT_TRUE(detach_instance(place()));
}

TEST_P(RenamedDevice, IsDetachedByItsNewName) {
    const auto told = detach_interfaces(place(), {"w0"});
    ASSERT_TRUE(told) << told.error().what;
    expect_detached(*told);
}

TEST_P(RenamedDevice, IsDetachedByTheNameThatItHadAlsoWhereAnotherDeviceHasItNow) {
    ASSERT_TRUE(lab::ip("link add lab0 type veth peer name lab9"));
    const auto found = collect_garbage(place(), true);
    ASSERT_TRUE(found) << found.error().what;
    EXPECT_EQ(xdp(), attached_);
    const auto told = detach_interfaces(place(), {"lab0"});
    ASSERT_TRUE(told) << told.error().what;
    expect_detached(*told);
}

TEST_P(RenamedDevice, IsNoGarbageInAnotherNetworkNamespaceEither) {
    const auto elsewhere = lab::NetNamespace::create("hbdp-away" + std::to_string(::getpid()));
    ASSERT_TRUE(elsewhere) << elsewhere.error().what;
    ASSERT_TRUE(lab::ip("link set w0 netns " + elsewhere->name()));
    const auto found = collect_garbage(place(), true);
    ASSERT_TRUE(found) << found.error().what;
    EXPECT_TRUE(found->orphans.empty());
    EXPECT_EQ(found->notes,
              (std::vector<std::string>{"pinned for lab0, its device is in another network namespace now"}));
    const auto told = detach_interfaces(place(), {"lab0"});
    ASSERT_TRUE(told) << told.error().what;
    EXPECT_EQ(told->front(), "lab0: detached it from its device, which is in another network namespace");
}

const auto kind_name = [](const auto& info) {
    return std::string(info.param == Guard::Kind::tcx ? "Tcx" : "Clsact");
};
INSTANTIATE_TEST_SUITE_P(Kinds, GuardGarbage, testing::Values(Guard::Kind::tcx, Guard::Kind::clsact),
                         kind_name);
INSTANTIATE_TEST_SUITE_P(Kinds, RenamedDevice, testing::Values(Guard::Kind::tcx, Guard::Kind::clsact),
                         kind_name);

} // namespace
} // namespace homeostat::bpf
