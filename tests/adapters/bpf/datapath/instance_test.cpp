// What an instance writes down; and one that was used in another network namespace.
#include "adapters/lab/bpf_mount.hpp"
#include "adapters/lab/network.hpp"
#include "tests/adapters/bpf/datapath/options_at.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <gtest/gtest.h>
#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

namespace homeostat::bpf {
namespace {

class InstanceTest : public testing::Test {
  protected:
    void SetUp() override {
        auto mount = lab::BpfMount::create();
        ASSERT_TRUE(mount) << mount.error().what;
        mount_.emplace(std::move(*mount));
        state_ = mount_->path() + "-state";
    }
    void TearDown() override {
        std::error_code error;
        std::filesystem::remove_all(state_, error);
    }

    static std::string tag(const char* which) { return "hbin" + std::to_string(::getpid()) + which; }

    Result<std::unique_ptr<XdpDatapath>> open() const {
        return XdpDatapath::open(options_at(mount_->path(), state_),
                                 {source("pass", "counting", "count_pass")}, {"lab0"});
    }

    // As a controller that was stopped leaves it.
    void attach_in(const lab::NetNamespace& host) const {
        const auto entered = host.enter();
        ASSERT_TRUE(entered) << entered.error().what;
        auto datapath = open();
        ASSERT_TRUE(datapath) << datapath.error().what;
        const Outcome outcome =
            (*datapath)->apply({TransactionId{1}, "lab0", {AttachXdp{"pass", {XdpMode::drv}}}});
        ASSERT_TRUE(outcome.ok) << outcome.error;
    }

    std::optional<lab::BpfMount> mount_;
    std::string state_;
};

TEST_F(InstanceTest, IsRefusedWhileItsProgramsWorkInAnotherNamespaceAndTakenOverWhenThatIsGone) {
    auto here = lab::Lab::create(tag("a"));
    ASSERT_TRUE(here) << here.error().what;
    {
        auto there = lab::Lab::create(tag("b"));
        ASSERT_TRUE(there) << there.error().what;
        attach_in(there->host);
        const auto entered = here->host.enter();
        ASSERT_TRUE(entered) << entered.error().what;
        const auto refused = open();
        ASSERT_FALSE(refused);
        EXPECT_NE(refused.error().what.find("used in another network namespace"), std::string::npos)
            << refused.error().what;
        const auto untouched = attached_program(::if_nametoindex("lab0"));
        ASSERT_TRUE(untouched);
        EXPECT_FALSE(*untouched);
        // The kernel takes a namespace's devices away when it has time for it; this is at once.
        const auto entered_there = there->host.enter();
        ASSERT_TRUE(entered_there) << entered_there.error().what;
        ASSERT_TRUE(lab::ip("link del lab0"));
    }
    attach_in(here->host);
    const auto entered = here->host.enter();
    ASSERT_TRUE(entered) << entered.error().what;
    auto datapath = open();
    ASSERT_TRUE(datapath) << datapath.error().what;
    EXPECT_TRUE((*datapath)->detach_all());
}

// A state folder on a disk outlives the kernel whose programs it tells of; the BPF file system does not.
TEST_F(InstanceTest, AJournalOfAnEarlierBootIsToldAndDropped) {
    const InstancePlace place = options_at(mount_->path(), state_).place;
    const std::string path = state_ + "/" + place.name + "/journal";
    Journal journal{.boot_id = "an-earlier-boot",
                    .transaction = 5,
                    .interface = "lab0",
                    .undo = {RestoreXdp{RestoreXdp::Held{"gone@0123456789ab", XdpMode::skb}}}};
    const auto write = [&] {
        std::filesystem::create_directories(state_ + "/" + place.name);
        std::ofstream(path) << to_text(journal);
    };
    write();
    const std::string told = path + ": a change on lab0 was cut short before the machine was started anew; "
                                    "nothing of it is left to take back";
    const auto records = read_records(place);
    ASSERT_TRUE(records) << records.error().what;
    EXPECT_FALSE(records->journal);
    EXPECT_EQ(records->dropped, told);
    EXPECT_TRUE(std::filesystem::exists(path)) << "to read is not to drop";

    const auto detached = detach_interfaces(place, {"lab0"});
    ASSERT_TRUE(detached) << detached.error().what;
    EXPECT_EQ(detached->front(), told);
    EXPECT_FALSE(std::filesystem::exists(path));

    write();
    const KernelPort kernel;
    const auto instance = Instance::open(place, kernel);
    ASSERT_TRUE(instance) << instance.error().what;
    EXPECT_FALSE(instance->unfinished());
    EXPECT_EQ(instance->dropped(), told);
    EXPECT_FALSE(std::filesystem::exists(path));
    journal.boot_id = instance->manifest().boot_id;
    write();
    EXPECT_EQ(read_records(place)->journal, journal) << "one of this boot is to be taken back";
}

TEST_F(InstanceTest, AChangeThatIsUnfinishedStaysSoWhenAnotherInterfaceIsCommitted) {
    const InstancePlace place = options_at(mount_->path(), state_).place;
    const KernelPort kernel;
    const std::vector<Undo> undo{RestoreXdp{RestoreXdp::Held{"first@0123456789ab", XdpMode::drv}}};
    {
        auto instance = Instance::open(place, kernel);
        ASSERT_TRUE(instance) << instance.error().what;
        ASSERT_TRUE(instance->keep("lab0", undo));
        for (int i = 0; i < 2; ++i) ASSERT_TRUE(instance->commit("lab1", Manifest::Interface{}));
        ASSERT_TRUE(instance->unfinished());
    }
    auto instance = Instance::open(place, kernel);
    ASSERT_TRUE(instance) << instance.error().what;
    ASSERT_TRUE(instance->unfinished()) << "its journal was taken for one of before the commit";
    EXPECT_EQ(instance->unfinished()->interface, "lab0");
    EXPECT_EQ(instance->unfinished()->undo, undo);
    ASSERT_TRUE(instance->commit("lab0", Manifest::Interface{}));
    EXPECT_FALSE(instance->unfinished());
    EXPECT_FALSE(read_records(place)->journal);
}

Manifest a_manifest() {
    Manifest::Interface bare{.ifindex = 3, .attached_unix_ms = 0, .owned = {}, .tc_attached_unix_ms = {}};
    Manifest::Interface full{
        .ifindex = 4'294'967'295,
        .attached_unix_ms = 1'700'000'000'123,
        .owned = {{{"limits", "udp"}, {{"pps", -5}, {"burst", INT64_MAX}}}, {{"flags", "[\"a\"]"}, {}}},
        .tc_attached_unix_ms = {{TcDirection::ingress, 5}, {TcDirection::egress, 6}}};
    return {.boot_id = "a-boot",
            .netns_cookie = UINT64_MAX,
            .committed = 41,
            .interfaces = {{"lab0", bare}, {"eth0.100", full}}};
}

TEST(Manifest, IsReadAsItWasWritten) {
    for (const Manifest& manifest : {Manifest{}, a_manifest()}) {
        const auto read = read_manifest(to_text(manifest));
        ASSERT_TRUE(read) << read.error().what;
        EXPECT_EQ(*read, manifest) << to_text(manifest);
    }
}

TEST(Manifest, ThatIsDamagedOrOfAnotherVersionSaysSo) {
    std::string text = to_text(a_manifest());
    EXPECT_TRUE(read_manifest(text.substr(0, text.size() / 2)).error().what.starts_with("it is damaged: "));
    text.replace(text.find("\"version\":1"), 11, "\"version\":9");
    EXPECT_EQ(read_manifest(text).error().what, "it has version 9, and this program reads version 1");
}

Journal a_journal() {
    return {.boot_id = "a-boot",
            .transaction = 42,
            .interface = "eth0.100",
            .undo = {RestoreTc{TcDirection::egress, RestoreTc::Held{"count@0123", true}},
                     RestoreForeign{17, XdpMode::skb, false}, RestoreXdp{}}};
}

TEST(Journal, IsReadAsItWasWritten) {
    const auto read = read_journal(to_text(a_journal()));
    ASSERT_TRUE(read) << read.error().what;
    EXPECT_EQ(*read, a_journal());
}

TEST(Journal, WhereverItWasCutOffHasTheEntriesThatAreWhole) {
    const std::string text = to_text(a_journal());
    for (std::size_t size = 0; size <= text.size(); ++size) {
        const auto read = read_journal(std::string_view(text).substr(0, size));
        ASSERT_TRUE(read) << size << ": " << read.error().what;
        const auto lines = std::ranges::count(text.substr(0, size), '\n');
        EXPECT_EQ(read->undo.size(), static_cast<std::size_t>(std::max<std::ptrdiff_t>(lines - 1, 0)));
    }
}

} // namespace
} // namespace homeostat::bpf
