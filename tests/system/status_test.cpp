// What `homeostat status` tells of programs, whoever's they are.

#include "tests/system/controller.hpp"

namespace homeostat::system_test {

namespace {

class Status : public InLab {
  protected:
    void SetUp() override {
        InLab::SetUp();
        if (!IsSkipped()) config_ = files({}, {});
    }

    Finished status(std::vector<std::string> more = {}) const {
        std::vector<std::string> words{homeostat(), "status", "-c", config_};
        words.insert(words.end(), more.begin(), more.end());
        return run_to_end(std::move(words), {.in = &host()});
    }

    std::string config_;
};

TEST_F(Status, NamesOurProgramsWithTheirInstanceAlsoWhileNoControllerRuns) {
    {
        Controller controller = Controller::start(host(), config_);
        controller.await(outcome_with("counter"), "the baseline");
        const Finished running = status();
        EXPECT_EQ(running.code, 0) << running.errors;
        EXPECT_NE(running.out.find("homeostat default, held by homeostat (" +
                                   std::to_string(controller.pid()) + ")"),
                  std::string::npos)
            << running.out;
        controller.stop();
    }
    const Finished stopped = status({"lab0"});
    EXPECT_EQ(stopped.out.find("INTERFACE  HOOK"), 0U) << stopped.out;
    EXPECT_NE(stopped.out.find("xdp drv      xdp_counter (counter@"), std::string::npos) << stopped.out;
    EXPECT_NE(stopped.out.find("  " + std::to_string(attached_id()) + "  "), std::string::npos)
        << stopped.out;
    EXPECT_NE(stopped.out.find("tc_pass"), std::string::npos) << "the resident guard\n" << stopped.out;
    EXPECT_EQ(run_to_end({homeostat(), "detach", "-c", config_}, {.in = &host()}).code, 0);
    EXPECT_EQ(status().out, "no program is attached to an interface here\n");
    EXPECT_NE(status({"--all"}).out.find("lab0       -     nothing attached"), std::string::npos);
}

TEST_F(Status, TellsAProgramThatNobodyHolds) {
    const auto entered = must(host().enter());
    must(
        lab::ip("link set lab0 xdpgeneric obj " HOMEOSTAT_BINARY_DIR "/bpf/xdp_counter.bpf.o sec xdp.frags"));
    const Finished finished = status({"--json"});
    EXPECT_NE(finished.out.find(R"("hook":"xdp skb")"), std::string::npos) << finished.out;
    EXPECT_NE(finished.out.find(R"("kind":"netlink")"), std::string::npos) << finished.out;
}

// With a file in the place of the kernel's sysctl, for this one process.
TEST_F(Status, SaysHowRunsAreCountedWhereTheKernelDoesNotCountThem) {
    const auto entered = must(host().enter());
    must(
        lab::ip("link set lab0 xdpgeneric obj " HOMEOSTAT_BINARY_DIR "/bpf/xdp_counter.bpf.o sec xdp.frags"));
    const auto status_where_sysctl_is = [&](const std::string& text, const std::string& more) {
        const std::string sysctl = folder_.write("sysctl", text + "\n");
        return run_to_end(
                   {"/usr/bin/unshare", "-m", "/bin/sh", "-c",
                    "mount --bind \"$1\" /proc/sys/kernel/bpf_stats_enabled && exec \"$2\" status lab0 " +
                        more,
                    "sh", sysctl, homeostat()},
                   {.in = &host()})
            .out;
    };
    const std::string off = status_where_sysctl_is("0", "");
    EXPECT_TRUE(
        off.ends_with("\nThe kernel does not count runs now: 'sysctl -w kernel.bpf_stats_enabled=1' has "
                      "it count them, which takes a little of each one's time.\n"))
        << off;
    const std::string on = status_where_sysctl_is("1", "");
    EXPECT_NE(on.find("xdp_counter"), std::string::npos) << on;
    EXPECT_EQ(on.find("sysctl"), std::string::npos) << on;
    EXPECT_NE(status_where_sysctl_is("0", "--json").find(R"("counts_runs":false)"), std::string::npos);
    EXPECT_NE(status_where_sysctl_is("1", "--json").find(R"("counts_runs":true)"), std::string::npos);
    must(lab::ip("link set lab0 xdpgeneric off"));
    EXPECT_EQ(status_where_sysctl_is("0", "").find("sysctl"), std::string::npos)
        << "there is nothing to count";
}

TEST_F(Status, SaysWhatItTakesWhereTheKernelMayNotBeAsked) {
    Controller controller = Controller::start(host(), config_);
    controller.await(outcome_with("counter"), "the baseline");
    const Finished asked = run_to_end(
        {"/usr/bin/setpriv", "--bounding-set=-all", homeostat(), "status", "-c", config_}, {.in = &host()});
    EXPECT_EQ(asked.code, 1);
    EXPECT_NE(
        asked.errors.find("not all can be asked without CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON: run as root"),
        std::string::npos)
        << asked.errors;
    EXPECT_NE(asked.out.find("to ask takes CAP_SYS_ADMIN"), std::string::npos) << asked.out;
    controller.stop();
}

TEST_F(Status, AnInterfaceThatIsNotThereIsAFailure) {
    const Finished finished = status({"lab7"});
    EXPECT_EQ(finished.code, 1);
    EXPECT_EQ(finished.errors, "homeostat status: there is no interface 'lab7' in this network namespace\n");
}

} // namespace

} // namespace homeostat::system_test
