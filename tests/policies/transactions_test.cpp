#include "policies/plan.hpp"
#include "tests/policies/script.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace homeostat::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::chrono_literals;

// Plans at given times and answers by hand.
class Transactions : public testing::Test {
  protected:
    Transactions() {
        for (const char* name : {"eth0", "eth1"}) {
            knowledge_.desired[name] = {.program = std::nullopt, .ladder = {XdpMode::drv}, .entries = {}};
            knowledge_.actual[name] = {.present = true, .up = true, .xdp = {}, .entries = {}};
        }
    }

    std::vector<std::string> plan(Duration at) {
        Decisions decisions;
        plan_transactions(knowledge_, at_ms(0) + at, decisions);
        for (const PlannedTransaction& planned : decisions.transactions) last_ = planned.transaction;
        return lines_of(decisions);
    }

    void answer(Duration at, bool ok) {
        Outcome outcome;
        outcome.id = last_.id;
        outcome.interface = last_.interface;
        outcome.ok = ok;
        outcome.actual = knowledge_.actual[last_.interface];
        if (ok && knowledge_.desired[last_.interface].program)
            outcome.actual.xdp = {*knowledge_.desired[last_.interface].program, XdpMode::drv, 1};
        note_outcome(knowledge_, outcome, at_ms(0) + at);
    }

    void want(const std::string& program, const std::string& interface = "eth0") {
        knowledge_.desired[interface].program = program;
    }

    Knowledge knowledge_;
    Transaction last_;
};

TEST_F(Transactions, ComeOnlyWhereSomethingDiffers) {
    EXPECT_THAT(plan(0s), IsEmpty());
    want("guard");
    EXPECT_THAT(plan(1s), ElementsAre("eth0: attach guard (drv) (because baseline)"));
}

TEST_F(Transactions, AreOneInFlightForEachTarget) {
    want("guard");
    EXPECT_EQ(plan(0s).size(), 1U);
    want("drop");
    EXPECT_THAT(plan(1s), IsEmpty()) << "eth0 has one in flight";
    want("guard", "eth1");
    EXPECT_EQ(plan(2s).size(), 1U) << "eth1 has none";
}

TEST_F(Transactions, LaterChangesGoWhenTheOneInFlightIsDone) {
    want("guard");
    plan(0s);
    want("drop");
    Outcome done;
    done.id = last_.id;
    done.interface = "eth0";
    done.ok = true;
    done.actual = knowledge_.actual["eth0"];
    done.actual.xdp = {"guard", XdpMode::drv, 1};
    note_outcome(knowledge_, done, at_ms(100));
    EXPECT_THAT(plan(100ms), ElementsAre("eth0: replace by drop (because baseline)"));
}

TEST_F(Transactions, AreRetriedAfterOneSecondDoublingToFiveMinutes) {
    want("guard");
    Duration now{0};
    for (const Duration delay : {1s, 2s, 4s, 8s, 16s, 32s, 64s, 128s, 256s, 300s, 300s, 300s}) {
        ASSERT_EQ(plan(now).size(), 1U) << to_text(now);
        answer(now, false);
        EXPECT_THAT(plan(now + delay - 1ms), IsEmpty()) << to_text(delay);
        now += delay;
    }
    EXPECT_EQ(knowledge_.targets["eth0"].failed_total, 12U);
}

TEST_F(Transactions, OtherStepsThanThoseThatFailedGoAtOnceAndBeginAnew) {
    want("guard");
    for (const Duration at : {0s, 1s, 3s}) {
        ASSERT_EQ(plan(at).size(), 1U);
        answer(at, false);
    }
    want("drop");
    EXPECT_THAT(plan(3001ms), ElementsAre("eth0: attach drop (drv) (because baseline)"));
    answer(3001ms, false);
    EXPECT_THAT(plan(4000ms), IsEmpty());
    EXPECT_EQ(plan(4001ms).size(), 1U);
}

TEST_F(Transactions, ASuccessEndsTheBackOff) {
    want("guard");
    plan(0s);
    answer(0s, false);
    plan(1s);
    answer(1s, true);
    EXPECT_THAT(plan(2s), IsEmpty());
    knowledge_.actual["eth0"].xdp.reset();
    ASSERT_EQ(plan(10s).size(), 1U);
    answer(10s, false);
    EXPECT_EQ(plan(11s).size(), 1U) << "the first failure again";
}

TEST_F(Transactions, DriftIsAnsweredLikeAnyDifference) {
    want("guard");
    plan(0s);
    answer(0s, true);
    knowledge_.actual["eth0"].xdp->program = "foreign";
    EXPECT_THAT(plan(100ms), ElementsAre("eth0: replace by guard (because baseline)"));
}

// Else a value that the kernel does not keep would be written without end.
TEST_F(Transactions, TheSameStepsRightAfterASuccessWaitTheirSecond) {
    want("guard");
    plan(0s);
    answer(0s, true);
    knowledge_.actual["eth0"].xdp.reset();
    EXPECT_THAT(plan(999ms), IsEmpty());
    EXPECT_EQ(plan(1s).size(), 1U);
}

TEST_F(Transactions, AnAnswerToNothingDoesNotEndTheOneInFlight) {
    want("guard");
    plan(0s);
    Outcome stray;
    stray.id = TransactionId{99};
    stray.interface = "eth0";
    stray.actual = knowledge_.actual["eth0"];
    note_outcome(knowledge_, stray, at_ms(1));
    EXPECT_THAT(plan(5s), IsEmpty());
    EXPECT_EQ(knowledge_.targets["eth0"].failed_total, 0U);
}

TEST_F(Transactions, HaveIdsThatAreNeverUsedTwice) {
    want("guard");
    want("guard", "eth1");
    Decisions decisions;
    plan_transactions(knowledge_, at_ms(0), decisions);
    ASSERT_EQ(decisions.transactions.size(), 2U);
    EXPECT_NE(decisions.transactions[0].transaction.id, decisions.transactions[1].transaction.id);
}

TEST_F(Transactions, SayWhichOverlaysTheyAreFor) {
    want("guard");
    knowledge_.desired_because["eth0"] = {"a{}", "b{}"};
    EXPECT_THAT(plan(0s), ElementsAre("eth0: attach guard (drv) (because a{}, b{})"));
}

// Two entries that are one in the kernel would make the read-back and the desired state chase each other.
TEST_F(Transactions, AreHeldBackWhereATargetChangesTooOften) {
    std::size_t begun = 0;
    std::string told;
    for (int ms = 0; ms < 900; ++ms) {
        want(ms % 2 == 0 ? "a" : "b");
        Decisions decisions;
        plan_transactions(knowledge_, at_ms(ms), decisions);
        begun += decisions.transactions.size();
        for (const std::string& message : decisions.messages) told += message;
        for (const PlannedTransaction& planned : decisions.transactions) last_ = planned.transaction;
        if (!decisions.transactions.empty()) answer(Duration{ms}, true);
    }
    EXPECT_EQ(begun, 10U);
    EXPECT_EQ(told, "interface eth0 changes more than 10 times a second: further changes are held back");
    want("c");
    EXPECT_THAT(plan(2s), ElementsAre("eth0: replace by c (because baseline)"));
}

TEST_F(Transactions, ASwitchCarriesTheLongestGapSoFarAndTheOneThatIsAllowed) {
    want("guard");
    knowledge_.desired["eth0"].gap_max = 5ms;
    knowledge_.actual["eth0"].xdp = {"guard", XdpMode::skb, 1};
    plan(0s);
    EXPECT_EQ(std::get<SwitchXdpMode>(last_.steps.at(0)).gap, (GapLimit{.max = 5ms, .expected_ns = {}}));
    const auto left = [&](Duration at, std::int64_t gap_ns, bool covered) {
        Outcome outcome;
        outcome.id = last_.id;
        outcome.interface = "eth0";
        outcome.actual = knowledge_.actual["eth0"];
        outcome.gap = XdpGap{gap_ns, covered};
        note_outcome(knowledge_, outcome, at_ms(0) + at);
    };
    left(0s, 7'000'000, true);
    EXPECT_EQ(plan(1s).size(), 1U);
    left(1s, 3'000'000, false);
    EXPECT_THAT(plan(2s), IsEmpty()) << "a longer gap makes it no other step: the back-off goes on";
    EXPECT_EQ(plan(3s).size(), 1U);
    EXPECT_EQ(std::get<SwitchXdpMode>(last_.steps.at(0)).gap,
              (GapLimit{.max = 5ms, .expected_ns = 7'000'000}));
    EXPECT_EQ(knowledge_.targets["eth0"].gap_newest, (XdpGap{3'000'000, false}));
}

// A ladder that has settled in its lower mode.
class Climbs : public Transactions {
  protected:
    Climbs() {
        want("guard");
        knowledge_.desired["eth0"].ladder = {XdpMode::drv, XdpMode::skb};
        plan(0s);
        answer_in(0s, true, XdpMode::skb);
    }

    void answer_in(Duration at, bool ok, XdpMode mode) {
        Outcome outcome;
        outcome.id = last_.id;
        outcome.interface = "eth0";
        outcome.ok = ok;
        outcome.actual = knowledge_.actual["eth0"];
        outcome.actual.xdp = {"guard", mode, 1};
        note_outcome(knowledge_, outcome, at_ms(0) + at);
    }

    const std::string climb_ = "eth0: switch to guard (drv) (because baseline)";
};

TEST_F(Climbs, TryTheBetterModesAgainAfterTenMinutesAndSayThatOnce) {
    EXPECT_THAT(plan(0s),
                ElementsAre("message: interface eth0 is in mode skb, not in drv: drv is tried again in 10m"));
    EXPECT_THAT(plan(1s), IsEmpty());
    EXPECT_THAT(plan(10min - 1ms), IsEmpty());
    EXPECT_THAT(plan(10min), ElementsAre(climb_));
    answer_in(10min, true, XdpMode::drv);
    EXPECT_THAT(plan(10min), IsEmpty());
    EXPECT_THAT(plan(48h), IsEmpty());
}

TEST_F(Climbs, DoubleTheirTimeWithEachFailureUpToADayAndBeginAnewAfterASuccess) {
    plan(0s);
    Duration now{0};
    for (const Duration delay :
         {10min, 20min, 40min, 80min, 160min, 320min, 640min, 1280min, 1440min, 1440min}) {
        EXPECT_THAT(plan(now + delay - 1ms), IsEmpty()) << to_text(delay);
        now += delay;
        ASSERT_THAT(plan(now), ElementsAre(climb_)) << to_text(delay);
        answer_in(now, false, XdpMode::skb);
        EXPECT_EQ(plan(now).size(), 1U) << "when the next one is";
        EXPECT_THAT(plan(now + 5s), IsEmpty()) << "and no retry";
    }
    now += 24h;
    ASSERT_THAT(plan(now), ElementsAre(climb_));
    answer_in(now, true, XdpMode::drv);
    EXPECT_THAT(plan(now), IsEmpty());
    knowledge_.actual["eth0"].xdp->mode = XdpMode::skb;
    EXPECT_THAT(plan(now + 1s),
                ElementsAre("message: interface eth0 is in mode skb, not in drv: drv is tried again in 10m"));
}

TEST_F(Climbs, OfAThreeRungLadderMayEndHalfwayUp) {
    knowledge_.desired["eth0"].ladder = {XdpMode::hw, XdpMode::drv, XdpMode::skb};
    plan(0s);
    answer_in(0s, true, XdpMode::skb);
    plan(0s);
    ASSERT_THAT(plan(10min), ElementsAre("eth0: switch to guard (hw, else drv) (because baseline)"));
    answer_in(10min, true, XdpMode::drv);
    EXPECT_THAT(plan(10min),
                ElementsAre("message: interface eth0 is in mode drv, not in hw: hw is tried again in 10m"))
        << "the whole ladder stays settled";
}

TEST_F(Climbs, AreNotMadeWhereTheyAreSwitchedOff) {
    knowledge_.desired["eth0"].climb_after = 0s;
    EXPECT_THAT(plan(0s), IsEmpty());
    EXPECT_THAT(plan(48h), IsEmpty());
}

TEST_F(Climbs, LetOtherChangesGoFirst) {
    plan(0s);
    want("drop");
    EXPECT_THAT(plan(10min), ElementsAre("eth0: replace by drop (because baseline)"));
}

TEST_F(Transactions, AnOutcomeSaysNothingOfAnotherDeviceOrOfWhetherThereIsOne) {
    want("a");
    plan(0s);
    knowledge_.actual["eth0"] = {.present = true, .up = true, .index = 8, .xdp = {}, .entries = {}};
    Outcome outcome;
    outcome.id = last_.id;
    outcome.interface = "eth0";
    outcome.ok = true;
    outcome.actual = {
        .present = false, .up = false, .index = 7, .xdp = AttachedXdp{"a", XdpMode::drv, 1}, .entries = {}};
    note_outcome(knowledge_, outcome, at_ms(10));
    EXPECT_TRUE(knowledge_.actual["eth0"].present);
    EXPECT_FALSE(knowledge_.actual["eth0"].xdp);
}

} // namespace
} // namespace homeostat::test
