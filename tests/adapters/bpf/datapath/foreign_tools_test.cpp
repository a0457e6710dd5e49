// Programs that the tools of others attach: told with who holds them, untouched by whatever we are asked to
// do, and replaced where that is asked for.
#include "adapters/bpf/datapath/survey.hpp"
#include "tests/adapters/bpf/datapath/datapath_fixture.hpp"
#include "tests/adapters/bpf/datapath/transaction_states.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <net/if.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <memory>

namespace homeostat::bpf {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

enum class Tool { ip_link, xdp_loader, link_of_process, pinned_link, other_instance };

// The exit code; 127 where there is no such program.
int run(std::vector<std::string> words) {
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t child = 0;
    int status = 0;
    posix_spawn_file_actions_t silent{};
    ::posix_spawn_file_actions_init(&silent);
    ::posix_spawn_file_actions_addopen(&silent, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    const int spawned = ::posix_spawnp(&child, arguments[0], &silent, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&silent);
    if (spawned != 0) return 127;
    return ::waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}

Descriptor load_theirs() {
    const bpf_insn pass[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = XDP_PASS},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    LIBBPF_OPTS(bpf_prog_load_opts, options);
    options.expected_attach_type = BPF_XDP;
    return Descriptor(bpf_prog_load(BPF_PROG_TYPE_XDP, "theirs", "GPL", pass, std::size(pass), &options));
}

// Another process that has attached a program by a link which nobody else holds; it ends with this.
class Holder {
  public:
    explicit Holder(unsigned ifindex) {
        std::array<int, 2> ready{};
        std::array<int, 2> over{};
        EXPECT_EQ(::pipe(ready.data()), 0);
        EXPECT_EQ(::pipe(over.data()), 0);
        process_ = ::fork();
        if (process_ == 0) {
            // Nothing of this process's goes with it, such as the lock of an instance.
            ::dup2(over[0], STDIN_FILENO);
            ::dup2(ready[1], STDOUT_FILENO);
            ::close_range(3, ~0U, 0);
            const Descriptor program = load_theirs();
            const Descriptor link(KernelPort().create_link(program.get(), ifindex, Hook::xdp_skb));
            char byte = link ? 1 : 0;
            if (::write(STDOUT_FILENO, &byte, 1) == 1)
                while (::read(STDIN_FILENO, &byte, 1) > 0) { // until the other end is closed
                }
            ::_exit(0);
        }
        over_ = Descriptor(over[1]);
        ::close(over[0]);
        ::close(ready[1]);
        char attached = 0;
        EXPECT_EQ(::read(ready[0], &attached, 1), 1);
        EXPECT_EQ(attached, 1);
        ::close(ready[0]);
    }
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;
    ~Holder() {
        over_ = Descriptor();
        ::waitpid(process_, nullptr, 0);
    }
    pid_t process() const { return process_; }

  private:
    pid_t process_ = -1;
    Descriptor over_;
};

class ForeignTools : public DatapathFixture, public testing::WithParamInterface<Tool> {
  protected:
    void SetUp() override {
        DatapathFixture::SetUp();
        if (HasFatalFailure()) return;
        ::setenv("LIBXDP_BPFFS", mount_->path().c_str(), 1);
        if (GetParam() == Tool::xdp_loader && run({"xdp-loader", "help"}) == 127)
            GTEST_SKIP() << "needs xdp-loader (package xdp-tools)";
        open();
    }

    void TearDown() override {
        if (other_) {
            EXPECT_TRUE(detach_instance(other_->place));
        }
        DatapathFixture::TearDown();
        ::unsetenv("LIBXDP_BPFFS");
    }

    void open() { open_datapath(options(), state_programs()); }
    Outcome apply(Step step) { return DatapathFixture::apply({std::move(step)}); }

    // What the kernel shows, and by which link.
    struct Shown {
        std::uint32_t program = 0;
        XdpMode mode = XdpMode::skb;
        std::uint32_t link = 0;

        bool operator==(const Shown&) const = default;
    };
    Shown shown() const {
        const auto program = attached_program(index_);
        if (!program || !*program) return {};
        return {(*program)->id, (*program)->mode, owner().link_id};
    }
    Owner owner() const {
        const auto program = attached_program(index_);
        if (!program || !*program) return {};
        return Ownership::of_host(options_at(mount_->path(), state_).place.bpffs)
            .of((*program)->id, program_name((*program)->id), index_);
    }

    void attach_theirs() {
        const std::string object = object_path("with_twin");
        switch (GetParam()) {
        case Tool::ip_link: {
            const auto attached = lab::ip("link set dev lab0 xdpgeneric obj " + object + " sec xdp");
            ASSERT_TRUE(attached) << attached.error().what;
            break;
        }
        case Tool::xdp_loader:
            ASSERT_EQ(run({"xdp-loader", "load", "-m", "skb", "-s", "xdp", "lab0", object}), 0);
            break;
        case Tool::link_of_process:
            holder_ = std::make_unique<Holder>(index_);
            break;
        case Tool::pinned_link: {
            const Descriptor program = load_theirs();
            const Descriptor link(KernelPort().create_link(program.get(), index_, Hook::xdp_skb));
            ASSERT_TRUE(link);
            ASSERT_EQ(KernelPort().pin(link.get(), mount_->path() + "/theirs"), 0);
            break;
        }
        case Tool::other_instance: {
            other_ = options_at(mount_->path(), state_);
            other_->place.name = "lab";
            auto other = XdpDatapath::open(*other_, state_programs(), {"lab0"});
            ASSERT_TRUE(other) << other.error().what;
            const Outcome attached =
                (*other)->apply({TransactionId{1}, "lab0", {AttachXdp{"first", {XdpMode::drv}}}});
            ASSERT_TRUE(attached.ok) << attached.error;
            break;
        }
        }
        ASSERT_NE(shown().program, 0u);
    }

    bool is_dispatcher() const { return owner().kind == Owner::Kind::dispatcher; }

    // What we say of who has attached it.
    std::string whose() const {
        switch (GetParam()) {
        case Tool::xdp_loader:
            if (is_dispatcher()) return "attached by libxdp, which runs pass (id ";
            [[fallthrough]]; // where the kernel has no extension programs, it attaches as ip does
        case Tool::ip_link:
            return "attached over netlink";
        case Tool::link_of_process:
            return "attached by link " + std::to_string(shown().link) + ", held by foreign_tools_t (" +
                   std::to_string(holder_->process()) + ")";
        case Tool::pinned_link:
            return "attached by link " + std::to_string(shown().link) + ", pinned at " + mount_->path() +
                   "/theirs";
        case Tool::other_instance:
            return "attached by instance lab of homeostat, pinned at " + mount_->path() +
                   "/homeostat/lab/lab0/link";
        }
        return "";
    }

    void expect_refused(const Shown& theirs) {
        const std::string why = "is attached and is left alone (" + whose();
        EXPECT_THAT(datapath_->read_back().at("lab0").xdp->program, StartsWith(foreign_prefix));
        for (const Step& step :
             {Step{AttachXdp{"first", {XdpMode::drv, XdpMode::skb}}}, Step{ReplaceXdp{"first"}},
              Step{SwitchXdpMode{"first", {XdpMode::drv}}}, Step{DetachXdp{}}}) {
            const Outcome outcome = apply(step);
            EXPECT_FALSE(outcome.ok) << to_text(step);
            EXPECT_THAT(outcome.error, HasSubstr(why)) << to_text(step);
            EXPECT_FALSE(outcome.gap) << to_text(step);
            EXPECT_EQ(shown(), theirs) << to_text(step);
        }
    }

    std::unique_ptr<Holder> holder_;
    std::optional<DatapathOptions> other_;
};

TEST_P(ForeignTools, AProgramIsToldWithWhoseItIsAndNoStepTouchesItNorDoesAnotherStartOrADetach) {
    attach_theirs();
    const Shown theirs = shown();
    expect_refused(theirs);
    datapath_.reset();
    open();
    EXPECT_EQ(shown(), theirs);
    ASSERT_TRUE(datapath_->detach_all());
    datapath_.reset();
    EXPECT_EQ(shown(), theirs);
    // What a person is told who asks for the state.
    const auto surveyed = survey_interfaces({"lab0"}, mount_->path() + "/homeostat", state_);
    ASSERT_TRUE(surveyed) << surveyed.error().what;
    std::vector<SurveyedProgram> programs = surveyed->at(0).programs;
    std::erase_if(programs, [](const SurveyedProgram& one) { return !one.hook.starts_with("xdp "); });
    ASSERT_EQ(programs.size(), 1u);
    EXPECT_EQ(programs[0].id, theirs.program);
    EXPECT_THAT(to_text(programs[0].owner), HasSubstr(whose()));
}

TEST_P(ForeignTools, AProgramThatTookThePlaceOfOursIsLeftAlone) {
    ASSERT_TRUE(apply(AttachXdp{"first", {XdpMode::drv}}).ok);
    const Descriptor ours(bpf_link_get_fd_by_id(owner().link_id)); // as bpftool link detach does
    ASSERT_EQ(bpf_link_detach(ours.get()), 0);
    attach_theirs();
    expect_refused(shown());
}

TEST_P(ForeignTools, AProgramIsReplacedWhereThatIsAskedAndTheNoteTellsWhoseItWasAndTheGap) {
    attach_theirs();
    const Shown theirs = shown();
    const std::string whose_it_was = whose();
    const Outcome outcome = apply(ReplaceForeignXdp{"second", {XdpMode::drv}});
    ASSERT_TRUE(outcome.ok) << outcome.error;
    EXPECT_EQ(outcome.actual.xdp->program, "second");
    EXPECT_NE(shown().program, theirs.program);
    EXPECT_EQ(shown().mode, XdpMode::drv);
    EXPECT_EQ(owner().instance, "test");
    ASSERT_TRUE(outcome.gap);
    EXPECT_GT(outcome.gap->ns, 0);
    ASSERT_EQ(outcome.notes.size(), 1u);
    EXPECT_THAT(outcome.notes[0], HasSubstr("replaced foreign program " + std::to_string(theirs.program)));
    EXPECT_THAT(outcome.notes[0], HasSubstr(whose_it_was));
    EXPECT_THAT(outcome.notes[0], HasSubstr("no XDP program for " + milliseconds_text(outcome.gap->ns)));
}

std::string name_of(const testing::TestParamInfo<Tool>& tool) {
    switch (tool.param) {
    case Tool::ip_link:
        return "IpLink";
    case Tool::xdp_loader:
        return "XdpLoader";
    case Tool::link_of_process:
        return "LinkOfAProcess";
    case Tool::pinned_link:
        return "PinnedLink";
    case Tool::other_instance:
        return "OtherInstance";
    }
    return "";
}

INSTANTIATE_TEST_SUITE_P(Of, ForeignTools,
                         testing::Values(Tool::ip_link, Tool::xdp_loader, Tool::link_of_process,
                                         Tool::pinned_link, Tool::other_instance),
                         name_of);

} // namespace
} // namespace homeostat::bpf
