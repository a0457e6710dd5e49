#include "policies/contradictions.hpp"

#include "tests/policies/policy_run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace homeostat::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using namespace std::chrono_literals;

// The receipt of an overlay that is laid at the first tick.
Receipt honest_receipt() {
    PolicyRun run("[[symptom]]\nname = 'flood'\nraise = 'sum by (iface) (pps) > 100'\nclear = 'pps < 50'\n"
                  "[[symptom]]\nname = 'quiet'\nraise = 'pps < 0'\n"
                  "[[adaptation]]\nname = 'guard'\nwhen = 'flood and not quiet'\ncooldown = '5s'\n"
                  "set.interface.\"{{iface}}\".xdp.program = 'guard'\n");
    const Decisions decisions =
        run.tick(0s, {{"pps{iface='eth0',cpu='0'}", 80}, {"pps{iface='eth0',cpu='1'}", 30}});
    return decisions.receipts.at(0);
}

TEST(Contradictions, AreNoneInAReceiptAsItWasMade) {
    const Receipt receipt = honest_receipt();
    EXPECT_THAT(contradictions(receipt), IsEmpty());
    ASSERT_EQ(receipt.symptoms.size(), 1U);
    EXPECT_EQ(receipt.symptoms[0].seen.size(), 2U) << "both CPUs make the sum";
}

TEST(Contradictions, AreFoundWhereAValueWouldNotHaveRaised) {
    Receipt receipt = honest_receipt();
    receipt.symptoms[0].seen[0].value = 60;
    EXPECT_THAT(contradictions(receipt),
                ElementsAre(HasSubstr("raise is 'yes', but what it saw makes it 'no'")));
}

TEST(Contradictions, AreFoundWhereAValueIsLeftOut) {
    Receipt receipt = honest_receipt();
    receipt.symptoms[0].seen.clear();
    EXPECT_THAT(contradictions(receipt), ElementsAre(HasSubstr("makes it 'missing'")));
}

TEST(Contradictions, AreFoundWhereWhenDoesNotFollowFromItsSymptoms) {
    Receipt receipt = honest_receipt();
    receipt.symptoms[0].state = SymptomState::pending;
    EXPECT_THAT(contradictions(receipt), ElementsAre("when is 'yes', but what it saw makes it 'no'"));
}

TEST(Contradictions, AreFoundWhereAGateDoesNotFollowFromItsFacts) {
    Receipt receipt = honest_receipt();
    for (GateVerdict& gate : receipt.gates)
        if (gate.gate == "cooldown") gate.facts.since = gate.facts.now;
    EXPECT_THAT(contradictions(receipt), ElementsAre(HasSubstr("gate cooldown is ''")));
}

TEST(Contradictions, AreFoundInAnExpectation) {
    Receipt receipt = honest_receipt();
    receipt.expectation = {
        .expect = "drops > 0", .is = Truth::yes, .seen = {{"drops", labels_of("drops{x='1'}"), 5}}};
    EXPECT_THAT(contradictions(receipt), IsEmpty());
    receipt.expectation->seen[0].value = 0;
    EXPECT_THAT(contradictions(receipt), ElementsAre("expect is 'yes', but what it saw makes it 'no'"));
}

TEST(Contradictions, OfTruncatedEvidenceAreNotLookedFor) {
    Receipt receipt = honest_receipt();
    receipt.symptoms[0].seen.clear();
    receipt.symptoms[0].truncated = true;
    EXPECT_THAT(contradictions(receipt), IsEmpty());
}

} // namespace
} // namespace homeostat::test
