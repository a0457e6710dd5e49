#include "tests/engine/policy_test/kit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace homeostat::policy_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using namespace std::chrono_literals;

std::string mistakes_of(const std::string& text) {
    Diagnostics diagnostics;
    auto test = read_policy_test(text, "t.toml", diagnostics);
    std::vector<PolicyDocument> policies{read_policy(flood_policy, "flood.toml", diagnostics)};
    if (test) take_policies(*test, std::move(policies), diagnostics);
    return texts_of(diagnostics);
}

constexpr std::string_view small_case = R"([[test]]
name = "t"
series = [{ series = 'pps{iface="eth0"}', values = "1x9" }]
[[test.expect]]
symptoms = { flood = "inactive" }
)";

TEST(TestDocument, HasDefaultsForWhatItDoesNotName) {
    const PolicyTest test = test_of(small_case);
    ASSERT_EQ(test.cases.size(), 1U);
    EXPECT_EQ(test.period, 1s);
    EXPECT_EQ(test.cases[0].end, 9s) << "the last value";
    EXPECT_EQ(test.cases[0].series[0].sensor, default_sensor);
    EXPECT_EQ(test.programs, (std::vector<std::string>{"counter", "guard"}));
    EXPECT_EQ(to_text(test.start), "2026-01-01T00:00:00.000Z");
}

TEST(TestDocument, IsRecognisedByItsTests) {
    EXPECT_TRUE(is_policy_test(with_head(small_case)));
    EXPECT_FALSE(is_policy_test(flood_policy));
}

TEST(TestDocument, AllItsMistakesAreToldWithTheirPlaces) {
    const std::string told = mistakes_of(with_head(R"(start = "yesterday"
[[test]]
name = "t"
series = [{ series = 'pps{iface=~"e"}', values = "1 two" }]
event = [{ at = "1s" }, { at = "2s", gone = "eth7" }]
outcome = [{ nth = 1 }, { interface = "eth8", fails = "x" }]
[[test.expect]]
at = "1s"
until = "2s"
symptoms = { flod = "raised", flood = "up" }
[[test.expect]]
decisions = ["keep guard"]
waits = { guard = "mood" }
[[test.invariant]]
from = "1s"
)"));
    EXPECT_THAT(told, AllOf(HasSubstr("'interface.start'"), HasSubstr("t.toml:9:27: a series has"),
                            HasSubstr("'two' is no value"), HasSubstr("nothing happens in this event"),
                            HasSubstr("interface 'eth7' is not managed here"),
                            HasSubstr("t.toml:11:39: interface 'eth8' is not managed here"),
                            HasSubstr("the outcome changes nothing")));
    EXPECT_THAT(told, AllOf(HasSubstr("'at' stands beside a range"), HasSubstr("no symptom 'flod'"),
                            HasSubstr("did you mean 'flood'?"), HasSubstr("'keep guard' is no decision"),
                            HasSubstr("\"mood\""), HasSubstr("the invariant says nothing")));
}

TEST(TestDocument, SaysHowManyValuesASeriesMayHave) {
    EXPECT_THAT(mistakes_of(with_head(R"([[test]]
name = "t"
series = [{ series = 'pps', values = "1x5000000" }]
)")),
                HasSubstr("'1x5000000' makes it more than 1000000 values"));
}

TEST(TestDocument, ASeriesThatNothingReadsIsAMistake) {
    EXPECT_THAT(mistakes_of(with_head(R"([[test]]
name = "t"
series = [{ series = 'ppps{iface="eth0"}', values = "1" }]
[[test.expect]]
active = []
)")),
                HasSubstr("nothing reads the series 'ppps{iface=\"eth0\"}'; did you mean 'pps'?"));
}

TEST(TestDocument, ATestThatExpectsNothingIsAMistake) {
    EXPECT_THAT(mistakes_of(with_head("[[test]]\nname = \"t\"\n")), HasSubstr("the test expects nothing"));
    EXPECT_THAT(mistakes_of(with_head("")), HasSubstr("there is no test"));
}

} // namespace
} // namespace homeostat::policy_test
