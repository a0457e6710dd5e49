#include "knowledge/text.hpp"

#include <gtest/gtest.h>

namespace homeostat {
namespace {

TEST(Printable, KeepsUtf8AndLineEndsAndEscapesTheRest) {
    EXPECT_EQ(printable("a é € 😀\nb"), "a é € 😀\nb");
    EXPECT_EQ(printable("\x1b[31m\t\x7f"), "\\x1b[31m\\x09\\x7f");
    EXPECT_EQ(printable("\xff \xc3"), "\\xff \\xc3") << "no UTF-8, and half of a character";
    EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf") << "longer than it need be";
    EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
    EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond Unicode";
}

TEST(Joined, PutsTheSeparatorBetweenWordsAndNowhereElse) {
    EXPECT_EQ(joined({}), "");
    EXPECT_EQ(joined({"one"}), "one");
    EXPECT_EQ(joined({"one", "two", "three"}), "one, two, three");
    EXPECT_EQ(joined({"one", "", "three"}, "; "), "one; ; three") << "a word may be empty";
}

} // namespace
} // namespace homeostat
