#include "policies/symptom.hpp"

#include <gtest/gtest.h>

#include <sstream>

namespace homeostat {
namespace {

using namespace std::chrono_literals;

// One second per step. raise and clear: y holds, n does not, _ no data. The states: i, p, r, c.
struct Life {
    std::string what;
    SymptomTiming timing;
    std::string raise;
    std::string clear;
    std::string states;
};

void PrintTo(const Life& life, std::ostream* out) { *out << life.what; }

Truth truth(char c) { return c == 'y' ? Truth::yes : c == 'n' ? Truth::no : Truth::missing; }

class SymptomLife : public testing::TestWithParam<Life> {};

TEST_P(SymptomLife, GoesAsTheTableSays) {
    const Life& life = GetParam();
    ASSERT_EQ(life.raise.size(), life.clear.size());
    SymptomInstance instance;
    instance.since = at_ms(0);
    std::string states;
    for (std::size_t i = 0; i < life.raise.size(); ++i) {
        const Instant now = at_ms(static_cast<std::int64_t>(i) * 1000);
        instance = advance(std::move(instance), life.timing,
                           {.raise = truth(life.raise[i]), .clear = truth(life.clear[i])}, now);
        states += to_text(instance.state).front();
    }
    EXPECT_EQ(states, life.states) << life.raise << "\n" << life.clear;
}

constexpr SymptomTiming at_once{};
constexpr SymptomTiming for_two{.for_ = 2s, .keep = 0s};
constexpr SymptomTiming keep_two{.for_ = 0s, .keep = 2s};
constexpr SymptomTiming raising{.for_ = 0s, .keep = 2s, .on_missing = OnMissing::raise};
constexpr SymptomTiming clearing{.for_ = 0s, .keep = 2s, .on_missing = OnMissing::clear};
constexpr SymptomTiming forgetful{.for_ = 0s, .keep = 0s, .on_missing = OnMissing::hold, .forget = 3s};

INSTANTIATE_TEST_SUITE_P(
    Symptoms, SymptomLife,
    testing::Values(
        Life{"raised and cleared at once", at_once, "nynn", "ynny", "irri"},
        Life{"neither holds, nothing changes", at_once, "ynnnn", "nnnnn", "rrrrr"},
        Life{"both hold, raise wins", at_once, "yyy", "yyy", "rrr"},
        Life{"raise must hold for its time", for_two, "nyyyy", "nnnnn", "ipprr"},
        Life{"raise that ends too early leaves no trace", for_two, "yynyyy", "nnnnnn", "ppippr"},
        Life{"clear must hold for its time", keep_two, "ynnnn", "nyyyy", "rccii"},
        Life{"clear that ends too early", keep_two, "ynnnnnn", "nyynyyy", "rccrcci"},
        Life{"raise ends the clearing", keep_two, "ynyn", "nyyy", "rcrc"},
        Life{"hold: missing changes nothing", keep_two, "y____nnn", "n____yyy", "rrrrrcci"},
        Life{"hold: missing raise does not keep clear from counting", keep_two, "y___", "nyyy", "rcci"},
        Life{"hold: the time of keep rests without data", keep_two, "ynnnnn", "ny__yy", "rcccci"},
        Life{"hold: the time of for rests without data", for_two, "y__yy", "nnnnn", "ppppr"},
        Life{"raise on missing: no data is an alarm", raising, "n__nnnn", "y__yyyy", "irrccii"},
        Life{"raise on missing: a missing clear does not hold", raising, "ynnn", "n_y_", "rrcr"},
        Life{"clear on missing: no data ends it", clearing, "y___", "n___", "rcci"},
        Life{"clear on missing: a missing clear holds", clearing, "ynnn", "n___", "rcci"},
        Life{"clear on missing: pending ends",
             {.for_ = 2s, .keep = 0s, .on_missing = OnMissing::clear},
             "y_yyy",
             "nnnnn",
             "pippr"},
        Life{"forgotten after its time without data", forgetful, "y_____", "n_____", "rrrrii"},
        Life{"data in between begins the time anew", forgetful, "y___n___", "n_______", "rrrrrrrr"},
        Life{"forgotten while pending",
             {.for_ = 10s, .keep = 0s, .on_missing = OnMissing::hold, .forget = 3s},
             "y____",
             "_____",
             "ppppi"},
        Life{"forgotten although missing raises",
             {.for_ = 0s, .keep = 0s, .on_missing = OnMissing::raise, .forget = 2s},
             "y___",
             "____",
             "rrri"}));

constexpr SymptomTiming two_of_three{.for_ = 0s, .keep = 0s, .quorum = Quorum{2, 3}};
constexpr SymptomTiming two_of_three_for_one{.for_ = 1s, .keep = 0s, .quorum = Quorum{2, 3}};
constexpr SymptomTiming two_of_three_clear{
    .for_ = 0s, .keep = 0s, .quorum = Quorum{2, 3}, .on_missing = OnMissing::clear};
constexpr SymptomTiming two_of_three_forget{
    .for_ = 0s, .keep = 0s, .quorum = Quorum{2, 3}, .on_missing = OnMissing::hold, .forget = 2s};

INSTANTIATE_TEST_SUITE_P(
    Quorums, SymptomLife,
    testing::Values(Life{"raised by two of the last three", two_of_three, "yny", "nnn", "iir"},
                    Life{"two that lie too far apart are none", two_of_three, "ynny", "nnnn", "iiii"},
                    Life{"raise holds on while the quorum does", two_of_three, "yynn", "nnyy", "irri"},
                    Life{"the quorum itself must hold for its time", two_of_three_for_one, "yyy", "nnn",
                         "ipr"},
                    Life{"hold: a tick without data is not counted", two_of_three, "y__y", "nnnn", "iiir"},
                    Life{"clear on missing: it counts against", two_of_three_clear, "y__y", "nnnn", "iiii"},
                    Life{"forgotten, it begins anew", two_of_three_forget, "y___y", "nnnnn", "iiiii"}));

TEST(Symptoms, ThatHaveNothingToRememberAreIdle) {
    SymptomInstance instance;
    EXPECT_TRUE(is_idle(instance));
    const Judgement yes{.raise = Truth::yes, .clear = Truth::no};
    const Judgement no{.raise = Truth::no, .clear = Truth::yes};
    instance = advance(std::move(instance), two_of_three, yes, at_ms(0));
    EXPECT_FALSE(is_idle(instance)) << "one tick of the quorum";
    for (std::int64_t i = 1; i <= 3; ++i)
        instance = advance(std::move(instance), two_of_three, no, at_ms(i * 1000));
    EXPECT_TRUE(is_idle(instance));
}

TEST(Symptoms, KnowSinceWhenTheyAreInTheirState) {
    SymptomInstance instance;
    instance = advance(std::move(instance), for_two, {.raise = Truth::yes, .clear = Truth::no}, at_ms(1000));
    EXPECT_EQ(instance.since, at_ms(1000));
    instance = advance(std::move(instance), for_two, {.raise = Truth::yes, .clear = Truth::no}, at_ms(2000));
    EXPECT_EQ(instance.since, at_ms(1000));
    instance = advance(std::move(instance), for_two, {.raise = Truth::yes, .clear = Truth::no}, at_ms(3000));
    EXPECT_EQ(instance.since, at_ms(3000));
}

} // namespace
} // namespace homeostat
