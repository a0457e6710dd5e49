#include "policies/policy_set.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace homeostat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

PolicySet set_of(const std::vector<std::string>& files, Diagnostics& diagnostics,
                 const ProvidedMetrics* provided) {
    std::vector<PolicyDocument> documents;
    for (std::size_t i = 0; i < files.size(); ++i)
        documents.push_back(read_policy("version = 1\n" + files[i], "p" + std::to_string(i), diagnostics));
    return make_policy_set(std::move(documents), provided, diagnostics);
}

std::vector<std::string> mistakes(const std::vector<std::string>& files,
                                  const ProvidedMetrics* provided = nullptr) {
    Diagnostics diagnostics;
    (void)set_of(files, diagnostics, provided);
    std::vector<std::string> lines;
    for (const Diagnostic& diagnostic : diagnostics) lines.push_back(to_text(diagnostic));
    std::ranges::sort(lines);
    return lines;
}

std::string signal(const std::string& name, const std::string& expr) {
    return "[[signal]]\nname = '" + name + "'\nexpr = '" + expr + "'\n";
}

std::vector<std::string> order_of(const std::vector<std::string>& files) {
    Diagnostics diagnostics;
    std::vector<std::string> names;
    for (const SignalRule& s : set_of(files, diagnostics, nullptr).signals) names.push_back(s.name.text);
    EXPECT_THAT(diagnostics, IsEmpty());
    return names;
}

TEST(PolicySet, SaysWhereANameThatIsNotHereIsDeclared) {
    const std::string rules = "[[symptom]]\nname = 's'\nraise = 'lod > 1'\n[[adaptation]]\nname = 'a'\n"
                              "when = 's and flood'\ninhibits = ['guard', 'gard']\n"
                              "set.interface.eth0.xdp.program = 'x'\n";
    Diagnostics diagnostics;
    std::vector<PolicyDocument> documents;
    documents.push_back(read_policy("version = 1\n" + rules, "p", diagnostics));
    const ProvidedMetrics provided{"load"};
    (void)make_policy_set(std::move(documents), &provided, diagnostics,
                          {.metrics = {{"lod", "see m"}},
                           .symptoms = {{"flood", "see s"}},
                           .adaptations = {{"guard", "see a"}}});
    std::vector<std::string> lines;
    for (const Diagnostic& diagnostic : diagnostics) lines.push_back(to_text(diagnostic));
    EXPECT_THAT(lines,
                testing::UnorderedElementsAre(
                    "p:4:10: no sensor and no signal provides 'lod'; see m",
                    "p:7:15: no symptom is named 'flood'; see s",
                    "p:8:14: no adaptation is named 'guard'; see a",
                    "p:8:23: no adaptation is named 'gard'; declare it with [[adaptation]], here or in "
                    "another policy that is given too"));
}

TEST(PolicySet, PutsASignalAfterThoseThatItReads) {
    EXPECT_THAT(order_of({signal("a", "b + c") + signal("b", "c") + signal("c", "up") + signal("d", "up")}),
                ElementsAre("c", "b", "a", "d"));
}

TEST(PolicySet, HasOneOrderWhateverTheOrderOfFilesAndRules) {
    const std::string a = signal("a", "c");
    const std::string b = signal("b", "up");
    const std::string c = signal("c", "up");
    EXPECT_EQ(order_of({a + b, c}), order_of({c, b + a}));
    EXPECT_EQ(order_of({a, b, c}), order_of({b + c + a}));
}

TEST(PolicySet, RefusesSignalsInACircleWithThePlace) {
    EXPECT_THAT(mistakes({signal("a", "1 + b") + signal("b", "rate(a[5m])")}),
                ElementsAre("p0:7:14: signal 'b' reads 'a', which reads it in turn; break the circle"));
    EXPECT_THAT(mistakes({signal("a", "a + 1")}), ElementsAre(HasSubstr("p0:4:9: signal 'a' reads 'a'")));
}

TEST(PolicySet, RefusesNamesThatStandTwiceAlsoInTwoFiles) {
    const std::string symptom = "[[symptom]]\nname = 's'\nraise = 'up'\n";
    const std::string adaptation =
        "[[adaptation]]\nname = 'a'\nwhen = 's'\nset.interface.eth0.xdp.program = 'p'\n";
    EXPECT_THAT(
        mistakes({symptom + adaptation + signal("g", "up"), signal("g", "up") + adaptation + symptom}),
        testing::UnorderedElementsAre("p1:3:9: signal 'g' stands twice; the first is at p0:10",
                                      "p1:6:9: adaptation 'a' stands twice; the first is at p0:6",
                                      "p1:10:9: symptom 's' stands twice; the first is at p0:3"));
}

TEST(PolicySet, RefusesASymptomThatNobodyDeclares) {
    EXPECT_THAT(mistakes({"[[symptom]]\nname = 'flood'\nraise = 'up'\n[[adaptation]]\nname = 'a'\n"
                          "when = 'flood and not flod'\nset.interface.eth0.xdp.program = 'p'\n"}),
                ElementsAre("p0:7:23: no symptom is named 'flod'; did you mean 'flood'?"));
}

TEST(PolicySet, RefusesMetricsThatNobodyProvides) {
    const ProvidedMetrics provided{"xdp_packets_total", "link_up"};
    EXPECT_THAT(
        mistakes({signal("pps", "rate(xdp_packet_total[1s])") +
                  "[[symptom]]\nname = 's'\nraise = 'pps > 5 and link_up == 1'\nclear = 'nothing < 5'\n"},
                 &provided),
        ElementsAre("p0:4:14: no sensor and no signal provides 'xdp_packet_total'; did you mean "
                    "'xdp_packets_total'?",
                    "p0:8:10: no sensor and no signal provides 'nothing'; declare a sensor or a signal of "
                    "this name"));
}

TEST(PolicySet, DoesNotJudgeMetricsWithoutKnowingTheSensors) {
    EXPECT_THAT(mistakes({signal("pps", "whatever")}), IsEmpty());
}

TEST(PolicySet, RefusesASignalWithTheNameOfASensorsMetric) {
    const ProvidedMetrics provided{"link_up"};
    EXPECT_THAT(mistakes({signal("link_up", "link_up * 2")}, &provided),
                testing::Contains(HasSubstr("p0:3:9: 'link_up' is a metric that")));
}

TEST(PolicySet, KnowsHowLongEachSeriesMustBeKept) {
    Diagnostics diagnostics;
    const PolicySet set =
        set_of({signal("a", "rate(m{x=\"1\"}[5s]) + sum_over_time(m[2s] offset 1s)") +
                "[[symptom]]\nname = 's'\nraise = 'm > 5'\nclear = 'max_over_time(m{x=\"2\"}[1m]) < 5'\n"},
               diagnostics, nullptr);
    EXPECT_THAT(diagnostics, IsEmpty());
    EXPECT_EQ(set.history_for({{"__name__", "m"}, {"x", "1"}}), Duration{std::chrono::seconds{5}});
    EXPECT_EQ(set.history_for({{"__name__", "m"}, {"x", "2"}}), Duration{std::chrono::minutes{1}});
    EXPECT_EQ(set.history_for({{"__name__", "m"}, {"x", "3"}}), Duration{std::chrono::seconds{3}});
    EXPECT_EQ(set.history_for({{"__name__", "n"}}), Duration{0});
    EXPECT_EQ(set.symptoms.at(0).clear_window, Duration{std::chrono::minutes{1}});
}

TEST(PolicySet, AChainMayBeAsLongAsAFile) {
    constexpr int count = 10'000;
    std::string file;
    for (int i = 0; i < count; ++i) file += signal("a" + std::to_string(i), "a" + std::to_string(i + 1));
    const std::vector<std::string> order = order_of({file});
    ASSERT_EQ(order.size(), std::size_t{count});
    EXPECT_EQ(order.front(), "a" + std::to_string(count - 1));
    EXPECT_EQ(order.back(), "a0");
}

TEST(PolicySet, TellsOfThousandsOfUnknownNames) {
    const ProvidedMetrics provided{"pps"};
    std::string file;
    for (int i = 0; i < 1'000; ++i) file += signal("s" + std::to_string(i), "pp" + std::to_string(i));
    EXPECT_EQ(mistakes({file}, &provided).size(), 1'000U);
}

} // namespace
} // namespace homeostat
