#include "policies/when.hpp"

#include "tests/policies/script.hpp"

#include <gtest/gtest.h>

namespace homeostat {
namespace {

using test::labels_of;

struct Mistake {
    std::string text;
    int offset;
    std::string told;
};

void PrintTo(const Mistake& mistake, std::ostream* out) { *out << mistake.text; }

class WrongConditions : public testing::TestWithParam<Mistake> {};

TEST_P(WrongConditions, AreRefusedWithTheOffsetOfTheMistake) {
    const auto parsed = parse_when(GetParam().text);
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().number, GetParam().offset) << parsed.error().what;
    EXPECT_NE(parsed.error().what.find(GetParam().told), std::string::npos) << parsed.error().what;
}

INSTANTIATE_TEST_SUITE_P(When, WrongConditions,
                         testing::Values(Mistake{"", 0, "found the end"}, Mistake{"   ", 3, "found the end"},
                                         Mistake{"a and", 5, "found the end"},
                                         Mistake{"a b", 2, "found 'b', expected 'and', 'or' or the end"},
                                         Mistake{"a or or b", 5, "found 'or'"},
                                         Mistake{"(a or b", 7, "expected ')'"}, Mistake{"a)", 1, "found ')'"},
                                         Mistake{"a & b", 2, "found '&'"}, Mistake{"and", 0, "found 'and'"},
                                         Mistake{"not", 3, "found the end"}, Mistake{"()", 1, "found ')'"},
                                         Mistake{"not a", 0, "nothing drives"},
                                         Mistake{"a or not b", 0, "nothing drives"},
                                         Mistake{"not (a and b)", 0, "nothing drives"},
                                         Mistake{"not not a", 0, "nothing drives"}));

TEST(When, NestedBeyondItsLimitIsRefused) {
    EXPECT_TRUE(parse_when(std::string(40, '(') + "a" + std::string(40, ')')));
    EXPECT_FALSE(parse_when(std::string(100, '(') + "a" + std::string(100, ')')));
    std::string negations;
    for (int i = 0; i < 100; ++i) negations += "not ";
    EXPECT_FALSE(parse_when("a and " + negations + "b"));
}

TEST(When, NamesItsSymptomsWithTheirOffsets) {
    using Names = std::vector<std::pair<std::string, std::size_t>>;
    EXPECT_EQ(symptoms_of(*parse_when("udp-flood and not (b or c)")),
              (Names{{"udp-flood", 0}, {"b", 19}, {"c", 24}}));
}

// Raised instances of each symptom, by key.
using Raised = std::map<std::string, std::vector<std::string>>;

struct Truth {
    std::string when;
    Raised raised;
    std::vector<std::string> keys; // for which it holds
};

void PrintTo(const Truth& truth, std::ostream* out) { *out << truth.when; }

std::map<std::string, SymptomMemory> memory_of(const Raised& raised,
                                               SymptomState state = SymptomState::raised) {
    std::map<std::string, SymptomMemory> memory;
    for (const auto& [symptom, keys] : raised)
        for (const std::string& key : keys)
            memory[symptom].instances[key.empty() ? Labels() : labels_of(key)].state = state;
    return memory;
}

class Conditions : public testing::TestWithParam<Truth> {};

TEST_P(Conditions, HoldForTheInstancesThatDriveThem) {
    const auto keys = instances_of(*parse_when(GetParam().when), memory_of(GetParam().raised));
    std::set<Labels> expected;
    for (const std::string& key : GetParam().keys) expected.insert(key.empty() ? Labels() : labels_of(key));
    std::string found;
    for (const Labels& key : keys) found += to_text(key);
    EXPECT_EQ(keys, expected) << found;
}

const std::string e0 = R"({iface="eth0"})";
const std::string e1 = R"({iface="eth1"})";
const std::string e0a = R"({iface="eth0",src="a"})";
const std::string e0b = R"({iface="eth0",src="b"})";
const std::string e1a = R"({iface="eth1",src="a"})";
const std::string other = R"({cpu="3"})";

INSTANTIATE_TEST_SUITE_P(
    When, Conditions,
    testing::Values(
        Truth{"a", {{"a", {e0, e1}}}, {e0, e1}}, Truth{"a", {}, {}},
        // The first positive symptom drives; the second counts where it agrees on the shared labels.
        Truth{"a and b", {{"a", {e0, e1}}, {"b", {e0a}}}, {e0}},
        Truth{"b and a", {{"a", {e0, e1}}, {"b", {e0a}}}, {e0a}},
        Truth{"a and b", {{"a", {e0a, e0b}}, {"b", {e1a}}}, {}},
        // No shared label: any raised instance agrees.
        Truth{"a and b", {{"a", {e0, e1}}, {"b", {other}}}, {e0, e1}},
        Truth{"a and b", {{"a", {e0}}, {"b", {""}}}, {e0}},
        Truth{"a and b", {{"a", {""}}, {"b", {e0, e1}}}, {""}}, Truth{"a and b", {{"a", {e0}}}, {}},
        // `not`: none agrees.
        Truth{"a and not b", {{"a", {e0, e1}}, {"b", {e0a}}}, {e1}},
        Truth{"not b and a", {{"a", {e0, e1}}, {"b", {e0a}}}, {e1}},
        Truth{"a and not b", {{"a", {e0}}, {"b", {other}}}, {}}, Truth{"a and not b", {{"a", {e0}}}, {e0}},
        // `or`: either drives, with its own keys.
        Truth{"a or b", {{"a", {e0}}, {"b", {e1a}}}, {e0, e1a}}, Truth{"a or b", {{"b", {other}}}, {other}},
        Truth{"(a or b) and c", {{"a", {e0}}, {"b", {e1a}}, {"c", {e1}}}, {e1a}},
        Truth{"a or b and c", {{"a", {e0}}, {"b", {e1}}}, {e0}},
        Truth{"a and (b or not c)", {{"a", {e0, e1}}, {"c", {e0}}}, {e1}},
        Truth{"a and not not b", {{"a", {e0, e1}}, {"b", {e0}}}, {e0}}));

TEST(When, AClearingSymptomStillCountsAndAPendingOneDoesNot) {
    const When when = *parse_when("a");
    EXPECT_EQ(instances_of(when, memory_of({{"a", {e0}}}, SymptomState::clearing)).size(), 1U);
    EXPECT_TRUE(instances_of(when, memory_of({{"a", {e0}}}, SymptomState::pending)).empty());
    EXPECT_TRUE(instances_of(when, memory_of({{"a", {e0}}}, SymptomState::inactive)).empty());
}

TEST(When, EvidenceIsWhatSpeaksForItAndAgreesWithTheKey) {
    const auto memory = memory_of({{"a", {e0, e1}}, {"b", {e0a, e0b, e1a}}, {"c", {e1}}});
    std::vector<std::string> names;
    for (const auto& [name, instance] :
         evidence_of(*parse_when("a and b and not c"), labels_of(e0b), memory)) {
        names.push_back(name);
        EXPECT_EQ(instance, name == "a" ? &memory.at("a").instances.at(labels_of(e0))
                                        : &memory.at("b").instances.at(labels_of(e0b)));
    }
    EXPECT_EQ(names, (std::vector<std::string>{"a", "b"}));
}

TEST(When, IsWrittenAsItWasReadWithItsParentheses) {
    const auto written = [](std::string_view text) { return to_text(parse_when(text).value()); };
    for (const std::string text : {"a", "a and not b", "a and (b or c)", "a and not (b or not c)"})
        EXPECT_EQ(written(text), text);
    EXPECT_EQ(written("a or b and c"), "a or (b and c)");
}

} // namespace
} // namespace homeostat
