#include "adapters/bpf/maps/map_comparison.hpp"
#include "tests/adapters/bpf/objects.hpp"

#include <bpf/bpf.h>
#include <gtest/gtest.h>

namespace homeostat::bpf {
namespace {

using Kind = FieldLayout::Kind;

const MergeRule sum{Merge::sum, ""};

TypeLayout type(std::size_t size, std::vector<FieldLayout> fields) { return {"", size, std::move(fields)}; }

MapDefinition counters() {
    MapDefinition map;
    map.layout = {"flows", MapLayout::Kind::hash, type(4, {{"port", 0, 4, Kind::unsigned_integer, ""}}),
                  type(16, {{"packets", 0, 8, Kind::unsigned_integer, ""},
                            {"drift", 8, 4, Kind::signed_integer, ""},
                            {"small", 12, 2, Kind::unsigned_integer, ""}}),
                  64};
    map.type = BPF_MAP_TYPE_HASH;
    return map;
}

FieldLayout& value_field(MapDefinition& map, std::size_t i) { return map.layout.value.fields[i]; }

std::string refusal(const MapDefinition& from, const MapDefinition& to,
                    const std::optional<MergeRule>& rule = sum) {
    const CarryOver compared = compare_maps(from, to, rule);
    const std::string prefix = "map flows cannot be carried over: ";
    if (!std::holds_alternative<RefuseMap>(compared)) return "not refused";
    const std::string& reason = std::get<RefuseMap>(compared).reason;
    return reason.starts_with(prefix) ? reason.substr(prefix.size()) : "no prefix: " + reason;
}

std::vector<FieldMove> moves(const MapDefinition& from, const MapDefinition& to, const MergeRule& rule) {
    const CarryOver compared = compare_maps(from, to, rule);
    if (const auto* refused = std::get_if<RefuseMap>(&compared)) ADD_FAILURE() << refused->reason;
    return std::holds_alternative<MigrateMap>(compared) ? std::get<MigrateMap>(compared).moves
                                                        : std::vector<FieldMove>{};
}

TEST(CompareMaps, TheSameDefinitionIsReusedWhateverTheRule) {
    EXPECT_EQ(compare_maps(counters(), counters(), std::nullopt), CarryOver(ReuseMap{}));
    EXPECT_EQ(compare_maps(counters(), counters(), sum), CarryOver(ReuseMap{}));
    MapDefinition renamed = counters();
    renamed.layout.value.name = "flow_count";
    EXPECT_EQ(compare_maps(counters(), renamed, sum), CarryOver(ReuseMap{}))
        << "a struct's name is no layout";
}

TEST(CompareMaps, FieldsThatMovedAndGrewAreMigratedByName) {
    MapDefinition to = counters();
    to.layout.value = type(40, {{"small", 0, 4, Kind::unsigned_integer, ""},
                                {"drift", 8, 8, Kind::signed_integer, ""},
                                {"added", 16, 8, Kind::unsigned_integer, ""},
                                {"packets", 32, 8, Kind::unsigned_integer, ""}});
    EXPECT_EQ(moves(counters(), to, sum),
              (std::vector<FieldMove>{{0, 32, 8, 8, false}, {8, 8, 4, 8, true}, {12, 0, 2, 4, false}}));
}

TEST(CompareMaps, APlainNumberMayGrow) {
    MapDefinition from = counters(), to = counters();
    from.layout.value = type(4, {{"", 0, 4, Kind::unsigned_integer, ""}});
    to.layout.value = type(8, {{"", 0, 8, Kind::unsigned_integer, ""}});
    EXPECT_EQ(moves(from, to, sum), (std::vector<FieldMove>{{0, 0, 4, 8, false}}));
    EXPECT_EQ(refusal(to, from),
              "the value was an unsigned integer of 8 bytes and is an unsigned integer of 4 bytes");
}

TEST(CompareMaps, LongFieldsMoveInPartsThatAreAlignedOnBothSides) {
    MapDefinition from = counters(), to = counters();
    const FieldLayout seen{"seen", 0, 8, Kind::unsigned_integer, ""};
    from.layout.value =
        type(32, {seen, {"source", 8, 16, Kind::ip_address, ""}, {"mac", 24, 6, Kind::bytes, ""}});
    to.layout.value =
        type(40, {seen, {"mac", 10, 6, Kind::bytes, ""}, {"source", 20, 16, Kind::ip_address, ""}});
    EXPECT_EQ(moves(from, to, {Merge::newest, "seen"}), (std::vector<FieldMove>{{0, 0, 8, 8, false},
                                                                                {8, 20, 4, 4, false},
                                                                                {12, 24, 4, 4, false},
                                                                                {16, 28, 4, 4, false},
                                                                                {20, 32, 4, 4, false},
                                                                                {24, 10, 2, 2, false},
                                                                                {26, 12, 2, 2, false},
                                                                                {28, 14, 2, 2, false}}));
}

TEST(CompareMaps, OtherEntriesOrFlagsAreMigratedToo) {
    MapDefinition to = counters();
    to.layout.max_entries = 32;
    to.flags = BPF_F_NO_PREALLOC;
    EXPECT_EQ(moves(counters(), to, sum).size(), 3u) << "whether they fit is known when they are counted";
}

TEST(CompareMaps, WithoutARuleEveryDifferenceIsTold) {
    MapDefinition to = counters();
    to.layout.max_entries = 128;
    to.flags = 1;
    value_field(to, 1).offset = 16;
    value_field(to, 2).kind = Kind::boolean;
    value_field(to, 2).size = 1;
    to.layout.value.fields.push_back({"bytes", 24, 8, Kind::unsigned_integer, ""});
    to.layout.value.size = 32;
    EXPECT_EQ(
        refusal(counters(), to, std::nullopt),
        "max_entries was 64 and is 128; flags was 0 and is 1; value field 'drift' was at offset 8 and is "
        "16; value field 'small' was an unsigned integer of 2 bytes and is a boolean; value field "
        "'bytes' is new; the value's size was 16 bytes and is 32 bytes; no rule says how to merge old "
        "and new entries");
}

TEST(CompareMaps, AnotherTypeOrKeyIsRefused) {
    MapDefinition to = counters();
    to.type = BPF_MAP_TYPE_PERCPU_HASH;
    to.layout.kind = MapLayout::Kind::percpu_hash;
    to.layout.key =
        type(8, {{"port", 4, 4, Kind::unsigned_integer, ""}, {"proto", 0, 1, Kind::unsigned_integer, ""}});
    EXPECT_EQ(
        refusal(counters(), to),
        "type was hash and is percpu_hash; key field 'port' was at offset 0 and is 4; key field 'proto' "
        "is new; the key's size was 4 bytes and is 8 bytes");
}

TEST(CompareMaps, AFieldThatIsGoneOrShrankOrChangedItsSignIsRefused) {
    MapDefinition to = counters();
    value_field(to, 0) = {"frames", 0, 8, Kind::unsigned_integer, ""};
    value_field(to, 1).kind = Kind::unsigned_integer;
    value_field(to, 2).size = 1;
    EXPECT_EQ(refusal(counters(), to),
              "value field 'packets' is gone; value field 'drift' was a signed integer of 4 bytes and is an "
              "unsigned integer of 4 bytes; value field 'small' was an unsigned integer of 2 bytes and is an "
              "unsigned integer of 1 byte");
}

TEST(CompareMaps, AnEnumeratorThatMeansAnotherNumberIsRefusedAlsoWhereAllElseIsTheSame) {
    MapDefinition from = counters();
    from.layout.key.fields[0] = {"proto", 0, 4, Kind::enumeration, "proto"};
    from.enums = {{"proto", {{"PROTO_TCP", 1}, {"PROTO_UDP", 2}, {"PROTO_GRE", 3}}}};
    MapDefinition to = from;
    to.enums = {{"proto", {{"PROTO_SCTP", 1}, {"PROTO_TCP", 2}, {"PROTO_UDP", 3}}}};
    EXPECT_EQ(refusal(from, to), "enumerator PROTO_TCP of enum proto was 1 and is 2; enumerator PROTO_UDP of "
                                 "enum proto was 2 and is 3; enumerator PROTO_GRE of enum proto is gone");
    to.enums[0].enumerators = from.enums[0].enumerators;
    to.enums[0].enumerators.emplace_back("PROTO_SCTP", 4);
    EXPECT_EQ(compare_maps(from, to, sum), CarryOver(ReuseMap{})) << "one more changes nothing";
}

TEST(CompareMaps, WhatCannotBeSummedIsRefused) {
    MapDefinition from = counters();
    from.layout.value = type(24, {{"packets", 0, 8, Kind::unsigned_integer, ""},
                                  {"mac", 8, 6, Kind::bytes, ""},
                                  {"source", 8, 16, Kind::ip_address, ""}});
    MapDefinition to = from;
    to.layout.value = type(34, {{"packets", 4, 8, Kind::unsigned_integer, ""},
                                {"mac", 12, 6, Kind::bytes, ""},
                                {"source", 18, 16, Kind::ip_address, ""}});
    EXPECT_EQ(
        refusal(from, to),
        "value fields 'mac' and 'source' share their bytes; value field 'packets' is not aligned, so it "
        "cannot be added to atomically; value field 'mac' is a run of 6 bytes, which cannot be summed; "
        "value field 'source' is an IP address, which cannot be summed");
    from.layout.value = type(2, {{"", 0, 2, Kind::unsigned_integer, ""}});
    to.layout.value = from.layout.value;
    to.layout.max_entries = 65;
    EXPECT_EQ(refusal(from, to),
              "the value is not within 4 aligned bytes of the value, so it cannot be added to atomically");
}

TEST(CompareMaps, AStampMustBeAnUnsignedFieldOfBothValues) {
    MapDefinition to = counters();
    to.layout.value.fields.push_back({"seen", 16, 8, Kind::unsigned_integer, ""});
    EXPECT_EQ(refusal(counters(), to, MergeRule{Merge::newest, "seen"}),
              "the stamp 'seen' is no field of the old value");
    EXPECT_EQ(
        refusal(counters(), to, MergeRule{Merge::newest, "drift"}),
        "the stamp 'drift' is a signed integer of 4 bytes; expected an aligned unsigned integer of 4 or 8 "
        "bytes");
}

TEST(CompareMaps, AnArrayCannotShrinkAndARingCannotBeMoved) {
    MapDefinition from = counters();
    from.type = BPF_MAP_TYPE_ARRAY;
    from.layout.kind = MapLayout::Kind::array;
    MapDefinition to = from;
    to.layout.max_entries = 10;
    EXPECT_EQ(refusal(from, to),
              "max_entries was 64 and is 10, which leaves no place for the keys from 10 on");
    from.type = BPF_MAP_TYPE_RINGBUF;
    from.layout = {"flows", MapLayout::Kind::ringbuf, {}, {}, 4096};
    to = from;
    to.layout.max_entries = 8192;
    EXPECT_EQ(refusal(from, to), "a map of this type has no entries that can be moved");
}

TEST(CompareMaps, MoreFieldsThanTheKernelSideTakesAreRefused) {
    MapDefinition from = counters();
    from.layout.value = {};
    for (std::size_t i = 0; i < 257; ++i)
        from.layout.value.fields.push_back({std::to_string(i), 4 * i, 4, Kind::unsigned_integer, ""});
    from.layout.value.size = 257 * std::size_t{4};
    MapDefinition to = from;
    to.flags = 1;
    EXPECT_EQ(refusal(from, to), "the value has 257 parts to move; at most 256");
}

class ReadDefinition : public testing::Test {
  protected:
    MapDefinition read(const std::string& map) {
        const auto layout = read_layout(object_path("shapes"));
        EXPECT_TRUE(layout);
        const std::unique_ptr<bpf_object, decltype(&bpf_object__close)> object(
            bpf_object__open(object_path("shapes").c_str()), &bpf_object__close);
        const bpf_map* found = bpf_object__find_map_by_name(object.get(), map.c_str());
        EXPECT_NE(found, nullptr);
        return read_definition(found, bpf_object__btf(object.get()), *layout);
    }
};

TEST_F(ReadDefinition, HasWhatTheObjectSays) {
    const MapDefinition map = read("plain_hash");
    EXPECT_EQ(map.type, std::uint32_t{BPF_MAP_TYPE_HASH});
    EXPECT_EQ(map.layout.value.name, "reading");
    ASSERT_EQ(map.enums.size(), 1u);
    EXPECT_EQ(map.enums[0].name, "colour");
    EXPECT_TRUE(map.unseen.empty());
}

TEST_F(ReadDefinition, NamesWhatALayoutCannotShowSoThatItIsNotLostSilently) {
    MapDefinition from = read("shapes");
    EXPECT_EQ(from.unseen, (std::vector<std::string>{"'low' at offset 17 is a bit-field of 4 bits from bit 0",
                                                     "'pointer' at offset 72 is a pointer"}));
    MapDefinition to = from;
    EXPECT_EQ(compare_maps(from, to, sum), CarryOver(ReuseMap{}));
    to.unseen.pop_back();
    const auto refused = compare_maps(from, to, MergeRule{Merge::newest, "whole"});
    ASSERT_TRUE(std::holds_alternative<RefuseMap>(refused));
    EXPECT_EQ(
        std::get<RefuseMap>(refused).reason,
        "map shapes cannot be carried over: 'low' at offset 17 is a bit-field of 4 bits from bit 0, which "
        "cannot be moved; 'pointer' at offset 72 is a pointer, which cannot be moved; value fields 'whole' "
        "and 'half' share their bytes");
}

} // namespace
} // namespace homeostat::bpf
