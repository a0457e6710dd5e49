#include "knowledge/layout.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <limits>

namespace homeostat {
namespace {

using Kind = FieldLayout::Kind;

FieldLayout field(Kind kind, std::size_t size, std::size_t offset = 0, std::string enumeration = "") {
    return {.name = "f", .offset = offset, .size = size, .kind = kind, .enumeration = std::move(enumeration)};
}

EnumLayout protocols() { return {"proto", {{"PROTO_TCP", 6}, {"PROTO_UDP", 17}, {"PROTO_SCTP", 132}}}; }

template <class T> std::array<std::byte, 16> bytes_of(T value, std::size_t offset = 0) {
    std::array<std::byte, 16> bytes{};
    std::memcpy(bytes.data() + offset, &value, sizeof value);
    return bytes;
}

TEST(EnumWords, LoseTheCommonPrefixAndTheCapitals) {
    EXPECT_EQ(protocols().words(), (std::vector<std::string>{"tcp", "udp", "sctp"}));
    EXPECT_EQ(protocols().word(17), "udp");
    EXPECT_EQ(protocols().word(18), std::nullopt);
}

TEST(EnumWords, AreCutAtTheLastCommonUnderscoreOnly) {
    const EnumLayout verdicts{"verdict", {{"XDP_DROP", 1}, {"XDP_DROP_ALL", 2}}};
    EXPECT_EQ(verdicts.words(), (std::vector<std::string>{"drop", "drop_all"}));
    const EnumLayout mixed{"mixed", {{"TCP", 1}, {"TCPX", 2}}};
    EXPECT_EQ(mixed.words(), (std::vector<std::string>{"tcp", "tcpx"}));
}

TEST(EnumWords, OfASingleNameAreTheWholeName) {
    const EnumLayout one{"one", {{"PROTO_TCP", 6}}};
    EXPECT_EQ(one.words(), std::vector<std::string>{"proto_tcp"});
}

TEST(EnumWords, AreReadShortAndInFull) {
    EXPECT_EQ(protocols().value("udp"), 17);
    EXPECT_EQ(protocols().value("PROTO_UDP"), 17);
    EXPECT_EQ(protocols().value("UDP"), std::nullopt);
    EXPECT_EQ(protocols().value(""), std::nullopt);
}

TEST(Objects, FindTheOneEnumThatHasAWord) {
    ObjectLayout object;
    object.enums = {protocols(), {"other", {{"OTHER_UDP", 1}, {"OTHER_ICMP", 2}}}};
    EXPECT_EQ((*object.enumeration_with("tcp"))->name, "proto");
    EXPECT_EQ((*object.enumeration_with("icmp"))->name, "other");
    EXPECT_EQ((*object.enumeration_with("OTHER_UDP"))->name, "other");
    const auto two = object.enumeration_with("udp");
    ASSERT_FALSE(two);
    EXPECT_NE(two.error().what.find("proto and other"), std::string::npos) << two.error().what;
    const auto none = object.enumeration_with("gre");
    ASSERT_FALSE(none);
    EXPECT_NE(none.error().what.find("'gre'"), std::string::npos) << none.error().what;
}

TEST(Objects, FindTheirPartsByName) {
    ObjectLayout object;
    object.maps = {
        {.name = "m", .kind = MapLayout::Kind::percpu_array, .key = {}, .value = {}, .max_entries = 1}};
    object.structs = {{.name = "s", .size = 4, .fields = {field(Kind::unsigned_integer, 4)}}};
    EXPECT_NE(object.map("m"), nullptr);
    EXPECT_EQ(object.map("x"), nullptr);
    EXPECT_NE(object.record("s")->field("f"), nullptr);
    EXPECT_EQ(object.record("s")->field("g"), nullptr);
    EXPECT_EQ(object.record("x"), nullptr);
    EXPECT_EQ(object.enumeration("x"), nullptr);
    EXPECT_TRUE(object.map("m")->per_cpu());
    EXPECT_TRUE(object.map("m")->is_array());
}

template <class T> void survives(Kind kind, T value) {
    const FieldLayout here = field(kind, sizeof value, 3);
    const auto bytes = bytes_of(value, 3);
    EXPECT_EQ(read_number(here, bytes), static_cast<double>(value));
    EXPECT_EQ(read_text(here, {}, bytes), std::to_string(value));
    std::array<std::byte, 16> written{};
    ASSERT_TRUE(write_number(here, static_cast<std::int64_t>(value), written));
    EXPECT_EQ(written, bytes) << "neighbours are left alone";
}

TEST(Numbers, OfEachSizeAndSignSurviveBothWays) {
    survives<std::uint8_t>(Kind::unsigned_integer, 200);
    survives<std::uint16_t>(Kind::unsigned_integer, 60'000);
    survives<std::uint32_t>(Kind::unsigned_integer, 4'000'000'000);
    survives<std::uint64_t>(Kind::unsigned_integer, 1ULL << 62U);
    survives<std::int8_t>(Kind::signed_integer, -128);
    survives<std::int16_t>(Kind::signed_integer, -32'768);
    survives<std::int32_t>(Kind::signed_integer, -5);
    survives<std::int64_t>(Kind::signed_integer, std::numeric_limits<std::int64_t>::min());
    survives<std::int8_t>(Kind::signed_integer, 127);
    survives<std::int32_t>(Kind::enumeration, -1);
    survives<std::int32_t>(Kind::enumeration, 7);
}

TEST(Numbers, AbovePositiveSixtyThreeBitsAreReadUnsigned) {
    const auto bytes = bytes_of(~std::uint64_t{0});
    EXPECT_EQ(read_unsigned(field(Kind::unsigned_integer, 8), bytes), ~std::uint64_t{0});
    EXPECT_EQ(read_text(field(Kind::unsigned_integer, 8), {}, bytes), "18446744073709551615");
}

struct Refused {
    Kind kind;
    std::size_t size;
    std::int64_t value;
    std::size_t offset = 0;
};

void PrintTo(const Refused& refused, std::ostream* out) {
    *out << refused.value << " to kind " << static_cast<int>(refused.kind) << " of " << refused.size
         << " bytes";
}

class RefusedNumbers : public testing::TestWithParam<Refused> {};

TEST_P(RefusedNumbers, AreNotWritten) {
    std::array<std::byte, 16> bytes{};
    const auto& [kind, size, value, offset] = GetParam();
    const auto written = write_number(field(kind, size, offset), value, bytes);
    ASSERT_FALSE(written);
    EXPECT_NE(written.error().what.find("'f'"), std::string::npos);
    EXPECT_EQ(bytes, (std::array<std::byte, 16>{})) << "nothing is half-written";
}

INSTANTIATE_TEST_SUITE_P(
    Numbers, RefusedNumbers,
    testing::Values(Refused{Kind::unsigned_integer, 1, 256}, Refused{Kind::unsigned_integer, 1, -1},
                    Refused{Kind::unsigned_integer, 2, 65'536},
                    Refused{Kind::unsigned_integer, 4, 4'294'967'296}, Refused{Kind::unsigned_integer, 8, -1},
                    Refused{Kind::signed_integer, 1, 128}, Refused{Kind::signed_integer, 1, -129},
                    Refused{Kind::signed_integer, 2, 40'000}, Refused{Kind::signed_integer, 4, 2'147'483'648},
                    Refused{Kind::signed_integer, 4, -2'147'483'649}, Refused{Kind::boolean, 1, 2},
                    Refused{Kind::boolean, 1, -1}, Refused{Kind::bytes, 6, 1},
                    Refused{Kind::unsigned_integer, 3, 1}, Refused{Kind::unsigned_integer, 4, 1, 14},
                    Refused{Kind::unsigned_integer, 16, 1}));

TEST(Texts, ShowEnumeratorsByTheirWords) {
    ObjectLayout object;
    object.enums = {protocols()};
    EXPECT_EQ(read_text(field(Kind::enumeration, 4, 0, "proto"), object, bytes_of(17)), "udp");
    EXPECT_EQ(read_text(field(Kind::enumeration, 4, 0, "proto"), object, bytes_of(-3)), "-3");
    EXPECT_EQ(read_text(field(Kind::enumeration, 4, 0, "unknown"), object, bytes_of(17)), "17");
}

// A protocol number is one byte, and SCTP's has its highest bit set.
TEST(Texts, ShowUnsignedBytesByTheWordsOfAnEnum) {
    ObjectLayout object;
    object.enums = {protocols()};
    const FieldLayout byte = field(Kind::unsigned_integer, 1, 0, "proto");
    EXPECT_EQ(read_text(byte, object, bytes_of(std::uint8_t{132})), "sctp");
    EXPECT_EQ(read_text(byte, object, bytes_of(std::uint8_t{200})), "200");
}

TEST(Texts, ShowTruthsAndBytes) {
    EXPECT_EQ(read_text(field(Kind::boolean, 1), {}, bytes_of(std::uint8_t{1})), "true");
    EXPECT_EQ(read_text(field(Kind::boolean, 1), {}, bytes_of(std::uint8_t{0})), "false");
    const std::array<std::uint8_t, 3> raw{0x0a, 0xff, 0x00};
    EXPECT_EQ(read_text(field(Kind::bytes, 3), {}, bytes_of(raw)), "0aff00");
}

} // namespace
} // namespace homeostat
