#include "engine/policy_test/mutation.hpp"
#include "policies/promql/parser.hpp"
#include "tests/engine/policy_test/kit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace homeostat::policy_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

std::vector<std::string> changed(std::string_view expression) {
    std::vector<std::string> texts;
    for (const ChangedExpr& change : changes_of(promql::parse(expression).value()))
        texts.push_back(promql::to_text(change.expr));
    return texts;
}

TEST(MutationOfExpressions, ChangesOneThingAtATime) {
    EXPECT_THAT(changed("a > 10"), UnorderedElementsAre("a >= 10", "a < 10", "a > 20", "a > 5"));
    EXPECT_THAT(changed("a == 0"), UnorderedElementsAre("a != 0", "a == 1"));
    EXPECT_THAT(changed("a or b"), UnorderedElementsAre("a and b", "a", "b"));
    EXPECT_THAT(changed("a and b"), UnorderedElementsAre("a or b", "a"));
    EXPECT_THAT(changed("a unless b"), UnorderedElementsAre("a and b", "a"));
    EXPECT_THAT(changed("sum(a{x=\"1\"})"), UnorderedElementsAre("max(a{x=\"1\"})", "sum(a)"));
    EXPECT_THAT(changed("rate(a[2s])"),
                UnorderedElementsAre("increase(a[2s])", "rate(a[4s])", "rate(a[1s])"));
}

TEST(MutationOfExpressions, LeavesOutWhatIsTheSame) {
    EXPECT_THAT(changed("rate(a[1s])"), UnorderedElementsAre("rate(a[2s])", "rate(a[500ms])"))
        << "an increase over a second is its rate";
}

struct Tried {
    std::vector<std::string> survivors;
    std::size_t killed = 0;
};

Tried try_all(std::string_view cases) {
    const PolicyTest test = test_of(cases);
    Tried tried;
    std::size_t likely = 0;
    for (const Mutant& mutant : mutants_of(test.policies)) {
        const Fate fate = try_mutant(test, mutant, likely);
        if (fate == Fate::killed) ++tried.killed;
        if (fate == Fate::survived)
            tried.survivors.push_back(std::to_string(mutant.at.line) + ":" +
                                      std::to_string(mutant.at.column) + ": " + mutant.what);
    }
    return tried;
}

TEST(Mutation, LeavesAloneWhatOnlyStandsBeside) {
    const PolicyTest test = test_of(R"([[test]]
name = "nothing"
lasts = "1s"
[[test.expect]]
at = "1s"
active = []
)");
    EXPECT_FALSE(mutants_of(test.policies).empty());
    EXPECT_TRUE(mutants_of(test.policies, 1).empty());
}

TEST(Mutation, ChangesTheNumbersOfDampThatAreWrittenAndFitTogether) {
    constexpr std::string_view policy = R"(version = 1
[[symptom]]
name  = "flood"
raise = 'pps > 100'
[[adaptation]]
name = "guard"
when = "flood"
damp = { half_life = "10s", suppress = 2_000, reuse = 1_500 }
set.interface."{{iface}}".xdp.program = "guard"
)";
    const PolicyTest test =
        test_of("[[test]]\nname = \"t\"\n[[test.expect]]\nat = \"1s\"\nactive = []\n", policy);
    std::vector<std::string> changes;
    for (const Mutant& mutant : mutants_of(test.policies))
        if (mutant.what.find("damp") != std::string::npos) changes.push_back(mutant.what);
    EXPECT_THAT(changes, UnorderedElementsAre("adaptation guard: damp is gone",
                                              "adaptation guard: damp.half_life 10s becomes 20s",
                                              "adaptation guard: damp.half_life 10s becomes 5s",
                                              "adaptation guard: damp.suppress 2000 becomes 4000",
                                              "adaptation guard: damp.reuse 1500 becomes 750"));
}

TEST(Mutation, ATestThatSaysLittleNoticesLittle) {
    const Tried tried = try_all(R"([[test]]
name = "guarded"
series = [{ series = 'pps{iface="eth0"}', values = "200x9" }]
[[test.expect]]
at = "9s"
active = ["guard"]
)");
    EXPECT_GT(tried.killed, 0U);
    EXPECT_THAT(tried.survivors, Contains("4:14: symptom flood, raise: > becomes >="));
    EXPECT_THAT(tried.survivors, Contains("6:9: symptom flood: for 1s is gone"));
    EXPECT_THAT(tried.survivors, Contains("11:12: adaptation guard: min_hold 5s becomes 10s"));
    EXPECT_THAT(tried.survivors, Contains("15:19: adaptation guard: maps.limits.udp.pps 10 becomes 11"));
}

TEST(Mutation, ATestThatSaysAllNoticesAll) {
    const Tried tried = try_all(R"(
[[test]]
name = "the thresholds are where they are"
series = [{ series = 'pps{iface="eth0"}', values = "60x2 100x2 101x3 60x8 50x4 49x4" }]
[[test.expect]]
at = "8s"
interface.eth0.xdp.program = "guard"
interface.eth0.maps.limits.udp = { pps = 10 }
[[test.expect]]
from = "7s"
until = "19s"
symptoms = { flood = "raised" }
[[test.expect]]
at = "22s"
symptoms = { flood = "clearing" }
[[test.expect]]
at = "23s"
symptoms = { flood = "inactive" }
[[test.expect]]
decisions = ["7s apply guard", "23s remove guard"]
[[test]]
name = "a short flood is guarded for five seconds, and the next one four seconds later"
series = [{ series = 'pps{iface="eth0"}', values = "200x1 30x5 200x9" }]
[[test.expect]]
decisions = ["1s apply guard", "6s remove guard", "10s apply guard"]
[[test]]
name = "no data changes nothing"
series = [{ series = 'pps{iface="eth0"}', values = "200x2 1 stale _x5" }]
[[test.expect]]
from = "3s"
until = "8s"
symptoms = { flood = "clearing" }
)");
    EXPECT_THAT(tried.survivors, IsEmpty());
    EXPECT_GT(tried.killed, 25U);
}

} // namespace
} // namespace homeostat::policy_test
