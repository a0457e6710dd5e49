// Transactions that are cut short: a call to the kernel fails, or the process is killed before it. Whatever
// happens, the interface is in the state from before or in the one that was wanted, never between, and what
// the programs drop does not get through.
#include "adapters/lab/traffic.hpp"
#include "tests/adapters/bpf/datapath/datapath_fixture.hpp"
#include "tests/adapters/bpf/datapath/transaction_states.hpp"
#include "tests/long_run.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <map>
#include <random>
#include <thread>

namespace homeostat::bpf {
namespace {

namespace fs = std::filesystem;

constexpr std::uint16_t discard = 9;

// What a kernel, or a full or foreign file system, may say to each kind of call.
std::vector<int> plausible_errors(KernelCall call) {
    switch (call) {
    case KernelCall::create_link:
        return {-EBUSY, -EINVAL, -ENOMEM, -EPERM};
    case KernelCall::update_link:
        return {-EPERM, -ENOLINK, -ENOMEM};
    case KernelCall::detach_link:
        return {-EINVAL, -ENOLINK};
    case KernelCall::pin:
        return {-EEXIST, -ENOSPC, -EPERM};
    case KernelCall::unpin:
    case KernelCall::open_pin:
        return {-EPERM, -EACCES};
    case KernelCall::query_xdp:
    case KernelCall::query_tcx:
        return {-ENODEV, -ENOBUFS, -EINTR};
    case KernelCall::make_clsact:
    case KernelCall::remove_clsact:
    case KernelCall::add_filter:
    case KernelCall::remove_filter:
    case KernelCall::find_filter:
    case KernelCall::query_filters:
        return {-EPERM, -ENOMEM, -ENOBUFS, -EBUSY};
    case KernelCall::write_entry:
        return {-E2BIG, -ENOMEM};
    case KernelCall::read_entry:
    case KernelCall::delete_entry:
        return {-EBADF, -EPERM};
    case KernelCall::write_file:
    case KernelCall::append_file:
    case KernelCall::remove_file:
        return {-ENOSPC, -EROFS, -EACCES};
    default:
        return {-ENOMEM, -EPERM};
    }
}

class TransactionTest : public GuardKindFixture {
  protected:
    // Afterwards lab0 is in state 0, or in that in which it was left.
    void open(KernelPort kernel = KernelPort()) {
        open_datapath(options_with(std::move(kernel)), state_programs());
    }

    void attach_first() {
        std::vector<Step> steps;
        for (const auto& [entry, value] : states()[0].entries) steps.emplace_back(SetMapEntry{entry, value});
        steps.emplace_back(AttachXdp{*states()[0].program, states()[0].ladder});
        const Outcome outcome = apply(std::move(steps));
        ASSERT_TRUE(outcome.ok) << outcome.error;
    }

    // Whether the guard lets packets through again, and only what is needed is pinned and written down.
    void expect_clean() {
        EXPECT_FALSE(fs::exists(state_ + "/test/journal"));
        datapath_->read_back(); // has the guard stand down
        EXPECT_EQ(in_guard(), "tc_pass");
        std::size_t programs = 0;
        for (const auto& pin : fs::directory_iterator(pins().programs())) programs += pin.exists() ? 1 : 0;
        EXPECT_EQ(programs, 6u) << "two programs, their twins, and two of TC";
        EXPECT_FALSE(fs::exists(pins().tc_link(TcDirection::ingress)) && GetParam() == Guard::Kind::clsact);
    }

    // The name of the program in the guard, which comes first at TC.
    std::string in_guard() const {
        const KernelPort kernel;
        const auto guard = Guard::adopt(kernel, pins(), index_);
        if (!guard || !*guard) return "no guard";
        if ((*guard)->kind() == Guard::Kind::clsact) {
            std::vector<Filter> filters;
            EXPECT_EQ(kernel.query_filters(index_, Hook::tcx_ingress, filters), 0);
            const auto first = std::ranges::find_if(filters, [](const Filter& f) { return f.handle != 0; });
            EXPECT_TRUE(first != filters.end() && first->priority == 1);
            return first == filters.end() ? "nothing" : program_name(first->program_id);
        }
        std::vector<std::uint32_t> at_tcx;
        EXPECT_EQ(kernel.query_tcx(index_, Hook::tcx_ingress, at_tcx), 0);
        return at_tcx.empty() ? "nothing" : program_name(at_tcx[0]);
    }
};

// Fails the call of the given turn, once.
struct Fault {
    int countdown = 0; // to the call that fails; 0: none
    int error = 0;
    std::map<int, KernelCall> seen; // by turn
    int turn = 0;

    int operator()(KernelCall call) {
        seen[++turn] = call;
        if (countdown == 0) return 0;
        --countdown;
        return countdown == 0 ? error : 0;
    }
};

TEST_P(TransactionTest, WhicheverCallFailsTheStateIsTheOldOneOrTheNewOne) {
    const auto fault = std::make_shared<Fault>();
    open(KernelPort([fault](KernelCall call) { return (*fault)(call); }));
    attach_first();
    int failed = 0, went_on = 0, calls_around = 0;
    for (std::size_t from = 0; from < states().size(); ++from) {
        const std::size_t to = (from + 1) % states().size();
        *fault = Fault{};
        ASSERT_TRUE(apply(steps_between(from, to)).ok);
        const auto calls = fault->seen;
        calls_around += static_cast<int>(calls.size());
        *fault = Fault{};
        ASSERT_TRUE(apply(steps_between(to, from)).ok);
        for (const auto& [turn, call] : calls)
            for (const int error : plausible_errors(call)) {
                SCOPED_TRACE("from " + std::to_string(from) + ", call " + std::to_string(turn) + " (" +
                             std::string(to_text(call)) + ") fails with " + std::to_string(error));
                *fault = Fault{.countdown = turn, .error = error, .seen = {}, .turn = 0};
                const Outcome outcome = apply(steps_between(from, to));
                *fault = Fault{};
                const auto at = state_of(actual());
                ASSERT_TRUE(at) << text_of(actual()) << "; " << outcome.error;
                EXPECT_EQ(*at, outcome.ok ? to : from) << outcome.error;
                EXPECT_EQ(outcome.error.empty(), outcome.ok);
                ++(outcome.ok ? went_on : failed);
                if (*at == to) {
                    ASSERT_TRUE(apply(steps_between(to, from)).ok);
                }
            }
        *fault = Fault{};
        ASSERT_TRUE(apply(steps_between(from, to)).ok);
    }
    expect_clean();
    EXPECT_GT(failed, 200);
    RecordProperty("calls_around", calls_around);
    RecordProperty("transactions_failed", failed);
    RecordProperty("transactions_ok", went_on);
}

TEST_P(TransactionTest, ASwitchThatTheGuardCoversMayLeaveAnyGapAndOneThatItDoesNotIsRefusedWhole) {
    open();
    attach_first();
    const GapLimit none{.max = Duration{0}, .expected_ns = {}};
    const Outcome covered = apply({SwitchXdpMode{"second", {XdpMode::skb}, none}});
    ASSERT_TRUE(covered.ok) << covered.error;
    ASSERT_TRUE(covered.gap);
    EXPECT_TRUE(covered.gap->covered);
    EXPECT_GT(covered.gap->ns, 0);

    // Whoever comes first at TC may let through what the guard would drop.
    const bpf_insn next[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = -1},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    const Descriptor program(
        bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "theirs", "GPL", next, std::size(next), nullptr));
    const KernelPort kernel;
    std::vector<std::uint32_t> at_tcx;
    if (kernel.query_tcx(::if_nametoindex("lab0"), Hook::tcx_ingress, at_tcx) == -EINVAL)
        GTEST_SKIP() << "needs TCX (Linux 6.6), where somebody can come before the guard";
    {
        const Descriptor link(kernel.create_link(program.get(), ::if_nametoindex("lab0"), Hook::tcx_ingress));
        ASSERT_TRUE(link);
        const Outcome refused = apply({SwitchXdpMode{"second", {XdpMode::drv}, none}});
        EXPECT_FALSE(refused.ok);
        EXPECT_NE(refused.error.find("sees packets before the guard"), std::string::npos) << refused.error;
        EXPECT_FALSE(refused.gap);
        EXPECT_EQ(refused.actual, covered.actual);
    }
    expect_clean();
}

class CrashTest : public TransactionTest {
  protected:
    // Starts the worker; when this returns, it is at work.
    void start(unsigned long kill_at_call) {
        std::array<int, 2> ends{};
        ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        const std::string program = HOMEOSTAT_BINARY_DIR "/tests/crash_worker";
        const std::string call = std::to_string(kill_at_call);
        const std::string kind = GetParam() == Guard::Kind::tcx ? "tcx" : "clsact";
        const std::array<const char*, 6> arguments{program.c_str(), mount_->path().c_str(), state_.c_str(),
                                                   call.c_str(),    kind.c_str(),           nullptr};
        const int error = ::posix_spawn(&worker_, program.c_str(), &actions, nullptr,
                                        const_cast<char* const*>(arguments.data()), environ);
        posix_spawn_file_actions_destroy(&actions);
        ::close(ends[1]);
        ASSERT_EQ(error, 0);
        char open = 0;
        ASSERT_EQ(::read(ends[0], &open, 1), 1) << "the worker could not open the datapath";
        output_ = Descriptor(ends[0]);
    }

    void expect_killed() const {
        int status = 0;
        ASSERT_EQ(::waitpid(worker_, &status, 0), worker_);
        EXPECT_TRUE(WIFSIGNALED(status)) << "it ended by itself, with " << WEXITSTATUS(status);
    }

    // The next process finds the old state or the new one.
    void expect_whole(const std::string& what) {
        SCOPED_TRACE(what);
        open();
        ASSERT_TRUE(state_of(actual())) << text_of(actual());
        expect_clean();
        datapath_.reset();
    }

    pid_t worker_ = -1;
    Descriptor output_;
};

TEST_P(CrashTest, WhereverItIsKilledTheStateIsWholeAndNothingGetsThrough) {
    open();
    attach_first();
    datapath_.reset();
    auto receiver = lab::receive_udp(lab_->host, discard);
    ASSERT_TRUE(receiver) << receiver.error().what;
    auto flood = lab::flood_udp(lab_->peer,
                                {.packets_per_second = 2'000, .bounds = {.time = std::chrono::minutes(30)}});
    ASSERT_TRUE(flood) << flood.error().what;

    // Once around the states takes this many calls at most: so each boundary comes, and then random moments.
    const unsigned long boundaries = is_long_run() ? 420 : 30;
    const unsigned seeds = is_long_run() ? 1'000 : 50;
    for (unsigned long i = 1; i <= boundaries && !HasFatalFailure(); ++i) {
        const unsigned long call = is_long_run() ? i : 1 + (i * 37) % 420;
        start(call);
        expect_killed();
        expect_whole("killed before call " + std::to_string(call));
    }
    for (unsigned seed = 0; seed < seeds && !HasFatalFailure(); ++seed) {
        std::mt19937 random(seed);
        const auto moment = std::chrono::microseconds(std::uniform_int_distribution<>(0, 60'000)(random));
        start(0);
        std::this_thread::sleep_for(moment); // the moment is what is tried
        ::kill(worker_, SIGKILL);
        expect_killed();
        expect_whole("seed " + std::to_string(seed));
    }
    const auto sent = flood->stop();
    const auto got = receiver->stop();
    EXPECT_EQ(sent.error, "");
    EXPECT_GT(sent.sent, 1'000u);
    EXPECT_EQ(got.received, 0u) << "of " << sent.sent;
    open();
}

const auto kind_name = [](const auto& info) {
    return std::string(info.param == Guard::Kind::tcx ? "Tcx" : "Clsact");
};
const auto kinds = testing::Values(Guard::Kind::tcx, Guard::Kind::clsact);
INSTANTIATE_TEST_SUITE_P(Kinds, TransactionTest, kinds, kind_name);
INSTANTIATE_TEST_SUITE_P(Kinds, CrashTest, kinds, kind_name);

} // namespace
} // namespace homeostat::bpf
