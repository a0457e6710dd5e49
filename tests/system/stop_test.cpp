// How a controller ends, what it leaves, and how the next one goes on; and interfaces may go and come under
// it.

#include "tests/system/controller.hpp"

#include <filesystem>

namespace homeostat::system_test {

namespace {

class Stop : public InLab, public testing::WithParamInterface<int> {};

INSTANTIATE_TEST_SUITE_P(Signals, Stop, testing::Values(SIGINT, SIGTERM),
                         [](const auto& number) { return std::string("Sig") + sigabbrev_np(number.param); });

TEST_P(Stop, DetachingOnExitLeavesNothingAttachedLoadedOrPinned) {
    Controller controller = start_attached({.maps = std::string(urgent_limit)}, {});
    const lab::Traffic udp = flood();
    controller.await(outcome_with("guard"), "the guard");
    const Objects held = held_by(controller.pid());
    EXPECT_GE(held.programs.size(), 2U);
    EXPECT_GE(held.maps.size(), 5U);
    EXPECT_GE(held.links.size(), 1U);
    EXPECT_FALSE(are_released(held));

    EXPECT_EQ(controller.stop(GetParam()), 0);
    EXPECT_FALSE(attached());
    EXPECT_TRUE(eventually([&] { return are_released(held); }));
    EXPECT_FALSE(std::filesystem::exists(bpffs()));
    EXPECT_FALSE(std::filesystem::exists(folder_.path() / "state"));
}

class Stay : public InLab, public testing::WithParamInterface<int> {};

INSTANTIATE_TEST_SUITE_P(Signals, Stay, testing::Values(SIGTERM, SIGKILL),
                         [](const auto& number) { return std::string("Sig") + sigabbrev_np(number.param); });

TEST_P(Stay, WhatIsAttachedStaysAndTheNextControllerGoesOnWithIt) {
    const std::string config = files({}, {});
    std::uint32_t id = 0;
    {
        Controller controller = Controller::start(host(), config);
        controller.await(outcome_with("counter"), "the baseline");
        send(10, 0, 0);
        controller.await(signals_have({{"counted{proto=udp}", 10}}), "the counts before");
        id = attached_id();
        EXPECT_EQ(controller.stop(GetParam()), GetParam() == SIGKILL ? 128 + SIGKILL : 0);
    }
    ASSERT_TRUE(attached());
    EXPECT_EQ(attached_id(), id);
    send(5, 0, 0);
    {
        Controller next = Controller::start(host(), config, {"--detach-on-exit"});
        next.await(signals_have({{"counted{proto=udp}", 15}}), "the counts of both, and of the time between");
        EXPECT_EQ(next.count(outcome_with("counter")), 0U) << "it was not touched";
        EXPECT_EQ(attached_id(), id);
        EXPECT_EQ(next.stop(), 0);
    }
    EXPECT_FALSE(attached());
}

TEST_P(Stay, DetachUndoesEverythingAndASecondCallFindsNothing) {
    const std::string config = files({}, {});
    {
        Controller controller = Controller::start(host(), config);
        controller.await(outcome_with("counter"), "the baseline");
        const Finished refused = run_to_end({homeostat(), "detach", "-c", config}, {.in = &host()});
        EXPECT_EQ(refused.code, 1);
        EXPECT_NE(refused.errors.find("another controller owns this instance (process " +
                                      std::to_string(controller.pid()) + ")"),
                  std::string::npos)
            << refused.errors;
        controller.stop(GetParam());
    }
    ASSERT_TRUE(attached());
    const Finished first = run_to_end({homeostat(), "detach", "-c", config}, {.in = &host()});
    EXPECT_EQ(first.code, 0) << first.errors;
    EXPECT_EQ(first.out.find("lab0: detached program counter@"), 0U) << first.out;
    EXPECT_FALSE(attached());
    EXPECT_FALSE(std::filesystem::exists(bpffs()));
    const Finished second = run_to_end({homeostat(), "detach", "-c", config}, {.in = &host()});
    EXPECT_EQ(second.code, 0);
    EXPECT_EQ(second.out, "nothing of instance default is attached\n");
}

using Mistaken = InLab;

TEST_F(Mistaken, DetachUndoesNothingWhereItIsNotCertainWhatIsMeant) {
    const std::string config = files({}, {});
    Controller controller = Controller::start(host(), config);
    controller.await(outcome_with("counter"), "the baseline");
    controller.stop();
    folder_.write("typo.toml", "version = 1\n\n[controller]\ninstnace = \"default\"\n");
    struct {
        std::vector<std::string> words;
        int code;
        std::string said;
    } const calls[] = {{{"-c", (folder_.path() / "typo.toml").string()}, 1, "did you mean 'instance'?"},
                       {{"-c", (folder_.path() / "policy.toml").string()}, 1, "policy"},
                       {{"--instance", "../default"}, 2, "an instance cannot be named '../default'"},
                       {{}, 2, "-c FILE or --instance NAME"}};
    for (const auto& call : calls) {
        std::vector<std::string> words{homeostat(), "detach"};
        words.insert(words.end(), call.words.begin(), call.words.end());
        const Finished finished = run_to_end(words, {.in = &host()});
        EXPECT_EQ(finished.code, call.code) << finished.errors;
        EXPECT_NE(finished.errors.find(call.said), std::string::npos) << finished.errors;
        EXPECT_TRUE(attached());
    }
    EXPECT_EQ(run_to_end({homeostat(), "detach", "-c", config}, {.in = &host()}).code, 0);
}

using Owners = InLab;

TEST_F(Owners, TwoControllersOfOneInstanceAreOneTooMany) {
    const std::string config = files({}, {});
    Controller first = Controller::start(host(), config, {"--detach-on-exit"});
    first.await(outcome_with("counter"), "the baseline");
    const Finished second = run_to_end({homeostat(), "run", "-c", config}, {.in = &host()});
    EXPECT_EQ(second.code, 1);
    EXPECT_NE(second.errors.find("another controller owns this instance"), std::string::npos)
        << second.errors;
    EXPECT_EQ(first.stop(), 0);
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
    for (const std::uint32_t id : xdp_links(held_by(controller.pid()))) detach_link(id);
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
