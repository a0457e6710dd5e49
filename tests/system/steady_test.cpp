// One flood is one change, however long it lasts.

#include "tests/system/controller.hpp"

#include <boost/json.hpp>

namespace homeostat::system_test {

namespace {

class Steadiness : public InLab {
  protected:
    // The flood from its first packet until well after the guard has gone.
    void expect_one_change(std::uint32_t packets_per_second, std::chrono::seconds time) {
        Controller controller =
            start_attached({.maps = std::string(urgent_limit)}, {.min_hold = "3s", .budget = "2/1h"});
        const std::uint32_t baseline = attached_id();
        lab::Traffic udp = flood(packets_per_second, time);
        controller.await(outcome_with("guard"), "the guard");
        const double most = 0.9 * packets_per_second * static_cast<double>(time.count());
        controller.await(signal_above("counted{proto=udp}", most), "the flood's packets");
        EXPECT_NE(attached_id(), baseline) << "the guard is gone although the flood is on";
        EXPECT_EQ(udp.wait().error, "");
        controller.await(outcome_with("counter"), "the baseline");
        EXPECT_EQ(attached_id(), baseline);
        for (int i = 0; i < 20; ++i) controller.await(signal_above("counted{proto=udp}", 0), "signals");
        EXPECT_EQ(controller.stop(), 0);

        EXPECT_EQ(controller.count(receipt_of("apply")), 1U);
        EXPECT_EQ(controller.count(receipt_of("remove")), 1U);
        EXPECT_EQ(controller.count(symptom_to("raised")), 1U);
        EXPECT_EQ(controller.count(symptom_to("inactive")), 1U);
        EXPECT_EQ(controller.count(failed_outcome()), 0U);
        EXPECT_EQ(controller.count([](const Event& event) {
            return receipt_of("wait")(event) &&
                   boost::json::serialize(event).find(R"("gate":"budget","open":false)") != std::string::npos;
        }),
                  0U)
            << "the budget had to hold it";
    }
};

TEST_F(Steadiness, ABurstOfOneSecondIsGuardedOnce) { expect_one_change(20'000, std::chrono::seconds{1}); }

TEST_F(Steadiness, AFloodOfAMinuteIsGuardedOnceUntilItEnds) {
    expect_one_change(20'000, std::chrono::seconds{60});
}

} // namespace

} // namespace homeostat::system_test
