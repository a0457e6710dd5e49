// What other people do to what is ours while nobody looks: pins that are removed, a link that is given
// another program.
#include "adapters/bpf/datapath/datapath.hpp"
#include "adapters/bpf/datapath/xdp_link.hpp"
#include "tests/adapters/bpf/datapath/datapath_fixture.hpp"
#include "tests/adapters/bpf/datapath/transaction_states.hpp"

#include <bpf/bpf.h>
#include <gmock/gmock.h>
#include <sys/mount.h>

#include <filesystem>

namespace homeostat::bpf {
namespace {

using testing::HasSubstr;

class Drift : public GuardKindFixture {
  protected:
    void SetUp() override {
        GuardKindFixture::SetUp();
        if (HasFatalFailure() || IsSkipped()) return;
        open_datapath(options(), state_programs());
        const Outcome attached = apply({AttachXdp{"first", {XdpMode::drv}}});
        ASSERT_TRUE(attached.ok) << attached.error;
        ASSERT_TRUE(actual().pinned);
    }

    void remove_pins() {
        std::filesystem::remove_all(pins().folder());
        ASSERT_FALSE(actual().pinned);
    }

    std::uint32_t shown() const {
        const auto program = attached_program(index_);
        return program && *program ? (*program)->id : 0;
    }

    // Puts another program into our link, as its owner could.
    std::uint32_t put_theirs_into_our_link() {
        const bpf_insn pass[] = {
            {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = XDP_PASS},
            {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
        LIBBPF_OPTS(bpf_prog_load_opts, options);
        options.expected_attach_type = BPF_XDP;
        const Descriptor theirs(
            bpf_prog_load(BPF_PROG_TYPE_XDP, "theirs", "GPL", pass, std::size(pass), &options));
        const Descriptor link(KernelPort().open_pin(pins().link()));
        EXPECT_EQ(KernelPort().update_link(link.get(), theirs.get(), -1), 0);
        return shown();
    }
};

TEST_P(Drift, PinsThatSomebodyRemovedAreMadeAnewAndWhatIsAttachedOutlivesTheController) {
    const std::uint32_t program = shown();
    remove_pins();
    const Outcome pinned = apply({PinAgain{}});
    ASSERT_TRUE(pinned.ok) << pinned.error;
    EXPECT_TRUE(pinned.actual.pinned);
    EXPECT_THAT(pinned.notes, testing::ElementsAre(HasSubstr("somebody had removed pins")));
    datapath_.reset();
    EXPECT_EQ(shown(), program);
    open_datapath(options(), state_programs());
    EXPECT_EQ(actual().xdp->program, "first");
    EXPECT_EQ(shown(), program);
}

TEST_P(Drift, ASwitchMakesLostPinsAnewBeforeItTouchesAnything) {
    remove_pins();
    const Outcome switched = apply({SwitchXdpMode{"first", {XdpMode::skb}}});
    ASSERT_TRUE(switched.ok) << switched.error;
    EXPECT_EQ(switched.actual.xdp->mode, XdpMode::skb);
    EXPECT_TRUE(switched.actual.pinned);
    datapath_.reset();
    EXPECT_NE(shown(), 0u);
}

TEST_P(Drift, WhereNothingCanBePinnedAnyMoreASwitchIsRefusedAndNothingIsTouched) {
    const std::uint32_t program = shown();
    const std::string path = mount_->path();
    ASSERT_EQ(::umount2(path.c_str(), MNT_DETACH), 0);
    const Outcome switched = apply({SwitchXdpMode{"first", {XdpMode::skb}}});
    EXPECT_FALSE(switched.ok);
    EXPECT_THAT(switched.error, HasSubstr("nothing was changed: no BPF file system is mounted for"));
    EXPECT_EQ(shown(), program);
    EXPECT_FALSE(switched.actual.pinned);
    ASSERT_EQ(::mount("bpf", path.c_str(), "bpf", 0, nullptr), 0);
    const Outcome again = apply({PinAgain{}, SwitchXdpMode{"first", {XdpMode::skb}}});
    EXPECT_TRUE(again.ok) << again.error;
}

TEST_P(Drift, AProgramThatSomebodyPutIntoOurLinkIsLeftAloneHoweverOftenWeTryAndAfterARestart) {
    const std::uint32_t theirs = put_theirs_into_our_link();
    for (int process = 0; process < 2; ++process) {
        EXPECT_EQ(actual().xdp->program, std::string(foreign_prefix) + "theirs");
        for (int i = 0; i < 2; ++i)
            for (const Step& step : {Step{ReplaceXdp{"second"}},
                                     Step{SwitchXdpMode{"second", {XdpMode::skb}}}, Step{DetachXdp{}}}) {
                const Outcome outcome = apply({step});
                EXPECT_FALSE(outcome.ok) << to_text(step);
                EXPECT_THAT(outcome.error, HasSubstr("somebody else changed it")) << to_text(step);
                EXPECT_EQ(shown(), theirs) << to_text(step);
            }
        open_datapath(options(), state_programs());
    }
    const Outcome replaced = apply({ReplaceForeignXdp{"second", {XdpMode::drv}}});
    ASSERT_TRUE(replaced.ok) << replaced.error;
    EXPECT_EQ(replaced.actual.xdp->program, "second");
}

INSTANTIATE_TEST_SUITE_P(Of, Drift, testing::Values(Guard::Kind::tcx, Guard::Kind::clsact),
                         [](const auto& kind) { return kind.param == Guard::Kind::tcx ? "Tcx" : "Clsact"; });

} // namespace
} // namespace homeostat::bpf
