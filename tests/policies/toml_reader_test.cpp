#include "policies/toml_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "policies/toml_screening.hpp"

namespace homeostat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// What a reading told, in the order of the file.
std::vector<std::string> told(Diagnostics diagnostics) {
    std::ranges::stable_sort(diagnostics, {}, &Diagnostic::at);
    std::vector<std::string> lines;
    for (const Diagnostic& diagnostic : diagnostics) lines.push_back(to_text(diagnostic));
    return lines;
}

template <class Read> std::vector<std::string> reading(std::string_view text, Read read) {
    Diagnostics diagnostics;
    const auto file = TomlFile::parse(text, "f", diagnostics);
    if (file) {
        TomlTable root = file->root();
        read(root);
    }
    return told(std::move(diagnostics));
}

TEST(TomlReader, TellsASyntaxErrorAlone) {
    const auto lines =
        reading("a = 1\nb = = 2\nc = oops\n", [](TomlTable&) { FAIL() << "nothing can be read"; });
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_THAT(lines.front(), testing::StartsWith("f:2:5: TOML syntax: "));
}

TEST(TomlReader, TellsAllMistakesOfAFileAtOnce) {
    const auto lines =
        reading("number = \"one\"\nflag = 1\nwait = \"5 s\"\nword = \"gren\"\nmany = 11\nnumbr = 2\n",
                [](TomlTable& root) {
                    root.integer("number", 0, 10);
                    root.boolean("flag");
                    root.duration("wait");
                    root.choice("word", {"red", "green"});
                    root.integer("many", 0, 10);
                    root.require_text("name", "a name");
                    root.finish();
                });
    EXPECT_THAT(lines, ElementsAre(HasSubstr("'name' is missing; expected a name"),
                                   "f:1:10: 'number' is a string; expected an integer",
                                   "f:2:8: 'flag' is an integer; expected true or false",
                                   HasSubstr("f:3:8: 'wait' is \"5 s\", which is no duration"),
                                   HasSubstr("f:4:9: 'word' is \"gren\"; expected one of \"red\", \"green\""),
                                   "f:5:8: 'many' is 11; expected a number from 0 to 10",
                                   "f:6:1: unknown key 'numbr'; did you mean 'number'?"));
}

TEST(TomlReader, ListsTheKnownKeysWhereNoneIsNear) {
    const auto lines = reading("colour = 1", [](TomlTable& root) {
        root.text("b");
        root.text("a");
        root.finish();
    });
    EXPECT_THAT(lines, ElementsAre("f:1:1: unknown key 'colour'; expected one of a, b"));
}

TEST(TomlReader, NamesEveryWrongType) {
    const auto lines =
        reading("a = 1\nb = 1.5\nc = [1]\nd = {}\ne = true\nf = 1979-05-27\ng = \"x\"", [](TomlTable& root) {
            for (const char* key : {"a", "b", "c", "d", "e", "f"}) EXPECT_FALSE(root.text(key)) << key;
            EXPECT_FALSE(root.table("g"));
        });
    EXPECT_THAT(lines, ElementsAre(HasSubstr("'a' is an integer"), HasSubstr("'b' is a float"),
                                   HasSubstr("'c' is an array"), HasSubstr("'d' is a table"),
                                   HasSubstr("'e' is a boolean"), HasSubstr("'f' is a date or time"),
                                   HasSubstr("'g' is a string; expected a table")));
}

TEST(TomlReader, ADurationIsAStringAndSaysSo) {
    EXPECT_THAT(reading("wait = 5", [](TomlTable& root) { root.duration("wait"); }),
                ElementsAre(HasSubstr("f:1:8: 'wait' is an integer; expected a duration as a string")));
}

TEST(TomlReader, ReadsWhatIsRight) {
    const auto lines = reading(
        "t = 'x'\ni = -3\nb = true\nd = \"1h30m\"\nw = \"green\"\nl = [\"p\", \"q\"]\n[s]\n[[a]]\n[[a]]",
        [](TomlTable& root) {
            EXPECT_EQ(root.text("t")->text, "x");
            EXPECT_EQ(root.integer("i", -3, -3), -3);
            EXPECT_EQ(root.boolean("b"), true);
            EXPECT_EQ(root.duration("d"), Duration{std::chrono::minutes{90}});
            EXPECT_EQ(root.choice("w", {"red", "green"}), 1U);
            EXPECT_EQ(root.texts("l").size(), 2U);
            EXPECT_EQ(root.texts("t").size(), 1U);
            EXPECT_TRUE(root.table("s"));
            EXPECT_EQ(root.tables("a").size(), 2U);
            EXPECT_FALSE(root.text("absent"));
            root.finish();
        });
    EXPECT_THAT(lines, IsEmpty());
}

TEST(TomlReader, TellsEachWrongElementOfAList) {
    EXPECT_THAT(reading("l = [\"p\", 2, \"q\",\n  true]",
                        [](TomlTable& root) { EXPECT_EQ(root.texts("l").size(), 2U); }),
                ElementsAre(HasSubstr("f:1:11: 'l' is an integer"), HasSubstr("f:2:3: 'l' is a boolean")));
}

TEST(TomlReader, AsksForDoubleBracketsWhereATableStandsAlone) {
    EXPECT_THAT(
        reading("[symptom]\n", [](TomlTable& root) { root.tables("symptom"); }),
        ElementsAre(HasSubstr("'symptom' is a table; expected an array of tables, written [[symptom]]")));
}

TEST(TomlReader, NamesAKeyByItsPath) {
    EXPECT_THAT(reading("[a.b]\nc = 1\n",
                        [](TomlTable& root) {
                            auto a = root.table("a");
                            auto b = a->table("b");
                            b->text("c");
                            b->text("cc");
                            b->finish();
                        }),
                ElementsAre(HasSubstr("f:2:5: 'a.b.c' is an integer")));
}

TEST(TomlReader, GivesTheAuthorsKeysInTheOrderOfTheFile) {
    reading("[maps]\nzebra = 1\nant = 2\n\"with space\" = 3\n", [](TomlTable& root) {
        auto maps = root.table("maps");
        EXPECT_THAT(maps->keys(), ElementsAre("zebra", "ant", "with space"));
        EXPECT_EQ(maps->key_text("with space").position(0), (Position{4, 1}));
        maps->finish();
    });
}

// Where the character at `offset` of the text under `key` stands.
Position place(std::string_view text, std::size_t offset, std::string_view key = "s") {
    Diagnostics diagnostics;
    const auto file = TomlFile::parse(text, "f", diagnostics);
    if (!file) throw std::invalid_argument(to_text(diagnostics.front()));
    return file->root().text(key)->position(offset);
}

TEST(PlacesInStrings, OfAPlainStringAreItsColumns) {
    EXPECT_EQ(place("s = \"abc\"", 0), (Position{1, 6}));
    EXPECT_EQ(place("s = \"abc\"", 2), (Position{1, 8}));
    EXPECT_EQ(place("s = 'abc'", 1), (Position{1, 7}));
    EXPECT_EQ(place("s = 'a\\tc'", 2), (Position{1, 8})) << "a literal string has no escapes";
}

TEST(PlacesInStrings, TheEndHasAPlaceToo) {
    EXPECT_EQ(place("s = \"abc\"", 3), (Position{1, 9}));
    EXPECT_EQ(place("s = \"abc\"", 99), (Position{1, 9}));
    EXPECT_EQ(place("s = \"\"", 0), (Position{1, 6}));
}

TEST(PlacesInStrings, CountEscapesByTheirLength) {
    const char* text = R"(s = "a\"b\\c\u00e9d\U0001F600e")";
    EXPECT_EQ(place(text, 0), (Position{1, 6}));  // a
    EXPECT_EQ(place(text, 1), (Position{1, 7}));  // "
    EXPECT_EQ(place(text, 2), (Position{1, 9}));  // b
    EXPECT_EQ(place(text, 4), (Position{1, 12})); // c
    EXPECT_EQ(place(text, 5), (Position{1, 13})); // é, two bytes
    EXPECT_EQ(place(text, 6), (Position{1, 13}));
    EXPECT_EQ(place(text, 7), (Position{1, 19}));  // d
    EXPECT_EQ(place(text, 12), (Position{1, 30})); // e
}

TEST(PlacesInStrings, FollowMultilineStrings) {
    const char* basic = "x = 1\ns = \"\"\"\n  ab\n c\"\"\"";
    EXPECT_EQ(place(basic, 2), (Position{3, 3})); // a
    EXPECT_EQ(place(basic, 4), (Position{3, 5})); // the line's end
    EXPECT_EQ(place(basic, 6), (Position{4, 2})); // c
    EXPECT_EQ(place("s = '''ab\ncd'''", 0), (Position{1, 8}));
    EXPECT_EQ(place("s = '''ab\ncd'''", 3), (Position{2, 1}));
}

TEST(PlacesInStrings, FollowALineThatABackslashContinues) {
    const char* text = "s = \"\"\"ab \\\n\n   cd\\\n e\"\"\"";
    EXPECT_EQ(place(text, 1), (Position{1, 9})); // b
    EXPECT_EQ(place(text, 3), (Position{3, 4})); // c
    EXPECT_EQ(place(text, 5), (Position{4, 2})); // e
}

// The parser's tables have no answer for a character beyond ASCII there; blanks that are none for TOML stay.
TEST(TomlReader, ReadsAnyCharacterBehindALineThatABackslashContinues) {
    for (const std::string first : {"é", "€", "😀", "\u00a0", "\ufeff", "\u1234", "\u2003"}) {
        const std::string text =
            "s = \"\"\"a\\ \n\n\t " + first + "é b\"\"\"\nt = '''c\\\n" + first + "'''\n";
        const auto lines = reading(text, [&](TomlTable& root) {
            EXPECT_EQ(root.text("s")->text, "a" + first + "é b");
            EXPECT_EQ(root.text("t")->text, "c\\\n" + first);
            EXPECT_EQ(root.text("s")->position(1), (Position{3, 3}));
            root.finish();
        });
        EXPECT_THAT(lines, IsEmpty()) << first;
    }
}

TEST(TomlReader, RefusesWhatIsNoUtf8BehindSuchALine) {
    for (const std::string first :
         {"\xff", "\xc3(", "\xc0\x80", "\xed\xa0\x80", "\xf8\x88\x80\x80", "\xe2\x82"}) {
        const auto lines =
            reading("s = \"\"\"\\\n" + first + "\"\"\"", [](TomlTable&) { FAIL() << "nothing can be read"; });
        ASSERT_EQ(lines.size(), 1U) << testing::PrintToString(first);
        EXPECT_THAT(lines.front(), HasSubstr("TOML syntax: ")) << testing::PrintToString(first);
    }
}

// Columns count characters, as editors do.
TEST(PlacesInStrings, CountCharactersThatTakeSeveralBytes) {
    EXPECT_EQ(place("s = 'é€x'", 5), (Position{1, 8}));
    EXPECT_EQ(place("s = \"é€\\tx\"", 6), (Position{1, 10}));
}

TEST(PlacesInStrings, ComeAfterSuchCharactersInTheSameLine) {
    reading("t = { u = 'é€', s = \"a\\tb\" }", [](TomlTable& root) {
        const auto text = root.table("t")->text("s");
        EXPECT_EQ(text->position(0), (Position{1, 22}));
        EXPECT_EQ(text->position(2), (Position{1, 25}));
    });
}

std::string repeated(const std::string& text, std::size_t times) {
    std::string made;
    for (std::size_t i = 0; i < times; ++i) made += text;
    return made;
}

const auto nothing = [](TomlTable&) { FAIL() << "nothing can be read"; };

TEST(TomlReader, LimitsTheNesting) {
    const std::string deep = "nested deeper than 64 levels; expected fewer dots or brackets";
    EXPECT_THAT(reading("a" + repeated(".a", 100'000) + " = 1\n", nothing), ElementsAre("f:1:130: " + deep));
    EXPECT_THAT(reading("\n[a" + repeated(".a", 70) + "]\n", nothing), ElementsAre("f:2:129: " + deep));
    EXPECT_THAT(reading("a = " + repeated("[", 65) + repeated("]", 65), nothing),
                ElementsAre("f:1:69: " + deep));
    EXPECT_THAT(reading("a = " + repeated("{a=", 65) + "1" + repeated("}", 65), nothing), testing::SizeIs(1));
    const auto all_well = [](TomlTable& root) { root.keys(); };
    EXPECT_THAT(reading("a = '" + repeated(".[", 70) + "' # " + repeated("[", 70), all_well), IsEmpty());
    EXPECT_THAT(reading("a = \"\\\"" + repeated(".[", 70) + "\"\nb" + repeated(".b", 60) + " = 1", all_well),
                IsEmpty());
    EXPECT_THAT(reading("a = \"\"\"\n" + repeated(".[\n", 70) + "\"\"\"", all_well), IsEmpty());
}

TEST(TomlReader, LimitsTheSize) {
    EXPECT_THAT(reading("#" + repeated(" ", toml_bytes_max), nothing),
                ElementsAre("f: the file has 1048577 bytes; expected at most 1048576"));
}

TEST(TomlReader, LimitsTheMistakes) {
    std::string file;
    for (int i = 0; i < 2'000; ++i) file += "a" + std::to_string(i) + " = 1\n";
    const auto lines = reading(file, [](TomlTable& root) { root.finish(); });
    EXPECT_EQ(lines.size(), toml_mistakes_max + 1);
    EXPECT_THAT(lines, testing::Contains(HasSubstr("more than 1000 mistakes; the rest is not told")));
}

TEST(TomlReader, RefusesDurationsThatWouldOverflow) {
    const auto lines = reading("a = '100y'\nb = '101y'\nc = '292277024y'\n", [](TomlTable& root) {
        EXPECT_EQ(root.duration("a"), duration_max);
        EXPECT_EQ(root.duration("b"), std::nullopt);
        EXPECT_EQ(root.duration("c"), std::nullopt);
    });
    EXPECT_THAT(lines, ElementsAre("f:2:5: 'b' is longer than 100 years; expected a shorter time",
                                   "f:3:5: 'c' is longer than 100 years; expected a shorter time"));
}

TEST(TomlReader, FindsThePlacesOfManyStringsInOneLine) {
    const std::string file = "a = [" + repeated("'é',", 50'000) + "]\n";
    (void)reading(file, [](TomlTable& root) {
        const auto texts = root.texts("a");
        ASSERT_EQ(texts.size(), 50'000U);
        EXPECT_EQ(texts[0].position(0), (Position{1, 7}));
        EXPECT_EQ(texts[49'999].position(0), (Position{1, 7 + 4 * 49'999}));
    });
}

} // namespace
} // namespace homeostat
