#include "tests/policies/lint/told.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace homeostat::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

const std::string two_symptoms =
    "[[symptom]]\nname = 's'\nraise = 'x > 0'\n[[symptom]]\nname = 't'\nraise = 'y > 0'\n";

std::string adaptation(const std::string& name, const std::string& when, const std::string& set,
                       const std::string& more = "") {
    return "[[adaptation]]\nname = '" + name + "'\nwhen = '" + when + "'\n" + more + "\nset.interface." +
           set + "\n";
}

std::vector<std::string> told(const std::string& a, const std::string& b) {
    return lint_told(two_symptoms + a + b);
}

const std::string eth0_guard = "eth0.xdp.program = 'guard'";

TEST(Adaptations, FightOverOneAttributeAtOnePriority) {
    EXPECT_THAT(
        told(adaptation("a", "s", eth0_guard), adaptation("b", "t", "eth0.xdp.program = 'drop'")),
        ElementsAre(
            "17:35: warning: 'a' and 'b' set xdp.program at the same priority, 0: 'a' wins by its name; "
            "give them different priorities, or let one inhibit the other [fight]"));
    EXPECT_THAT(told(adaptation("a", "s", "\"{{iface}}\".maps.limits.udp = 5"),
                     adaptation("b", "t", "eth0.maps.limits.\"{{proto}}\" = 6")),
                ElementsAre(HasSubstr("set entries of maps.limits at the same priority")));
    EXPECT_THAT(
        told(adaptation("a", "s", "eth0.xdp.mode = 'drv'"), adaptation("b", "t", "eth0.xdp.mode = 'skb'")),
        ElementsAre(HasSubstr("set xdp.mode")));
}

TEST(Adaptations, DoNotFightWhereAnOrderIsMeant) {
    const std::string drop = "eth0.xdp.program = 'drop'";
    EXPECT_THAT(told(adaptation("a", "s", eth0_guard), adaptation("b", "t", drop, "priority = 1")),
                IsEmpty());
    EXPECT_THAT(told(adaptation("a", "s", eth0_guard), adaptation("b", "t", drop, "inhibits = 'a'")),
                IsEmpty());
    EXPECT_THAT(told(adaptation("a", "s", eth0_guard), adaptation("b", "t and not s", drop)), IsEmpty());
    EXPECT_THAT(told(adaptation("a", "s", eth0_guard), adaptation("b", "t", eth0_guard)), IsEmpty())
        << "they want the same";
    EXPECT_THAT(told(adaptation("a", "s", eth0_guard), adaptation("b", "t", "eth1.xdp.program = 'drop'")),
                IsEmpty());
    EXPECT_THAT(told(adaptation("a", "s", "eth0.maps.limits.udp = 5"),
                     adaptation("b", "t", "eth0.maps.limits.tcp = 6")),
                IsEmpty());
    EXPECT_THAT(told(adaptation("a", "s", eth0_guard), adaptation("b", "t", drop, "enforcement = 'shadow'")),
                IsEmpty());
}

TEST(Adaptations, ThatRequireEachOtherStillFight) {
    EXPECT_THAT(told(adaptation("a", "s", eth0_guard),
                     adaptation("b", "t", "eth0.xdp.program = 'drop'", "requires = 'a'")),
                ElementsAre(HasSubstr("[fight]")))
        << "both are active then";
}

TEST(Adaptations, AreNotOffForGood) {
    EXPECT_THAT(told(adaptation("a", "s or t", eth0_guard, "enforcement = 'off'"), ""),
                ElementsAre(StartsWith("9:9: warning: 'a' is off: it does not even decide")));
    EXPECT_THAT(told(adaptation("a", "s or t", eth0_guard, "enforcement = 'shadow'"), ""), IsEmpty());
}

TEST(Adaptations, RequireOnlyWhatCanBeActive) {
    const std::string b = adaptation("b", "t", "eth1.xdp.program = 'guard'", "requires = 'a'");
    EXPECT_THAT(
        told(adaptation("a", "s", eth0_guard, "enforcement = 'off'"), b),
        ElementsAre(HasSubstr("[off]"),
                    HasSubstr("'b' is never applied: it requires 'a', which is off; enforce that one")));
    EXPECT_THAT(told(adaptation("a", "s", eth0_guard, "enforcement = 'shadow'"), b),
                ElementsAre(HasSubstr("which is in shadow")));
    EXPECT_THAT(told(adaptation("a", "s", eth0_guard), b), IsEmpty());
}

TEST(Damping, LeavesRoomForOneApplication) {
    EXPECT_THAT(told(adaptation("a", "s or t", eth0_guard, "damp = { suppress = 1000, reuse = 500 }"), ""),
                ElementsAre(HasSubstr("[damps-at-once]")));
    EXPECT_THAT(told(adaptation("a", "s or t", eth0_guard, "cooldown = '30m'\ndamp = {}"), ""),
                ElementsAre(HasSubstr("[damp-never-binds]")));
    EXPECT_THAT(told(adaptation("a", "s or t", eth0_guard, "damp = {}"), ""), IsEmpty());
    // A rollback ends it before min_hold, and its back-off holds it off.
    const std::string rolls_back =
        "min_hold = '1h'\nverify = { expect = 'pps < 1', within = '5s', backoff = ";
    EXPECT_THAT(told(adaptation("a", "s or t", eth0_guard, rolls_back + "'30m' }\ndamp = {}"), ""),
                ElementsAre(HasSubstr("applications are at least 30m5s apart")));
    EXPECT_THAT(told(adaptation("a", "s or t", eth0_guard, rolls_back + "'30s' }\ndamp = {}"), ""),
                IsEmpty());
}

std::vector<std::string> verify_told(const std::string& more) {
    return told(adaptation("a", "s or t", eth0_guard, more), "");
}

TEST(Verification, IsSoonEnoughAndNotTooSoon) {
    EXPECT_THAT(verify_told("verify = { expect = 'rate(x[10s]) > 0', within = '5s' }"),
                ElementsAre(HasSubstr(
                    "'expect' looks back 10s, within 5s of the change: it always sees what was before")));
    EXPECT_THAT(verify_told("verify = { expect = 'x > 0', within = '150ms' }"),
                ElementsAre(HasSubstr("[verify-too-soon]")));
    EXPECT_THAT(verify_told("verify = { expect = 'rate(x[1s]) > 0', within = '5s' }"), IsEmpty());
}

TEST(Verification, TakesBackWhatDoesNotWork) {
    EXPECT_THAT(verify_told("verify = { expect = 'x > 0', otherwise = 'report' }"),
                ElementsAre(HasSubstr("[verify-reports-only]")));
    EXPECT_THAT(verify_told("verify = { expect = 'x > 0', otherwise = 'rollback' }"), IsEmpty());
}

} // namespace
} // namespace homeostat::test
