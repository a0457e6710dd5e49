// However a controller ends, it leaves nothing behind; and interfaces may go and come under it.

#include "tests/system/controller.hpp"

namespace homeostat::system_test {

namespace {

class Stop : public InLab, public testing::WithParamInterface<int> {};

INSTANTIATE_TEST_SUITE_P(Signals, Stop, testing::Values(SIGINT, SIGTERM, SIGKILL),
                         [](const auto& number) { return std::string("Sig") + sigabbrev_np(number.param); });

TEST_P(Stop, LeavesNothingAttachedLoadedOrPinned) {
    Controller controller = start_attached({.maps = std::string(urgent_limit)}, {});
    const lab::Traffic udp = flood();
    controller.await(outcome_with("guard"), "the guard");
    const Objects held = held_by(controller.pid());
    EXPECT_GE(held.programs.size(), 2U);
    EXPECT_GE(held.maps.size(), 5U);
    EXPECT_EQ(held.links.size(), 1U);
    EXPECT_FALSE(are_released(held));

    EXPECT_EQ(controller.stop(GetParam()), GetParam() == SIGKILL ? 128 + SIGKILL : 0);
    EXPECT_TRUE(eventually([&] { return !attached(); }));
    EXPECT_TRUE(eventually([&] { return are_released(held); }));
    for (const std::string& pin : pins()) EXPECT_EQ(pin.find("homeostat"), std::string::npos) << pin;
}

class AtOnce : public InLab, public testing::WithParamInterface<int> {};

INSTANTIATE_TEST_SUITE_P(Signals, AtOnce, testing::Values(SIGINT, SIGTERM),
                         [](const auto& number) { return std::string("Sig") + sigabbrev_np(number.param); });

TEST_P(AtOnce, AControllerThatSaysItIsReadyStopsWellWhenAsked) {
    for (int i = 0; i < 10; ++i) {
        Controller controller = start({}, {});
        controller.await([](const Event& event) { return text_of(event, "type") == "ready"; }, "its start");
        EXPECT_EQ(controller.stop(GetParam()), 0);
        EXPECT_TRUE(eventually([&] { return !attached(); }));
    }
}

using Readers = InLab;

TEST_F(Readers, TheControllerGoesOnWhenWhoeverReadsItsLogIsGone) {
    Controller controller = start_attached({}, {});
    const std::uint32_t baseline = attached_id();
    controller.hang_up();
    const lab::Traffic udp = flood();
    EXPECT_TRUE(eventually([&] { return attached() && attached_id() != baseline; }));
    EXPECT_EQ(controller.stop(), 0);
    EXPECT_FALSE(attached());
}

using Interfaces = InLab;

void make_link_again(lab::Lab& lab) {
    {
        const auto entered = must(lab.host.enter());
        must(lab::ip("link add lab0 type veth peer name lab1 netns " + lab.peer.name()));
        must(lab::ip("link set lab0 arp off addrgenmode none up"));
    }
    const auto entered = must(lab.peer.enter());
    must(lab::ip("link set lab1 arp off addrgenmode none up"));
}

void delete_link(const lab::Lab& lab) {
    const auto entered = must(lab.host.enter());
    must(lab::ip("link del lab0"));
}

TEST_F(Interfaces, OneThatIsDeletedAndMadeAgainGetsItsProgramAgain) {
    Controller controller = start_attached({}, {});
    send(10, 0, 0);
    controller.await(signals_have({{"counted{proto=udp}", 10}}), "the counts before");
    delete_link(lab());
    controller.await([](const Event& event) { return text_of(event, "text") == "interface lab0 is gone"; },
                     "word of it");
    make_link_again(lab());
    const Event again = controller.await(outcome_with("counter"), "the baseline, again");
    EXPECT_EQ(attached_id(), program_id_of(again));
    send(5, 0, 0);
    controller.await(signals_have({{"counted{proto=udp}", 15}}), "the counts after");
    EXPECT_EQ(controller.stop(), 0);
    EXPECT_FALSE(attached());
}

TEST_F(Interfaces, OneWhoseProgramSomebodyDetachedGetsItAgain) {
    Controller controller = start_attached({}, {});
    for (const std::uint32_t id : held_by(controller.pid()).links) detach_link(id);
    controller.await([](const Event& event) { return text_of(event, "text").starts_with("drift on lab0"); },
                     "word of it");
    const Event again = controller.await(outcome_with("counter"), "the baseline, again");
    EXPECT_EQ(attached_id(), program_id_of(again));
    EXPECT_EQ(controller.stop(), 0);
}

TEST_F(Interfaces, OneThatIsMissingAtTheEndIsNoReasonToFail) {
    Controller controller = start_attached({}, {});
    const Objects held = held_by(controller.pid());
    delete_link(lab());
    controller.await([](const Event& event) { return text_of(event, "text") == "interface lab0 is gone"; },
                     "word of it");
    EXPECT_EQ(controller.stop(), 0);
    EXPECT_TRUE(eventually([&] { return are_released(held); }));
}

} // namespace

} // namespace homeostat::system_test
