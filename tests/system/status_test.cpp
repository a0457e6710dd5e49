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

TEST_F(Status, AnInterfaceThatIsNotThereIsAFailure) {
    const Finished finished = status({"lab7"});
    EXPECT_EQ(finished.code, 1);
    EXPECT_EQ(finished.errors, "homeostat status: there is no interface 'lab7' in this network namespace\n");
}

} // namespace

} // namespace homeostat::system_test
