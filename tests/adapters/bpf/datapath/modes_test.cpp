// Modes that an interface does not take: why, and what is done instead.
#include "adapters/bpf/datapath/attach_messages.hpp"
#include "adapters/bpf/datapath/outlook.hpp"
#include "tests/adapters/bpf/datapath/datapath_fixture.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <gtest/gtest.h>
#include <linux/if_link.h>
#include <net/if.h>

namespace homeostat::bpf {
namespace {

class ModesTest : public DatapathFixture {
  protected:
    void SetUp() override {
        DatapathFixture::SetUp();
        if (HasFatalFailure()) return;
        open_datapath(options(),
                      {source("pass", "counting", "count_pass"), source("drop", "counting", "count_drop")},
                      {"lo", "lab0"});
    }

    DatapathOptions options() const override {
        DatapathOptions unanchored = DatapathFixture::options();
        unanchored.anchored = false;
        return unanchored;
    }

    static std::optional<AttachedProgram> shown(const std::string& interface) {
        const auto program = attached_program(::if_nametoindex(interface.c_str()));
        EXPECT_TRUE(program) << program.error().what;
        return program.value_or(std::nullopt);
    }

    // Its number: another one was attached anew.
    std::uint32_t link_on_lo() const {
        const KernelPort kernel;
        const Descriptor link(kernel.open_pin(InterfacePins(place(), "lo").link()));
        bpf_link_info info{};
        EXPECT_EQ(kernel.link_info(link.get(), info), 0);
        return info.id;
    }

    void set_peer_mtu(int bytes) {
        const auto entered = lab_->peer.enter();
        ASSERT_TRUE(entered);
        ASSERT_TRUE(lab::ip("link set " + lab_->peer_link + " mtu " + std::to_string(bytes)));
    }
};

TEST_F(ModesTest, ALadderFallsWithTheReasonOfEachRung) {
    const Outcome alone = apply({AttachXdp{"pass", {XdpMode::drv}}}, "lo");
    EXPECT_FALSE(alone.ok);
    EXPECT_FALSE(shown("lo")) << "drv alone attaches nothing";

    const Outcome outcome = apply({AttachXdp{"pass", {XdpMode::hw, XdpMode::drv, XdpMode::skb}}}, "lo");
    ASSERT_TRUE(outcome.ok) << outcome.error;
    EXPECT_EQ(outcome.actual.xdp->mode, XdpMode::skb);
    ASSERT_EQ(outcome.notes.size(), 1u);
    EXPECT_NE(outcome.notes[0].find("fell to mode skb"), std::string::npos) << outcome.notes[0];
    EXPECT_NE(outcome.notes[0].find("in mode hw: "), std::string::npos) << outcome.notes[0];
    EXPECT_NE(outcome.notes[0].find("the driver has no native XDP"), std::string::npos) << outcome.notes[0];
}

TEST_F(ModesTest, AnMtuThatIsTooLargeForNativeModeIsNamed) {
    set_peer_mtu(8901);
    const Outcome outcome = apply({AttachXdp{"pass", {XdpMode::drv}}});
    EXPECT_FALSE(outcome.ok);
    EXPECT_NE(outcome.error.find("MTU is too large (1500, and that of the other end of the veth counts too)"),
              std::string::npos)
        << outcome.error;
    // Since Linux 6.6 in the kernel's own words, too.
    if (AttachMessages().listen()) {
        EXPECT_NE(outcome.error.find("the kernel says '"), std::string::npos) << outcome.error;
    }
}

TEST_F(ModesTest, ABridgeThatHasAProgramIsNamedAsWhatKeepsItsPortFromTakingOne) {
    ASSERT_TRUE(lab::ip("link add br0 type bridge"));
    ASSERT_TRUE(lab::ip("link set lab0 master br0"));
    const auto facts = link_facts(::if_nametoindex("lab0"));
    ASSERT_TRUE(facts);
    EXPECT_EQ(facts->master, "br0");
    EXPECT_EQ(facts->master_kind, "bridge");
    EXPECT_EQ(facts->kind, "veth");
    EXPECT_EQ(facts->driver, "veth");
    EXPECT_EQ(facts->mtu, 1500u);
    EXPECT_FALSE(facts->lro);
    if (facts->xdp_features) { // since Linux 6.3
        EXPECT_TRUE(*facts->xdp_features & xdp_basic);
        EXPECT_FALSE(*facts->xdp_features & xdp_hw_offload);
    }
    ASSERT_TRUE(apply({AttachXdp{"pass", {XdpMode::drv}}}).ok) << "being a port alone is no hindrance";
    ASSERT_TRUE(apply({DetachXdp{}}).ok);
    auto other = LoadedPrograms::load({source("theirs", "counting", "count_drop")});
    ASSERT_EQ(bpf_xdp_attach(static_cast<int>(::if_nametoindex("br0")), other->program("theirs")->descriptor,
                             XDP_FLAGS_SKB_MODE, nullptr),
              0);
    const Outcome outcome = apply({AttachXdp{"pass", {XdpMode::drv}}});
    EXPECT_FALSE(outcome.ok);
    EXPECT_NE(outcome.error.find("it is part of bridge br0, and program "), std::string::npos)
        << outcome.error;
    const auto now = link_facts(::if_nametoindex("lab0"));
    ASSERT_TRUE(now);
    for (const XdpMode mode : {XdpMode::drv, XdpMode::skb}) {
        const ModeOutlook known = outlook(*now, mode);
        EXPECT_EQ(known.answer, ModeOutlook::Answer::no) << "as it was refused: " << to_text(mode);
        EXPECT_NE(outcome.error.find(known.why), std::string::npos) << known.why;
    }
}

TEST_F(ModesTest, NothingIsDetachedForAModeThatCannotBeHadAndThePresentOneIsNoChange) {
    const Outcome attached = apply({AttachXdp{"pass", {XdpMode::skb}}}, "lo");
    ASSERT_TRUE(attached.ok) << attached.error;
    if (!link_facts(1)->xdp_features) GTEST_SKIP() << "needs a kernel that tells of XDP (Linux 6.3)";
    const std::uint32_t link = link_on_lo();
    const Outcome refused = apply({SwitchXdpMode{"pass", {XdpMode::drv}}}, "lo");
    EXPECT_FALSE(refused.ok);
    EXPECT_NE(refused.error.find("mode drv cannot be had: the driver has no native XDP"), std::string::npos)
        << refused.error;
    EXPECT_FALSE(refused.gap);
    EXPECT_EQ(link_on_lo(), link) << "it is the very same link";

    const Outcome stayed = apply({SwitchXdpMode{"pass", {XdpMode::drv, XdpMode::skb}}}, "lo");
    ASSERT_TRUE(stayed.ok) << stayed.error;
    EXPECT_FALSE(stayed.gap);
    EXPECT_EQ(link_on_lo(), link);
    ASSERT_EQ(stayed.notes.size(), 1u);
    EXPECT_TRUE(stayed.notes[0].starts_with("lo: stays in mode skb: mode drv cannot be had: "))
        << stayed.notes[0];

    const Outcome same = apply({SwitchXdpMode{"drop", {XdpMode::skb}}}, "lo");
    ASSERT_TRUE(same.ok) << same.error;
    EXPECT_FALSE(same.gap) << "the program is replaced";
    EXPECT_EQ(same.actual.xdp->program, "drop");
    EXPECT_EQ(link_on_lo(), link);
}

} // namespace
} // namespace homeostat::bpf
