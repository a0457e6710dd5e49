#include "engine/check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace homeostat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using Kind = FieldLayout::Kind;

FieldLayout field(std::string name, std::size_t offset, std::size_t size, Kind kind = Kind::unsigned_integer,
                  std::string enumeration = "") {
    return {.name = std::move(name),
            .offset = offset,
            .size = size,
            .kind = kind,
            .enumeration = std::move(enumeration)};
}

TypeLayout plain(std::size_t size, Kind kind = Kind::unsigned_integer, std::string enumeration = "") {
    return {.name = "", .size = size, .fields = {field("", 0, size, kind, std::move(enumeration))}};
}

const TypeLayout counters{
    .name = "counters",
    .size = 24,
    .fields = {field("packets", 0, 8), field("bytes", 8, 8), field("mac", 16, 6, Kind::bytes)}};
const TypeLayout bucket{.name = "bucket", .size = 8, .fields = {field("pps", 0, 4), field("burst", 4, 4)}};

MapLayout map(std::string name, MapLayout::Kind kind, TypeLayout key, TypeLayout value,
              std::uint32_t entries = 256) {
    return {.name = std::move(name),
            .kind = kind,
            .key = std::move(key),
            .value = std::move(value),
            .max_entries = entries};
}

// A guard with a per-CPU array of counters by protocol, limits by protocol, a block list and a ring.
ObjectLayout guard() {
    ObjectLayout object;
    object.programs = {"guard"};
    object.tc_programs = {"guard_twin", "other"};
    object.maps = {map("proto_counters", MapLayout::Kind::percpu_array, plain(4), counters),
                   map("limits", MapLayout::Kind::array, plain(4), bucket, 20),
                   map("blocked", MapLayout::Kind::hash, plain(1), plain(1)),
                   map("by_verdict", MapLayout::Kind::hash, plain(4, Kind::enumeration, "verdict"), plain(8)),
                   map("by_flow", MapLayout::Kind::hash, counters, plain(8)),
                   map("events", MapLayout::Kind::ringbuf, {}, {}),
                   map("programs", MapLayout::Kind::other, plain(4), plain(4))};
    object.structs = {{.name = "net_event", .size = 8, .fields = {field("saddr", 0, 4), field("l4", 4, 1)}}};
    object.enums = {{"ip_proto", {{"PROTO_TCP", 6}, {"PROTO_UDP", 17}}},
                    {"verdict", {{"XDP_DROP", 1}, {"XDP_PASS", 2}}},
                    {"other", {{"OTHER_TCP", 1}, {"OTHER_ICMP", 2}}}};
    return object;
}

constexpr std::string_view base = R"(version = 1
[[program]]
name = "guard"
object = "guard.bpf.o"
[[interface]]
name = "eth0"
xdp.program = "guard"
)";

std::vector<std::string> mistakes(const std::string& config_text, const std::string& policy_text = "",
                                  const ObjectLayouts& objects = {{"guard", guard()}}) {
    Diagnostics diagnostics;
    const auto config = read_config(std::string(base) + config_text, "c", diagnostics);
    if (!config) throw std::invalid_argument(to_text(diagnostics.front()));
    std::vector<PolicyDocument> policies;
    policies.push_back(read_policy("version = 1\n" + policy_text, "p", diagnostics));
    if (!diagnostics.empty()) throw std::invalid_argument(to_text(diagnostics.front()));
    const GenerationPtr generation = make_generation(*config, std::move(policies), objects, 5, diagnostics);
    EXPECT_EQ(generation == nullptr, has_errors(diagnostics));
    std::ranges::stable_sort(diagnostics, {}, &Diagnostic::at);
    std::vector<std::string> lines;
    for (const Diagnostic& diagnostic : diagnostics) lines.push_back(to_text(diagnostic));
    return lines;
}

std::string map_sensor(const std::string& map_name, const std::string& rest) {
    return "[[sensor]]\ntype = 'bpf-map'\nmap = '" + map_name + "'\n" + rest + "\n";
}

std::string adaptation(const std::string& setting) {
    return "[[symptom]]\nname = 's'\nraise = 'link_up == 0'\n[[adaptation]]\nname = 'a'\nwhen = "
           "'s'\nset.interface." +
           setting + "\n";
}

TEST(Check, FindsNothingWrongWithWhatIsRight) {
    EXPECT_THAT(
        mistakes(
            map_sensor("proto_counters",
                       "key = { as = 'proto', enum = 'ip_proto' }\nfields.packets = 'xdp_packets_total'") +
                "[[sensor]]\ntype = 'bpf-ringbuf'\nmap = 'events'\nrecord = 'net_event'\nlabels = { src = "
                "'saddr' }\ncount = 'events_total'\n",
            "[[signal]]\nname = 'pps'\nexpr = 'rate(xdp_packets_total[1s]) + events_total'\n" +
                adaptation("\"{{iface}}\".maps.limits.udp = { pps = 5, burst = 1 }") +
                "set.interface.eth0.maps.limits.\"{{proto}}\" = { pps = 1 "
                "}\nset.interface.eth0.maps.by_verdict.drop = 1\n"),
        IsEmpty());
}

TEST(Check, GivesTheGenerationItsParts) {
    Diagnostics diagnostics;
    const auto config = read_config(std::string(base) + map_sensor("proto_counters", "fields.packets = 'p'"),
                                    "c", diagnostics);
    const GenerationPtr generation = make_generation(*config, {}, {{"guard", guard()}}, 5, diagnostics);
    ASSERT_TRUE(generation);
    EXPECT_EQ(generation->number, 5U);
    EXPECT_THAT(generation->programs, ElementsAre("guard"));
    EXPECT_THAT(generation->sensors, ElementsAre("bpf-map:proto_counters"));
    EXPECT_EQ(generation->baseline, config->baseline());
}

TEST(Check, SaysWhichSensorProvidesAMetricThatNoneHere) {
    const auto told = [](const std::string& metric) {
        return mistakes("", "[[signal]]\nname = 'x'\nexpr = '" + metric + "'\n");
    };
    const auto declare = [](const std::string& metric, const std::string& type) {
        return "p:4:9: no sensor and no signal provides '" + metric +
               "'; declare its sensor in the configuration: [[sensor]] with type = \"" + type + "\"";
    };
    EXPECT_THAT(told("pressure_some_ratio"), ElementsAre(declare("pressure_some_ratio", "pressure")));
    EXPECT_THAT(told("softnet_squeezed_total"), ElementsAre(declare("softnet_squeezed_total", "softnet")));
    EXPECT_THAT(told("link_receive_bytes_total"),
                ElementsAre(declare("link_receive_bytes_total", "rtnetlink")));
}

struct Wrong {
    std::string config; // from line 8 on
    std::string policy; // from line 2 on
    std::string told;
};

void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.told; }

class Mismatches : public testing::TestWithParam<Wrong> {};

TEST_P(Mismatches, AreToldWithTheirPlace) {
    EXPECT_THAT(mistakes(GetParam().config, GetParam().policy), ElementsAre(HasSubstr(GetParam().told)));
}

INSTANTIATE_TEST_SUITE_P(
    Sensors, Mismatches,
    testing::Values(
        Wrong{map_sensor("proto_conters", "value = 'm'"), "",
              "c:10:8: no program has a map 'proto_conters'; did you mean 'proto_counters'?"},
        Wrong{map_sensor("zzzz", "value = 'm'"), "", "there are: proto_counters, limits, blocked"},
        Wrong{map_sensor("events", "value = 'm'"), "",
              "c:10:8: map 'events' is of a type that cannot be read here"},
        Wrong{map_sensor("programs", "value = 'm'"), "",
              "map 'programs' is of a type that cannot be read here"},
        Wrong{map_sensor("limits", "fields.ppps = 'm'"), "",
              "the value of map 'limits' has no field 'ppps'; did you mean 'pps'?"},
        Wrong{map_sensor("limits", "value = 'm'"), "",
              "c:11:9: the value of map 'limits' is a struct; its fields are: pps, burst"},
        Wrong{map_sensor("blocked", "fields.pps = 'm'"), "", "it is a plain number, without fields"},
        Wrong{map_sensor("proto_counters", "fields.mac = 'm'"), "",
              "field 'mac' is an array of bytes; expected a number"},
        Wrong{map_sensor("limits", "fields.pps = 'm'\nkey = { as = 'x', enum = 'ip_prot' }"), "",
              "the object has no enum 'ip_prot'; did you mean 'ip_proto'?"},
        Wrong{map_sensor("limits", "fields.pps = 'm'\nlabels = { x = 'y' }"), "",
              "the key of map 'limits' has no field 'y'"},
        Wrong{"[[sensor]]\ntype = 'bpf-ringbuf'\nmap = 'limits'\nrecord = 'net_event'\ncount = 'n'\n", "",
              "map 'limits' is no ring buffer; there are: events"},
        Wrong{"[[sensor]]\ntype = 'bpf-ringbuf'\nmap = 'events'\nrecord = 'net_evnt'\ncount = 'n'\n", "",
              "c:11:11: the object has no struct 'net_evnt'; did you mean 'net_event'?"},
        Wrong{"[[sensor]]\ntype = 'bpf-ringbuf'\nmap = 'events'\nrecord = 'net_event'\nfields.l5 = 'n'\n", "",
              "struct 'net_event' has no field 'l5'; did you mean 'l4'?"},
        Wrong{"[[sensor]]\ntype = 'bpf-ringbuf'\nmap = 'events'\nrecord = 'net_event'\nlabels = { src = "
              "'sadr' }\ncount = 'n'\n",
              "", "struct 'net_event' has no field 'sadr'; did you mean 'saddr'?"}));

INSTANTIATE_TEST_SUITE_P(
    Overlays, Mismatches,
    testing::Values(
        Wrong{"", adaptation("eht0.xdp.program = 'guard'"),
              "p:8:15: interface 'eht0' is not managed here; did you mean 'eth0'?"},
        Wrong{"", adaptation("eth0.xdp.program = 'gaurd'"),
              "p:8:35: no program is named 'gaurd'; did you mean 'guard'?"},
        Wrong{"", adaptation("eth0.maps.limitz.udp = { pps = 1 }"),
              "no program has a map 'limitz'; did you mean 'limits'?"},
        Wrong{"", adaptation("eth0.maps.limits.udp = { pps = 1, brst = 1 }"),
              "the value of map 'limits' has no field 'brst'; did you mean 'burst'?"},
        Wrong{"", adaptation("eth0.maps.limits.udp = 5"), "the value of map 'limits' is a struct"},
        Wrong{"", adaptation("eth0.maps.limits.udp = { pps = 4_294_967_296 }"), "does not fit 4 bytes"},
        Wrong{"", adaptation("eth0.maps.limits.udp = { pps = -1 }"), "is negative"},
        Wrong{"", adaptation("eth0.maps.limits.gre = { pps = 1 }"),
              "key of map 'limits': 'gre' is no number and in no enum"},
        Wrong{"", adaptation("eth0.maps.limits.tcp = { pps = 1 }"),
              "'tcp' is in two enums, ip_proto and other"},
        Wrong{"", adaptation("eth0.maps.limits.20 = { pps = 1 }"),
              "map 'limits' has no entry 20; expected 0 to 19"},
        Wrong{"", adaptation("eth0.maps.limits.-1 = { pps = 1 }"), "map 'limits' has no entry -1"},
        Wrong{"", adaptation("eth0.maps.blocked.300 = true"), "key of map 'blocked'"},
        Wrong{"", adaptation("eth0.maps.blocked.-1 = true"), "key of map 'blocked'"},
        Wrong{"", adaptation("eth0.maps.by_verdict.tcp = 1"),
              "'tcp' is not in enum verdict; expected one of drop, pass"},
        Wrong{"", adaptation("eth0.maps.by_flow.7 = 1"), "the key of map 'by_flow' is a struct"},
        Wrong{"", adaptation("\"{{iface}}\".maps.events.7 = 1"),
              "map 'events' is of a type that cannot be read here"},
        Wrong{"[[interface]]\nname = 'eth1'\nmaps.limits.gre = { pps = 1 }\n", "",
              "c:10:19: key of map 'limits': 'gre'"}));

const std::string counting = map_sensor("proto_counters", "fields.packets = 'xdp_packets_total'");

INSTANTIATE_TEST_SUITE_P(
    Policies, Mismatches,
    testing::Values(
        Wrong{
            counting, "[[signal]]\nname = 'x'\nexpr = 'xdp_packet_total'\n",
            "p:4:9: no sensor and no signal provides 'xdp_packet_total'; did you mean 'xdp_packets_total'?"},
        Wrong{"[[sensor]]\ntype = 'softnet'\n", "[[signal]]\nname = 'x'\nexpr = 'softnet_droped_total'\n",
              "did you mean 'softnet_dropped_total'?"},
        Wrong{"[[sensor]]\ntype = 'pressure'\n", "[[signal]]\nname = 'x'\nexpr = 'pressure_some_rato'\n",
              "did you mean 'pressure_some_ratio'?"},
        Wrong{"[[sensor]]\ntype = 'rtnetlink'\n",
              "[[signal]]\nname = 'x'\nexpr = 'link_receive_packet_total'\n",
              "did you mean 'link_receive_packets_total'?"},
        Wrong{counting + "[limits]\nsamples_per_series_max = 50\n",
              "[[signal]]\nname = 'x'\nexpr = 'rate(xdp_packets_total[1m])'\n",
              "p:4:14: a window of 1m needs 601 samples at a period of 100ms; expected at most 50"},
        // The sample before a window is kept too.
        Wrong{counting + "[limits]\nsamples_per_series_max = 50\n",
              "[[symptom]]\nname = 'x'\nraise = 'xdp_packets_total'\nclear = 'rate(xdp_packets_total[5s])'\n",
              "a window of 5s needs 51 samples"}));

TEST(Check, LetsAWindowThatJustFitsPass) {
    EXPECT_THAT(mistakes(counting + "[limits]\nsamples_per_series_max = 51\n",
                         "[[signal]]\nname = 'x'\nexpr = 'rate(xdp_packets_total[5s])'\n"),
                IsEmpty());
}

TEST(Check, TellsAllMistakesAtOnce) {
    EXPECT_EQ(mistakes(map_sensor("nothing", "value = 'm'") +
                           "[[interface]]\nname = 'eth1'\nmaps.limits.gre = { pps = 1 }\n",
                       adaptation("eth7.maps.limits.udp = { brst = 1 }"))
                  .size(),
              4U);
}

TEST(Check, RefusesProgramsWhoseMapsOfOneNameDiffer) {
    ObjectLayout other = guard();
    other.maps[1].value.size = 16;
    EXPECT_THAT(mistakes("[[program]]\nname = 'other'\nobject = 'o.bpf.o'\n", "",
                         {{"guard", guard()}, {"other", other}}),
                ElementsAre(HasSubstr(
                    "c:10:11: map 'limits' of program 'other' differs from that of program 'guard'")));
}

TEST(Check, WantsATwinThatIsATcProgramOfTheSameObject) {
    const auto with_twin = [](const std::string& twin, const ObjectLayout& object) {
        return mistakes("[[program]]\nname = 'x'\nobject = 'x.bpf.o'\ntwin = '" + twin + "'\n", "",
                        {{"guard", guard()}, {"x", object}});
    };
    EXPECT_THAT(with_twin("guard_twin", guard()), IsEmpty());
    EXPECT_THAT(with_twin("gard_twin", guard()),
                ElementsAre("c:11:9: 'x.bpf.o' has no TC program 'gard_twin'; did you mean 'guard_twin'?"));
    EXPECT_THAT(with_twin("guard", guard()),
                ElementsAre("c:11:9: 'x.bpf.o' has no TC program 'guard'; there are: guard_twin, other"))
        << "an XDP program";
    ObjectLayout without = guard();
    without.tc_programs.clear();
    EXPECT_THAT(with_twin("guard_twin", without),
                ElementsAre("c:11:9: 'x.bpf.o' has no TC program 'guard_twin'; "
                            "it has none; expected a function in SEC(\"tc\")"));
    EXPECT_THAT(
        mistakes("[[program]]\nname = 'x'\nobject = 'x.bpf.o'\ntwin = 'y'\n", "", {{"guard", guard()}}),
        IsEmpty())
        << "that there is no object was told already";
}

TEST(Check, WantsTcProgramsAtTcAndXdpProgramsAtXdp) {
    ObjectLayout shape;
    shape.tc_programs = {"shape"};
    const auto told = [&](const std::string& interface, const std::string& setting = "") {
        return mistakes(
            "[[program]]\nname = 'shape'\nobject = 'shape.bpf.o'\n[[interface]]\nname = 'eth1'\n" +
                interface + "\n",
            setting.empty() ? "" : adaptation(setting), {{"guard", guard()}, {"shape", shape}});
    };
    EXPECT_THAT(
        told("tc.ingress.program = 'shape'\ntc.egress.program = 'none'", "eth0.tc.egress.program = 'shape'"),
        IsEmpty());
    const std::string no_xdp = "'shape' is a TC program; expected an XDP program; this one goes with "
                               "tc.ingress.program or tc.egress.program";
    const std::string no_tc =
        "'guard' is an XDP program; expected a TC program; this one goes with xdp.program";
    EXPECT_THAT(told("xdp.program = 'shape'"), ElementsAre("c:13:16: " + no_xdp));
    EXPECT_THAT(told("tc.egress.program = 'guard'"), ElementsAre("c:13:22: " + no_tc));
    EXPECT_THAT(told("", "eth0.xdp.program = 'shape'"), ElementsAre(HasSubstr(no_xdp)));
    EXPECT_THAT(told("", "eth0.tc.ingress.program = 'guard'"), ElementsAre(HasSubstr(no_tc)));
    EXPECT_THAT(told("", "eth0.tc.ingress.program = 'shap'"),
                ElementsAre(HasSubstr("no program is named 'shap'; did you mean 'shape'?")));
    EXPECT_THAT(mistakes("[[program]]\nname = 'x'\nobject = 'x.bpf.o'\ntwin = 'shape'\n", "",
                         {{"guard", guard()}, {"x", shape}}),
                ElementsAre(HasSubstr("c:11:9: 'x' is a TC program, and has no twin")));
}

TEST(Check, WantsMergeRulesForMapsAndStampsThatTheObjectHas) {
    const auto with_rule = [](const std::string& rule) {
        return mistakes("[[program]]\nname = 'x'\nobject = 'x.bpf.o'\n" + rule + "\n", "",
                        {{"guard", guard()}, {"x", guard()}});
    };
    EXPECT_THAT(with_rule("maps.proto_counters.merge = 'sum'"), IsEmpty());
    EXPECT_THAT(with_rule("maps.proto_counter.merge = 'sum'"),
                ElementsAre("c:11:6: 'x.bpf.o' has no map 'proto_counter'; did you mean 'proto_counters'?"));
    EXPECT_THAT(with_rule("maps.proto_counters = { merge = 'newest', stamp = 'bytes' }"), IsEmpty());
    EXPECT_THAT(
        with_rule("maps.proto_counters = { merge = 'newest', stamp = 'byte' }"),
        ElementsAre("c:11:52: the value of map 'proto_counters' has no field 'byte'; did you mean 'bytes'?"));
    EXPECT_THAT(with_rule("maps.proto_counters = { merge = 'newest', stamp = 'mac' }"),
                ElementsAre("c:11:52: 'mac' is no unsigned integer of 4 or 8 bytes; a stamp is one, and only "
                            "grows"));
}

TEST(Check, DoesNotJudgeMapsWithoutAnyObject) {
    EXPECT_THAT(mistakes(map_sensor("nothing", "value = 'm'"), "", {}), IsEmpty());
}

TEST(Check, RefusesTwoSpellingsOfOneKey) {
    EXPECT_THAT(mistakes("", "[[symptom]]\nname = 's'\nraise = 'link_up == 0'\n[[adaptation]]\nname = 'a'\n"
                             "when = 's'\n[adaptation.set.interface.eth0.maps.limits]\nudp = { pps = 1 }\n"
                             "PROTO_UDP = { pps = 2 }\n"),
                ElementsAre(HasSubstr("is also written 'udp'; write it alike everywhere")));
}

// ---- what a reload may change

std::vector<std::string> reload_mistakes(const std::string& running, const std::string& next) {
    Diagnostics diagnostics;
    const auto a = read_config(std::string(base) + running, "a", diagnostics);
    const auto b = read_config(std::string(base) + next, "b", diagnostics);
    if (!a || !b) throw std::invalid_argument(to_text(diagnostics.front()));
    check_reloadable(*a, *b, diagnostics);
    std::vector<std::string> lines;
    for (const Diagnostic& diagnostic : diagnostics) lines.push_back(to_text(diagnostic));
    return lines;
}

TEST(Reload, MayChangeBaselinesPoliciesAndLimits) {
    EXPECT_THAT(reload_mistakes("[[interface]]\nname = 'eth1'\n",
                                "[[interface]]\nname = 'eth1'\nxdp.program = 'guard'\n[limits]\nseries_max = "
                                "5\n[controller]\npolicies = 'x'\n"),
                IsEmpty());
    EXPECT_THAT(reload_mistakes(counting, "\n\n" + counting), IsEmpty()) << "places do not count";
}

TEST(Reload, MayNotChangeWhatIsFixedAtTheStart) {
    EXPECT_THAT(reload_mistakes(counting,
                                "[controller]\nperiod = '1s'\nobjects = '/x'\n[[interface]]\nname = 'eth1'\n"
                                "[[program]]\nname = 'more'\nobject = 'm.o'\n"),
                ElementsAre(HasSubstr("the period has changed; restart the controller for it"),
                            HasSubstr("controller.objects"), HasSubstr("the list of interfaces"),
                            HasSubstr("the programs"), HasSubstr("the sensors")));
}

} // namespace
} // namespace homeostat
