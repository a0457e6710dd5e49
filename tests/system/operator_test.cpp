// attach, replace, switch and detach while a controller runs: it makes the change.

#include "tests/system/controller.hpp"

#include <gmock/gmock.h>

namespace homeostat::system_test {

namespace {

using testing::HasSubstr;

const std::string counter = HOMEOSTAT_BINARY_DIR "/bpf/xdp_counter.bpf.o";

class Operator : public InLab {
  protected:
    Finished change(std::vector<std::string> words) const {
        words.insert(words.begin(), homeostat());
        words.insert(words.end(), {"-c", config_});
        return run_to_end(std::move(words), {.in = &host()});
    }
    void SetUp() override {
        InLab::SetUp();
        if (!IsSkipped())
            config_ = files({.objects = "control = \"" + (folder_.path() / "c.sock").string() + "\"\n"}, {});
    }
    std::string config_;
};

TEST_F(Operator, ARunningControllerMakesItAndKeepsItAsTheBaseline) {
    Controller controller = Controller::start(host(), config_, {"--detach-on-exit"});
    controller.await(outcome_with("counter"), "the baseline");
    const std::uint32_t before = attached_id();
    const Finished replaced = change({"replace", "lab0", "guard"});
    EXPECT_EQ(replaced.code, 0) << replaced.errors;
    EXPECT_THAT(replaced.out, HasSubstr("lab0: guard (id " + std::to_string(attached_id()) + ")"));
    EXPECT_THAT(replaced.out, HasSubstr("until it reloads or starts anew"));
    EXPECT_NE(attached_id(), before);
    const Finished told = run_to_end(
        {homeostat(), "decisions", "--socket", (folder_.path() / "c.sock").string()}, {.in = &host()});
    EXPECT_THAT(told.out, HasSubstr("operator: lab0: replace guard"));
    EXPECT_EQ(change({"switch", "lab0", "skb"}).code, 0);
    EXPECT_EQ(attached()->mode, XdpMode::skb);
    const Finished path = change({"replace", "lab0", counter});
    EXPECT_EQ(path.code, 1);
    EXPECT_THAT(path.errors,
                HasSubstr("is no program of the running configuration, which has counter, guard"));
    EXPECT_EQ(change({"detach", "lab0"}).code, 0);
    EXPECT_FALSE(attached());
    const Finished again = change({"attach", "lab0", "guard"});
    EXPECT_EQ(again.code, 0) << again.errors;
    EXPECT_EQ(attached()->mode, XdpMode::skb) << "no mode was asked for, and the baseline's is skb by now";
    EXPECT_EQ(change({"attach", "lab0", "guard", "--mode", "drv"}).code, 0);
    EXPECT_EQ(attached()->mode, XdpMode::drv);
    controller.signal(SIGHUP);
    controller.await(outcome_with("counter"), "the configured baseline, after the reload");
    EXPECT_EQ(controller.stop(), 0);
}

TEST_F(Operator, AnOverlayThatHoldsTheAttributeIsNamed) {
    config_ = files({.objects = "control = \"" + (folder_.path() / "c.sock").string() + "\"\n"},
                    {.min_hold = "1h"});
    Controller controller = Controller::start(host(), config_, {"--detach-on-exit"});
    controller.await(outcome_with("counter"), "the baseline");
    const lab::Traffic udp = flood();
    controller.await(outcome_with("guard"), "the guard");
    const Finished held = change({"detach", "lab0"});
    EXPECT_EQ(held.code, 1);
    EXPECT_THAT(held.errors, HasSubstr("lab0 xdp.program by guard-under-udp-flood{"));
    EXPECT_TRUE(attached());
    EXPECT_EQ(controller.stop(), 0);
}

} // namespace

} // namespace homeostat::system_test
