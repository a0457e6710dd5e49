// What a controller does that cannot start, or finds its place taken.

#include "tests/system/controller.hpp"

#include <bpf/libbpf.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <net/if.h>

#include <memory>
#include <stdexcept>

namespace homeostat::system_test {

namespace {

void expect_says(const std::string& said, std::string_view words) {
    EXPECT_NE(said.find(words), std::string::npos) << "no '" << words << "' in:\n" << said;
}

class Start : public InLab {
  protected:
    Finished run(const std::string& config, std::vector<int> without = {}) const {
        return run_to_end({homeostat(), "run", "-c", config}, {.in = &host(), .without = std::move(without)});
    }

    std::string config_with_rejected_program() const {
        const std::string folders =
            "objects = [\"" HOMEOSTAT_BINARY_DIR "/bpf\", \"" HOMEOSTAT_BINARY_DIR "/tests/system-bpf\"]\n";
        return files({.objects = folders,
                      .more = "\n[[program]]\nname = \"broken\"\nobject = \"out_of_bounds.bpf.o\"\n"},
                     {});
    }
};

struct Lacking {
    const char* name;
    std::vector<int> without;
    std::vector<std::string> named;

    friend void PrintTo(const Lacking& lacking, std::ostream* out) { *out << lacking.name; }
};

class StartWithout : public Start, public testing::WithParamInterface<Lacking> {};

INSTANTIATE_TEST_SUITE_P(Capabilities, StartWithout,
                         testing::Values(Lacking{"All",
                                                 {CAP_SYS_ADMIN, CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON},
                                                 {"CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"}},
                                         Lacking{"Bpf", {CAP_SYS_ADMIN, CAP_BPF}, {"CAP_BPF"}},
                                         Lacking{
                                             "NetAdmin", {CAP_SYS_ADMIN, CAP_NET_ADMIN}, {"CAP_NET_ADMIN"}},
                                         Lacking{"Perfmon", {CAP_SYS_ADMIN, CAP_PERFMON}, {"CAP_PERFMON"}}),
                         [](const auto& lacking) { return std::string(lacking.param.name); });

TEST_P(StartWithout, NamesTheCapabilityAndAttachesNothing) {
    const Finished finished = run(files({}, {}), GetParam().without);
    EXPECT_EQ(finished.code, 1);
    expect_says(finished.errors, "missing ");
    for (const std::string& capability : GetParam().named) expect_says(finished.errors, capability);
    EXPECT_FALSE(attached());
}

TEST_F(Start, TheThreeCapabilitiesAreEnough) {
    // Everything else that root has is gone.
    std::vector<int> others;
    for (int capability = 0; capability <= CAP_LAST_CAP; ++capability)
        if (capability != CAP_BPF && capability != CAP_NET_ADMIN && capability != CAP_PERFMON)
            others.push_back(capability);
    const std::string config = files({}, {});
    Child child = Child::start({homeostat(), "run", "-c", config, "--detach-on-exit"},
                               {.in = &host(), .without = others});
    child.await_error("counter runs as program");
    EXPECT_TRUE(attached());
    child.signal(SIGTERM);
    EXPECT_EQ(child.wait(), 0);
    EXPECT_FALSE(attached());
}

TEST_F(Start, ARejectedProgramIsToldWithTheVerifiersWordsAndNothingIsAttached) {
    const Finished finished = run(config_with_rejected_program());
    EXPECT_EQ(finished.code, 1);
    expect_says(finished.errors, "program 'broken' is rejected");
    expect_says(finished.errors, "invalid access to packet");
    expect_says(finished.errors, "data[25] == 0"); // the line of its source
    EXPECT_FALSE(attached());
}

TEST_F(Start, ARejectedProgramDoesNotTouchTheOneThatIsLive) {
    Controller live = start_attached({}, {.adapts = false});
    const std::uint32_t before = attached_id();
    EXPECT_EQ(run(config_with_rejected_program()).code, 1);
    EXPECT_EQ(attached_id(), before);
    send(7, 0, 0);
    live.await(signals_have({{"counted{proto=udp}", 7}}), "packets, as ever");
}

// A program that somebody else attached to lab0, as `ip link set` does it.
class Foreign {
  public:
    explicit Foreign(const lab::NetNamespace& in) : in_(in) {
        if (!object_ || bpf_object__load(object_.get()) != 0) throw std::runtime_error("cannot load");
        program_ = bpf_program__fd(bpf_object__next_program(object_.get(), nullptr));
        set(program_);
    }
    void detach() { set(-1); }

  private:
    struct Close {
        void operator()(bpf_object* object) const { bpf_object__close(object); }
    };

    void set(int program) const {
        const auto entered = must(in_.enter());
        const int index = static_cast<int>(::if_nametoindex("lab0"));
        if (bpf_xdp_attach(index, program, XDP_FLAGS_DRV_MODE, nullptr) != 0)
            throw std::runtime_error("cannot set the foreign program");
    }

    const lab::NetNamespace& in_;
    std::unique_ptr<bpf_object, Close> object_{
        bpf_object__open(HOMEOSTAT_BINARY_DIR "/bpf/xdp_counter.bpf.o")};
    int program_ = -1;
};

TEST_F(Start, AForeignProgramIsLeftAloneAndReportedUntilItGoes) {
    Foreign foreign(host());
    const std::uint32_t theirs = attached_id();
    Controller controller = start({.mode = R"(["drv", "skb"])"}, {});
    const Event refused = controller.await(failed_outcome(), "word of the foreign program");
    expect_says(text_of(refused, "error"), "foreign program " + std::to_string(theirs));
    expect_says(text_of(refused, "error"), "left alone");
    EXPECT_EQ(attached_id(), theirs);
    controller.await(failed_outcome(), "another try");
    EXPECT_EQ(attached_id(), theirs);

    foreign.detach();
    const Event ours = controller.await(outcome_with("counter"), "the baseline");
    EXPECT_EQ(attached_id(), program_id_of(ours));
    EXPECT_EQ(controller.stop(), 0);
    EXPECT_FALSE(attached());
}

TEST_F(Start, AForeignProgramStaysWhenTheControllerStops) {
    const Foreign foreign(host());
    const std::uint32_t theirs = attached_id();
    Controller controller = start({}, {});
    controller.await(failed_outcome(), "word of the foreign program");
    EXPECT_EQ(controller.stop(), 0);
    EXPECT_EQ(attached_id(), theirs);
}

TEST_F(Start, TwoControllersOfOneInterfaceDoNotTakeItFromEachOther) {
    Controller first = start_attached({}, {.adapts = false});
    const std::uint32_t before = attached_id();
    Controller second = start({}, {.adapts = false}, {"--instance", "second"});
    const Event refused = second.await(failed_outcome(), "word of the first");
    expect_says(text_of(refused, "error"), "foreign program " + std::to_string(before));
    EXPECT_EQ(attached_id(), before);
    EXPECT_EQ(first.stop(), 0);
    second.await(outcome_with("counter"), "its turn");
    EXPECT_EQ(second.stop(), 0);
    EXPECT_FALSE(attached());
}

} // namespace

} // namespace homeostat::system_test
