// `run --shadow` decides and touches nothing.

#include "tests/system/controller.hpp"

namespace homeostat::system_test {

namespace {

const std::string link_rate = R"(rate(link_receive_packets_total[1s]) > 5k)";

class Shadow : public InLab {
  protected:
    Controller start_shadow(const Policy& policy) const {
        Folder own;
        own.write("policy.toml", policy.text());
        const std::string config = own.write("config.toml", Config{}.text());
        Controller controller = Controller::start(host(), config, {"--shadow"});
        controller.await([](const Event& event) { return text_of(event, "type") == "ready"; }, "its start");
        return controller;
    }

    static bool is_transaction(const Event& event) {
        return text_of(event, "type") == "transaction" || text_of(event, "type") == "outcome";
    }
};

TEST_F(Shadow, WithNothingAttachedItDecidesAndLoadsNothing) {
    Controller shadow = start_shadow({.raise = link_rate, .clear = "link_receive_packets_total < 0"});
    const lab::Traffic udp = flood();
    shadow.await(symptom_to("raised"), "the symptom");
    shadow.await(receipt_of("apply"), "the decision");
    shadow.await_log("guard-under-udp-flood");
    EXPECT_FALSE(attached());
    EXPECT_TRUE(held_by(shadow.pid()).empty());
    EXPECT_EQ(shadow.stop(), 0);
    EXPECT_EQ(shadow.count(is_transaction), 0U);
    EXPECT_FALSE(attached());
}

TEST_F(Shadow, BesideALiveControllerItSeesThatOnesCounters) {
    Controller live = start_attached({}, {.adapts = false});
    const auto before = attached();
    Controller shadow = start_shadow({});
    send(123, 45, 6);
    shadow.await(
        signals_have({{"counted{proto=udp}", 123}, {"counted{proto=tcp}", 45}, {"counted{proto=icmp}", 6}}),
        "the live controller's counts");
    const Objects held = held_by(shadow.pid());
    EXPECT_TRUE(held.links.empty());
    EXPECT_TRUE(held.programs.empty());

    const lab::Traffic udp = flood();
    shadow.await(receipt_of("apply"), "the decision");
    shadow.await(signal_above("counted{proto=udp}", 10'000), "more of the flood");
    EXPECT_EQ(attached_id(), before.value().id);
    EXPECT_EQ(shadow.stop(), 0);
    EXPECT_EQ(shadow.count(is_transaction), 0U);
    EXPECT_EQ(attached_id(), before->id);
    EXPECT_EQ(live.stop(), 0);
}

} // namespace

} // namespace homeostat::system_test
