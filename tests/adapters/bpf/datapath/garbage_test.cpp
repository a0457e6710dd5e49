// What an instance that nobody runs has left behind.
#include "adapters/bpf/datapath/garbage.hpp"
#include "adapters/bpf/datapath/xdp_link.hpp"
#include "tests/adapters/bpf/datapath/datapath_fixture.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <gtest/gtest.h>

#include <filesystem>

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
        for (const Orphan& orphan : found.value_or(std::vector<Orphan>{}))
            if (orphan.what == "link") paths.push_back(orphan.path);
        return paths;
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

} // namespace
} // namespace homeostat::bpf
