// Programs that somebody else attached, and that are to be replaced.
#include "adapters/bpf/datapath/foreign.hpp"
#include "adapters/bpf/datapath/link_facts.hpp"
#include "tests/adapters/bpf/datapath/datapath_fixture.hpp"
#include "tests/adapters/bpf/datapath/transaction_states.hpp"

#include <gtest/gtest.h>
#include <linux/if_link.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>

namespace homeostat::bpf {
namespace {

class ForeignTest : public DatapathFixture {
  protected:
    void SetUp() override {
        DatapathFixture::SetUp();
        if (!HasFatalFailure()) open();
    }

    // "first" and "second" have twins, "plain" has none.
    void open(KernelPort kernel = KernelPort()) {
        auto programs = state_programs();
        programs.push_back(source("plain", "twins", "first"));
        open_datapath(options_with(std::move(kernel)), programs);
    }

    std::uint32_t shown() const {
        const auto program = attached_program(index_);
        return program && *program ? (*program)->id : 0;
    }

    // Returns the program's number.
    std::uint32_t attach_by_ip() {
        const auto attached =
            lab::ip("link set dev lab0 xdpgeneric obj " + object_path("with_twin") + " sec xdp");
        EXPECT_TRUE(attached) << attached.error().what;
        return shown();
    }

    static Descriptor load_theirs(const char* name = "theirs") {
        const bpf_insn pass[] = {
            {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = XDP_PASS},
            {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
        LIBBPF_OPTS(bpf_prog_load_opts, options);
        options.expected_attach_type = BPF_XDP;
        return Descriptor(bpf_prog_load(BPF_PROG_TYPE_XDP, name, "GPL", pass, std::size(pass), &options));
    }

    bool is_foreign_pinned() const {
        const std::vector<std::string> names = files_in(pins().programs());
        return std::ranges::any_of(
            names, [](const std::string& pin) { return version_of_pin(pin).starts_with("foreign@"); });
    }
};

TEST_F(ForeignTest, AProgramOfIpLinkIsReplacedUnderTheGuard) {
    const std::uint32_t theirs = attach_by_ip();
    ASSERT_NE(theirs, 0u);
    const Outcome outcome = apply({ReplaceForeignXdp{"second", {XdpMode::drv}}});
    ASSERT_TRUE(outcome.ok) << outcome.error;
    EXPECT_EQ(outcome.actual.xdp->program, "second");
    EXPECT_EQ(outcome.actual.xdp->mode, XdpMode::drv);
    EXPECT_EQ(outcome.actual.xdp->program_id, shown());
    ASSERT_TRUE(outcome.gap);
    EXPECT_GT(outcome.gap->ns, 0);
    EXPECT_TRUE(outcome.gap->covered);
    ASSERT_EQ(outcome.notes.size(), 1u);
    EXPECT_NE(outcome.notes[0].find("replaced foreign program " + std::to_string(theirs)), std::string::npos)
        << outcome.notes[0];
    EXPECT_NE(outcome.notes[0].find("attached over netlink"), std::string::npos) << outcome.notes[0];
    EXPECT_FALSE(is_foreign_pinned());
}

TEST_F(ForeignTest, AnotherProcesssLinkIsDetachedByItsNumber) {
    const Descriptor program = load_theirs();
    const KernelPort kernel;
    const Descriptor link(kernel.create_link(program.get(), index_, Hook::xdp_drv));
    ASSERT_TRUE(link);
    const Outcome outcome = apply({ReplaceForeignXdp{"second", {XdpMode::skb}}});
    ASSERT_TRUE(outcome.ok) << outcome.error;
    EXPECT_EQ(outcome.actual.xdp->program, "second");
    EXPECT_NE(outcome.notes.at(0).find("attached by link "), std::string::npos) << outcome.notes[0];
    bpf_link_info info{};
    ASSERT_EQ(kernel.link_info(link.get(), info), 0);
    EXPECT_EQ(info.xdp.ifindex, 0u) << "it is dead";
}

TEST_F(ForeignTest, AProgramThatSomebodyPutIntoOurLinkIsReplacedToo) {
    ASSERT_TRUE(apply({AttachXdp{"first", {XdpMode::drv}}}).ok);
    const Descriptor program = load_theirs();
    const Descriptor link(bpf_obj_get(pins().link().c_str()));
    ASSERT_EQ(bpf_link_update(link.get(), program.get(), nullptr), 0);
    ASSERT_EQ(datapath_->read_back().at("lab0").xdp->program, "foreign:theirs");
    const Outcome outcome = apply({ReplaceForeignXdp{"second", {XdpMode::drv}}});
    ASSERT_TRUE(outcome.ok) << outcome.error;
    EXPECT_EQ(outcome.actual.xdp->program, "second");
}

TEST_F(ForeignTest, WhereOursCannotBeAttachedTheOneOfIpLinkIsThereAgain) {
    const std::uint32_t theirs = attach_by_ip();
    const Outcome outcome = apply({ReplaceForeignXdp{"second", {XdpMode::hw}}});
    EXPECT_FALSE(outcome.ok);
    EXPECT_EQ(outcome.error.find("undoing failed"), std::string::npos) << outcome.error;
    EXPECT_EQ(shown(), theirs);
    ASSERT_TRUE(outcome.gap) << "it was gone for a while";
    EXPECT_FALSE(is_foreign_pinned());
}

TEST_F(ForeignTest, WhereOursCannotBeAttachedALinkIsGoneAndThatIsTold) {
    const Descriptor program = load_theirs();
    const Descriptor link(KernelPort().create_link(program.get(), index_, Hook::xdp_drv));
    const Outcome outcome = apply({ReplaceForeignXdp{"second", {XdpMode::hw}}});
    EXPECT_FALSE(outcome.ok);
    EXPECT_NE(outcome.error.find("was attached by a bpf_link, which nobody can make again but its owner"),
              std::string::npos)
        << outcome.error;
    EXPECT_EQ(shown(), 0u);
}

TEST_F(ForeignTest, AGapThatMayBeTooLongIsNotMade) {
    const std::uint32_t theirs = attach_by_ip();
    const GapLimit limit{.max = Duration{1}, .expected_ns = {}};
    const Outcome outcome = apply({ReplaceForeignXdp{"plain", {XdpMode::skb}, limit}});
    EXPECT_FALSE(outcome.ok);
    EXPECT_NE(outcome.error.find("xdp.max_gap is 1ms"), std::string::npos) << outcome.error;
    EXPECT_FALSE(outcome.gap);
    EXPECT_EQ(shown(), theirs);
}

TEST_F(ForeignTest, IsLeftWhereNoneOfTheModesCanBeHad) {
    open_datapath(options(), state_programs(), {"lo"});
    if (!link_facts(1)->xdp_features) GTEST_SKIP() << "needs a kernel that tells of XDP (Linux 6.3)";
    const Descriptor program = load_theirs();
    const KernelPort kernel;
    const Descriptor link(kernel.create_link(program.get(), 1, Hook::xdp_skb));
    ASSERT_TRUE(link);
    const Outcome outcome = apply({ReplaceForeignXdp{"second", {XdpMode::drv}}}, "lo");
    EXPECT_FALSE(outcome.ok);
    EXPECT_NE(outcome.error.find("mode drv cannot be had: "), std::string::npos) << outcome.error;
    EXPECT_FALSE(outcome.gap);
    bpf_link_info info{};
    ASSERT_EQ(kernel.link_info(link.get(), info), 0);
    EXPECT_EQ(info.xdp.ifindex, 1u) << "nobody can make it again but its owner";
}

TEST_F(ForeignTest, ThatHasGoneByItselfLeavesOursToBeAttached) {
    const Outcome outcome = apply({ReplaceForeignXdp{"first", {XdpMode::drv}}});
    ASSERT_TRUE(outcome.ok) << outcome.error;
    EXPECT_EQ(outcome.actual.xdp->program, "first");
    EXPECT_FALSE(apply({ReplaceForeignXdp{"second", {XdpMode::drv}}}).ok) << "ours is not foreign";
}

TEST_F(ForeignTest, TheDispatcherOfLibxdpIsToldAsSuch) {
    const Descriptor program = load_theirs("xdp_dispatcher");
    ASSERT_EQ(bpf_xdp_attach(static_cast<int>(index_), program.get(), XDP_FLAGS_SKB_MODE, nullptr), 0);
    const Outcome outcome = apply({AttachXdp{"first", {XdpMode::drv}}});
    EXPECT_FALSE(outcome.ok);
    EXPECT_NE(outcome.error.find("(xdp_dispatcher, the dispatcher of libxdp) in mode skb is attached"),
              std::string::npos)
        << outcome.error;
    EXPECT_NE(outcome.error.find("on_foreign = \"replace\""), std::string::npos) << outcome.error;
    EXPECT_TRUE(apply({ReplaceForeignXdp{"first", {XdpMode::drv}}}).ok);
}

TEST_F(ForeignTest, WhicheverCallFailsTheirsOrOursIsAttached) {
    const Descriptor program = load_theirs();
    const auto turn = std::make_shared<std::pair<int, int>>(); // of this call; of the one that fails
    open(KernelPort([turn](KernelCall) { return ++turn->first == turn->second ? -ENOMEM : 0; }));
    int failed = 0;
    int calls = 1;
    for (int failing = 1; failing <= calls; ++failing) {
        SCOPED_TRACE("call " + std::to_string(failing));
        ASSERT_EQ(bpf_xdp_attach(static_cast<int>(index_), program.get(), XDP_FLAGS_SKB_MODE, nullptr), 0);
        const std::uint32_t theirs = shown();
        *turn = {0, failing};
        const Outcome outcome = apply({ReplaceForeignXdp{"second", {XdpMode::drv}}});
        calls = std::max(calls, turn->first);
        *turn = {0, 0};
        EXPECT_EQ(outcome.ok, shown() != theirs) << outcome.error;
        EXPECT_NE(shown(), 0u) << outcome.error;
        EXPECT_EQ(outcome.error.find("undoing failed"), std::string::npos) << outcome.error;
        failed += outcome.ok ? 0 : 1;
        if (outcome.ok) {
            ASSERT_TRUE(apply({DetachXdp{}}).ok);
        } else {
            ASSERT_EQ(bpf_xdp_detach(static_cast<int>(index_), XDP_FLAGS_SKB_MODE, nullptr), 0);
        }
    }
    EXPECT_GT(failed, 10);
}

TEST_F(ForeignTest, IsAttachedAgainByTheNextProcessWhereThisOneIsKilledInBetween) {
    const std::uint32_t theirs = attach_by_ip();
    datapath_.reset();
    const pid_t child = ::fork();
    if (child == 0) {
        const auto detached = std::make_shared<bool>(false);
        open(KernelPort([detached](KernelCall call) {
            if (call == KernelCall::detach_xdp) *detached = true;
            if (call == KernelCall::create_link && *detached) ::_exit(42);
            return 0;
        }));
        apply({ReplaceForeignXdp{"second", {XdpMode::drv}}});
        ::_exit(1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(WEXITSTATUS(status), 42);
    ASSERT_EQ(shown(), 0u) << "the gap is open";
    open();
    EXPECT_EQ(shown(), theirs);
    EXPECT_FALSE(is_foreign_pinned());
    EXPECT_EQ(datapath_->notes().at(0), "lab0: a change that was cut short was taken back");
}

} // namespace
} // namespace homeostat::bpf
