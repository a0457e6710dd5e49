// SIGHUP: the next generation, or the last good one.

#include "tests/system/controller.hpp"

#include <filesystem>
#include <fstream>

#include <sys/stat.h>

namespace homeostat::system_test {

namespace {

class Reload : public InLab {
  protected:
    static constexpr const char* refused = "the reload is refused; generation 1 goes on";

    void expect_mitigates(Controller& controller) const {
        const lab::Traffic udp = flood();
        controller.await(outcome_with("guard"), "the guard");
    }
};

TEST_F(Reload, AChangedThresholdTakesEffect) {
    Policy policy{.raise = "udp_pps > 1M", .clear = "udp_pps < 100"};
    Controller controller = start_attached({}, policy);
    const lab::Traffic udp = flood();
    controller.await(signal_above("udp_pps{proto=udp}", 5'000), "the flood");
    EXPECT_EQ(controller.count(symptom_to("raised")), 0U);

    policy.raise = "udp_pps > 2k";
    folder_.write("policy.toml", policy.text());
    controller.signal(SIGHUP);
    controller.await_log("generation 2 is loaded");
    const Event raised = controller.await(symptom_to("raised"), "the symptom");
    EXPECT_EQ(raised.at("generation").to_number<int>(), 2);
    controller.await(outcome_with("guard"), "the guard");
}

// The configuration comes through a pipe, so that it is known when the controller waits for it.
TEST_F(Reload, AHangupBeforeTheFirstGenerationIsLoadedReloadsItAfterwards) {
    const Config config;
    const std::string path = files(config, {});
    std::filesystem::remove(path);
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    Controller controller = Controller::start(host(), path);
    std::ofstream pipe(path); // opens once the controller reads
    const std::string later = folder_.write("later.toml", placed(config).text());
    std::filesystem::rename(later, path);
    controller.signal(SIGHUP);
    pipe << placed(config).text();
    pipe.close();
    controller.await_log("generation 2 is loaded");
    EXPECT_EQ(controller.stop(), 0);
}

TEST_F(Reload, ABadPolicyIsRefusedWithItsMistakesAndTheLastGoodOneGoesOn) {
    Controller controller = start_attached({}, {});
    folder_.write("policy.toml", Policy{.raise = "udp_pqs > 1"}.text());
    controller.signal(SIGHUP);
    controller.await_log(refused);
    EXPECT_NE(controller.log().find("policy.toml:17:13: "), std::string::npos) << controller.log();
    EXPECT_NE(controller.log().find("did you mean 'udp_pps'?"), std::string::npos) << controller.log();
    expect_mitigates(controller);
    EXPECT_EQ(controller.count([](const Event& event) { return event.at("generation") != 1; }), 0U);
}

TEST_F(Reload, AMissingFileIsRefusedAndItsReturnAccepted) {
    Controller controller = start_attached({}, {});
    std::filesystem::remove(folder_.path() / "policy.toml");
    controller.signal(SIGHUP);
    controller.await_log(refused);
    folder_.write("policy.toml", Policy{}.text());
    controller.signal(SIGHUP);
    controller.await_log("generation 2 is loaded");
    expect_mitigates(controller);
}

TEST_F(Reload, RemovingAnActiveAdaptationTakesItsOverlayOffAtOnce) {
    Controller controller = start_attached({}, {.min_hold = "1h"});
    const std::uint32_t baseline = attached_id();
    const lab::Traffic udp = flood();
    controller.await(outcome_with("guard"), "the guard");
    folder_.write("policy.toml", Policy{.adapts = false}.text());
    controller.signal(SIGHUP);
    controller.await(outcome_with("counter"), "the baseline, although the flood is on");
    EXPECT_EQ(attached_id(), baseline);
    EXPECT_EQ(controller.count(symptom_to("inactive")), 0U) << "the symptom keeps its memory";
}

TEST_F(Reload, AChangedBaselineIsReconciled) {
    Config config;
    Controller controller = start_attached(config, {.adapts = false});
    config.program = "guard";
    files(config, {.adapts = false});
    controller.signal(SIGHUP);
    const Event outcome = controller.await(outcome_with("guard"), "the new baseline");
    EXPECT_EQ(attached_id(), program_id_of(outcome));
}

TEST_F(Reload, WhatIsFixedWhileTheControllerRunsIsRefusedWithWords) {
    const Config config;
    Controller controller = start_attached(config, {});
    const std::uint32_t baseline = attached_id();
    struct Change {
        Config config;
        std::string words;
    };
    const std::string program = "\n[[program]]\nname = \"third\"\nobject = \"xdp_guard.bpf.o\"\n";
    const std::string sensor = "\n[[sensor]]\ntype = \"bpf-map\"\nmap = \"ring_counts\"\n"
                               "key = { as = \"ring\" }\nfields = { lost = \"lost_total\" }\n";
    const Change changes[] = {
        {{.period = "50ms"}, "the period has changed"},
        {{.interface = "lo"}, "the list of interfaces has changed"},
        {{.more = program}, "the programs have changed"},
        {{.more = sensor}, "the sensors have changed"},
        {{.objects = "objects = [\"" HOMEOSTAT_BINARY_DIR "/bpf\"]\n"}, "controller.objects has changed"},
    };
    for (const Change& change : changes) {
        files(change.config, {});
        controller.signal(SIGHUP);
        controller.await_log(change.words);
    }
    EXPECT_EQ(controller.log().find("generation 2"), std::string::npos);
    EXPECT_EQ(attached_id(), baseline);
    expect_mitigates(controller);
}

} // namespace

} // namespace homeostat::system_test
