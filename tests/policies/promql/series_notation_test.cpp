#include "policies/promql/series_notation.hpp"

#include "knowledge/series_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace homeostat::promql {
namespace {

using testing::ElementsAre;

TEST(SeriesNotation, IsThatOfPromtool) {
    const auto none = std::optional<double>();
    EXPECT_THAT(parse_series_values("1 2.5 -3").value(), ElementsAre(1, 2.5, -3));
    EXPECT_THAT(parse_series_values("5x2 1+2x3  7-2x1").value(), ElementsAre(5, 5, 5, 1, 3, 5, 7, 7, 5));
    EXPECT_THAT(parse_series_values("_ _x2 4").value(), ElementsAre(none, none, none, 4));
    EXPECT_THAT(parse_series_values("1_000 1_0+2_0x1").value(), ElementsAre(1000, 10, 30));
    EXPECT_EQ(parse_series_values("0+0.1x6").value()[6], 0.1 + 0.1 + 0.1 + 0.1 + 0.1 + 0.1);
    EXPECT_THAT(parse_series_values("").value(), ElementsAre());
    const SeriesValues special = parse_series_values("stale NaN Inf -Inf").value();
    EXPECT_TRUE(is_stale(*special[0]));
    EXPECT_TRUE(std::isnan(*special[1]) && !is_stale(*special[1]));
    EXPECT_EQ(*special[2], std::numeric_limits<double>::infinity());
    EXPECT_EQ(*special[3], -std::numeric_limits<double>::infinity());
}

TEST(SeriesNotation, TellsWhereItIsWrong) {
    EXPECT_EQ(parse_series_values("1 2 three").error().number, 4);
    for (const char* wrong : {"1x", "1+2", "x3", "1x-2", "_y", "1+x2", "1x99999999", "1_", "1__0", "1_x2"})
        EXPECT_FALSE(parse_series_values(wrong)) << wrong;
}

TEST(SeriesNotation, ASeriesHasItsLabelsByEquality) {
    EXPECT_EQ(to_text(parse_series("a{b=\"c\"}").value()), "a{b=\"c\"}");
    EXPECT_EQ(parse_series("{}").value(), Labels());
    for (const char* wrong : {"a{b=~\"c\"}", "a[1s]", "a offset 1s", "1", "a{"})
        EXPECT_FALSE(parse_series(wrong)) << wrong;
}

} // namespace
} // namespace homeostat::promql
