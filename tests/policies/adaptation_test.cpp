#include "policies/gates.hpp"
#include "tests/policies/policy_run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace homeostat::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

// Guards the interface while pps > 100; `more` is added to the adaptation.
std::string guard(const std::string& more) {
    return "[[symptom]]\nname = 'flood'\nraise = 'pps > 100'\n[[adaptation]]\nname = 'guard'\nwhen = "
           "'flood'\n" +
           more + "\nset.interface.\"{{iface}}\".xdp.program = 'guard'\n";
}

// What is decided of adaptations.
std::vector<std::string> receipts(PolicyRun& run, const std::string& values,
                                  const std::string& series = "pps{iface='eth0'}") {
    std::vector<std::string> lines = run.play({{series, values}});
    std::erase_if(lines, [](const std::string& line) { return line.find(" flood{") != std::string::npos; });
    return lines;
}

std::vector<std::string> receipts(const std::string& policy, const std::string& values) {
    PolicyRun run(policy);
    return receipts(run, values);
}

const std::string apply = "apply guard{iface=\"eth0\"}";
const std::string remove = "remove guard{iface=\"eth0\"}";
const std::string waits = "wait guard{iface=\"eth0\"}";

TEST(Gates, WithoutAnyAnOverlayComesAndGoesWithItsSymptom) {
    EXPECT_THAT(receipts(guard(""), "200x2 0 0 200"),
                ElementsAre("0s " + apply, "3s " + remove, "5s " + apply));
}

TEST(Gates, CooldownCountsFromTheRemoval) {
    EXPECT_THAT(receipts(guard("cooldown = '3s'"), "200x4 0 200x9"),
                ElementsAre("0s " + apply, "5s " + remove,
                            "6s " + waits + ": cooldown closed: until 2001-09-09T01:46:48.000Z",
                            "8s " + apply));
}

TEST(Gates, CooldownIsOfEachInstance) {
    PolicyRun run(guard("cooldown = '9s'"));
    EXPECT_THAT(run.play({{"pps{iface='eth0'}", "200 0"}, {"pps{iface='eth1'}", "_ _ 200"}}),
                testing::Contains("2s apply guard{iface=\"eth1\"}"));
}

TEST(Gates, MinHoldDelaysTheRemovalAndSaysSoOnce) {
    EXPECT_THAT(receipts(guard("min_hold = '5s'"), "200 0x9"),
                ElementsAre("0s " + apply,
                            "1s " + waits + ": min_hold closed: until 2001-09-09T01:46:45.000Z",
                            "5s " + remove));
}

TEST(Gates, MinHoldIsForgottenWhereTheSymptomComesBack) {
    EXPECT_THAT(receipts(guard("min_hold = '5s'"), "200 0 200x6 0"),
                ElementsAre("0s " + apply, HasSubstr("1s " + waits), "9s " + remove));
}

TEST(Gates, BudgetCountsApplicationsInASlidingWindowAndNoUndo) {
    EXPECT_THAT(
        receipts(guard("budget = '2/6s'"), "200 0 200 0 200 200 200 200 0 200"),
        ElementsAre("0s " + apply, "1s " + remove, "2s " + apply, "3s " + remove,
                    "4s " + waits + ": budget closed: 2 in the last 6s, until 2001-09-09T01:46:46.000Z",
                    "6s " + apply, "8s " + remove, "9s " + apply));
}

TEST(Gates, BudgetIsOfTheAdaptationOverAllInstances) {
    PolicyRun run(guard("budget = '1/1h'"));
    const auto lines = run.play({{"pps{iface='eth0'}", "200x3"}, {"pps{iface='eth1'}", "200x3"}});
    EXPECT_THAT(lines, testing::Contains("0s apply guard{iface=\"eth0\"}"));
    EXPECT_THAT(lines, testing::Contains(
                           HasSubstr("0s wait guard{iface=\"eth1\"}: budget closed: 1 in the last 1h")));
}

TEST(Gates, ABudgetOfNoneNeverOpensAlsoAfterAReload) {
    PolicyRun run(guard("budget = '2/1h'"));
    run.tick(0s, {{"pps{iface='eth0'}", 200}});
    run.tick(1s, {{"pps{iface='eth0'}", 0}});
    run.reload(guard("budget = '0/1h'"));
    EXPECT_THAT(lines_of(run.tick(2s, {{"pps{iface='eth0'}", 200}})),
                testing::Contains(waits + ": budget closed: 0 in the last 1h"));
}

TEST(Gates, ChangesPerMinuteStandAboveAllAdaptations) {
    PolicyRun run(
        guard("") +
        "[[adaptation]]\nname = 'also'\nwhen = 'flood'\nset.interface.\"{{iface}}\".maps.m.k = 1\n");
    run.plan.changes_per_minute_max = 1;
    const auto lines = receipts(run, "200x70");
    EXPECT_THAT(
        lines,
        ElementsAre("0s apply also{iface=\"eth0\"}",
                    "0s " + waits +
                        ": changes_per_minute closed: 1 in the last 1m, until 2001-09-09T01:47:40.000Z",
                    "1m " + apply));
}

TEST(Gates, ShadowsChangeNothingAndDoNotUseUpChanges) {
    PolicyRun run(guard("enforcement = 'shadow'"));
    run.plan.changes_per_minute_max = 1;
    EXPECT_THAT(receipts(run, "200 0 200"), ElementsAre("0s apply (shadow) guard{iface=\"eth0\"}",
                                                        "1s remove (shadow) guard{iface=\"eth0\"}",
                                                        "2s apply (shadow) guard{iface=\"eth0\"}"));
    EXPECT_EQ(run.knowledge.desired, two_interfaces());
}

TEST(Gates, AnAdaptationThatIsOffSaysSoOnceAndNeverApplies) {
    PolicyRun run(guard("enforcement = 'off'"));
    EXPECT_THAT(receipts(run, "200x5"),
                ElementsAre("0s wait (off) guard{iface=\"eth0\"}: enforcement closed: off"));
    EXPECT_FALSE(run.active("guard", "{iface='eth0'}"));
}

TEST(Gates, AnAbsentLabelIsAGateAndNoEmptyString) {
    PolicyRun run(guard(""));
    EXPECT_THAT(receipts(run, "200x3", "pps{other='x'}"),
                ElementsAre("0s wait guard{other=\"x\"}: target closed: label 'iface' is absent"));
}

TEST(Gates, AnInterfaceThatIsNotManagedIsAGate) {
    PolicyRun run(guard(""));
    EXPECT_THAT(
        receipts(run, "200x3", "pps{iface='wan0'}"),
        ElementsAre("0s wait guard{iface=\"wan0\"}: target closed: interface 'wan0' is not managed here"));
}

TEST(Gates, EveryGateIsToldWithItsVerdict) {
    PolicyRun run(guard("cooldown = '1m'\nbudget = '1/1h'"));
    const Decisions decisions = run.tick(0s, {{"pps{iface='eth0'}", 200}});
    std::vector<std::string> names;
    for (const GateVerdict& gate : decisions.receipts.at(0).gates) {
        names.push_back(gate.gate);
        EXPECT_TRUE(gate.open) << gate.gate;
    }
    const auto all = gates_of_applying();
    EXPECT_EQ(names, std::vector<std::string>(all.begin(), all.end()));
}

TEST(Gates, AReceiptComesWithEachChangeOfVerdictsOnly) {
    // Cooldown and budget close together and open one after the other.
    EXPECT_THAT(
        receipts(guard("cooldown = '2s'\nbudget = '1/6s'"), "200 0 200x9"),
        ElementsAre("0s " + apply, "1s " + remove,
                    "2s " + waits +
                        ": cooldown closed: until 2001-09-09T01:46:43.000Z; budget closed: 1 in the "
                        "last 6s, until 2001-09-09T01:46:46.000Z",
                    "3s " + waits + ": budget closed: 1 in the last 6s, until 2001-09-09T01:46:46.000Z",
                    "6s " + apply));
}

TEST(Gates, AWaitingInstanceWhoseSymptomClearsIsForgotten) {
    PolicyRun run(guard("enforcement = 'off'"));
    receipts(run, "200 0");
    EXPECT_THAT(run.knowledge.adaptations.at("guard").instances, IsEmpty());
}

TEST(Receipts, AreNumberedWithoutGapsAndSayWhatWasSeen) {
    PolicyRun run(guard(""));
    const Decisions first = run.tick(0s, {{"pps{iface='eth0'}", 200}});
    const Receipt& receipt = first.receipts.at(0);
    EXPECT_EQ(receipt.id, 1U);
    EXPECT_EQ(receipt.when, "flood");
    EXPECT_THAT(receipt.targets, ElementsAre("eth0"));
    ASSERT_EQ(receipt.symptoms.size(), 1U);
    EXPECT_EQ(receipt.symptoms[0].seen,
              (std::vector<SeenValue>{{"pps", labels_of("pps{iface='eth0'}"), 200}}));
    EXPECT_EQ(run.tick(1s, {{"pps{iface='eth0'}", 0}}).receipts.at(0).id, 2U);
}

TEST(Adaptations, BeyondTheirLimitAreToldOnce) {
    PolicyRun run(guard(""));
    run.plan.instances_per_adaptation_max = 1;
    const auto lines = run.play({{"pps{iface='eth0'}", "200x3"}, {"pps{iface='eth1'}", "200x3"}});
    EXPECT_EQ(std::ranges::count_if(
                  lines, [](const std::string& line) { return line.find("message:") != std::string::npos; }),
              1);
    EXPECT_THAT(lines, testing::Contains(
                           "0s message: adaptation guard has 1 instances, its limit: more are ignored"));
    EXPECT_FALSE(run.active("guard", "{iface='eth1'}"));
}

} // namespace
} // namespace homeostat::test
