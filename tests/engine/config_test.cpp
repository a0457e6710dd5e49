#include "engine/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace homeostat {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view whole = R"(version = 1

[controller]
period   = "250ms"
objects  = "/usr/lib/homeostat"
policies = ["flood.toml", "more.toml"]

[limits]
series_max = 5000
inputs_queued_max = 10
lookback = "1m"

[[program]]
name     = "counter"
object   = "xdp_counter.bpf.o"
function = "count"
twin     = "count_in_tc"
maps.proto_counters.merge = "sum"
maps.seen = { merge = "newest", stamp = "last_ns" }
on_incompatible = "reset"

[[interface]]
name = "eth0"
xdp.program = "counter"
xdp.mode = ["drv", "skb"]
xdp.max_gap = "5ms"
xdp.climb_after = "1h"
on_foreign = "replace"
maps.limits.udp = { pps = 5 }
maps.flags.on = true

[[interface]]
name = "eth1"
xdp.program = "none"

[[sensor]]
type   = "bpf-map"
map    = "proto_counters"
key    = { as = "proto", enum = "ip_proto" }
fields.packets = "xdp_packets_total"
fields.drops = { metric = "xdp_verdicts_total", labels = { verdict = "drop" } }
cpus   = "keep"
skip_zero = true
series_max = 7

[[sensor]]
name   = "events"
type   = "bpf-ringbuf"
map    = "events"
record = "net_event"
labels = { src = "saddr", proto = { field = "l4", enum = "ip_proto" } }
count  = "events_total"
valid  = "2s"
forget = "1m"
urgent = true

[[sensor]]
type = "rtnetlink"
)";

TEST(Config, IsReadWhole) {
    Diagnostics diagnostics;
    const auto config = read_config(whole, "c", diagnostics);
    ASSERT_THAT(diagnostics, IsEmpty());
    ASSERT_TRUE(config);
    EXPECT_EQ(config->period, Duration{250});
    EXPECT_THAT(config->object_folders, ElementsAre("/usr/lib/homeostat"));
    ASSERT_EQ(config->policies.size(), 2U);
    EXPECT_EQ(config->policies[1].path, "more.toml");
    EXPECT_EQ(config->policies[1].at, (Position{6, 28}));
    EXPECT_EQ(config->limits.store.series_max, 5000U);
    EXPECT_EQ(config->limits.inputs_queued_max, 10U);
    EXPECT_EQ(config->limits.lookback, Duration{std::chrono::minutes{1}});
    EXPECT_EQ(config->limits.changes_per_minute_max, Limits{}.changes_per_minute_max);
    EXPECT_EQ(config->programs, (std::vector<ProgramSpec>{{.name = "counter",
                                                           .object = "xdp_counter.bpf.o",
                                                           .function = "count",
                                                           .twin = "count_in_tc",
                                                           .merges = config->programs.front().merges,
                                                           .resets_maps = true,
                                                           .at = {},
                                                           .object_at = {},
                                                           .twin_at = {}}}));
    EXPECT_EQ(config->programs.front().twin_at, (Position{17, 13}));
    EXPECT_THAT(config->programs.front().merges, ElementsAre(MapMergeSpec{.map = "proto_counters",
                                                                          .rule = MapMergeSpec::Rule::sum,
                                                                          .stamp = "",
                                                                          .at = {},
                                                                          .stamp_at = {}},
                                                             MapMergeSpec{.map = "seen",
                                                                          .rule = MapMergeSpec::Rule::newest,
                                                                          .stamp = "last_ns",
                                                                          .at = {},
                                                                          .stamp_at = {}}));

    const DesiredState baseline = config->baseline();
    EXPECT_EQ(baseline.at("eth0").program, "counter");
    EXPECT_EQ(baseline.at("eth0").ladder, (std::vector{XdpMode::drv, XdpMode::skb}));
    EXPECT_EQ(baseline.at("eth0").gap_max, Duration{5});
    EXPECT_EQ(baseline.at("eth1").gap_max, std::nullopt);
    EXPECT_EQ(baseline.at("eth0").climb_after, std::chrono::hours{1});
    EXPECT_EQ(baseline.at("eth1").climb_after, std::chrono::minutes{10});
    EXPECT_TRUE(baseline.at("eth0").replace_foreign);
    EXPECT_FALSE(baseline.at("eth1").replace_foreign);
    EXPECT_EQ(baseline.at("eth0").entries, (std::map<MapEntry, MapValue>{{{"limits", "udp"}, {{"pps", 5}}},
                                                                         {{"flags", "on"}, {{"", 1}}}}));
    EXPECT_EQ(baseline.at("eth1").program, std::nullopt);
    EXPECT_EQ(baseline.at("eth1").ladder, std::vector{XdpMode::drv})
        << "nobody lands in generic mode unasked";

    ASSERT_EQ(config->sensors.size(), 3U);
    EXPECT_EQ(config->sensors[0].name, "bpf-map:proto_counters");
    EXPECT_EQ(config->sensors[0].series_max, 7U);
    const auto& map = std::get<MapSensorSpec>(config->sensors[0].source);
    EXPECT_EQ(map.key, (std::vector<LabelSource>{
                           {.field = "", .label = "proto", .enumeration = "ip_proto", .at = {}}}));
    ASSERT_EQ(map.fields.size(), 2U);
    EXPECT_EQ(map.fields[1].labels, (std::vector<Label>{{"verdict", "drop"}}));
    EXPECT_TRUE(map.keep_cpus);
    EXPECT_TRUE(map.skip_zero);
    const auto& ring = std::get<RingSensorSpec>(config->sensors[1].source);
    EXPECT_EQ(ring.labels, (std::vector<LabelSource>{
                               {.field = "saddr", .label = "src", .enumeration = "", .at = {}},
                               {.field = "l4", .label = "proto", .enumeration = "ip_proto", .at = {}}}));
    EXPECT_EQ(ring.count, "events_total");
    EXPECT_EQ(ring.valid, Duration{std::chrono::seconds{2}});
    EXPECT_EQ(ring.forget, Duration{std::chrono::minutes{1}});
    EXPECT_TRUE(ring.urgent);
    EXPECT_EQ(config->sensors[2].name, "rtnetlink");
}

std::vector<std::string> mistakes(const std::string& text) {
    Diagnostics diagnostics;
    (void)read_config(text, "c", diagnostics);
    std::ranges::stable_sort(diagnostics, {}, &Diagnostic::at);
    std::vector<std::string> lines;
    for (const Diagnostic& diagnostic : diagnostics) lines.push_back(to_text(diagnostic));
    return lines;
}

TEST(Config, ARecordIsNotForgottenWhileItIsValid) {
    const std::string ring =
        "version = 1\n[[interface]]\nname = \"eth0\"\n[[sensor]]\ntype = \"bpf-ringbuf\"\n"
        "map = \"events\"\nrecord = \"event\"\ncount = \"events_total\"\n";
    EXPECT_THAT(
        mistakes(ring + "valid = \"10m\"\n"),
        ElementsAre("c:9:9: a record would be forgotten after 5m, while it is valid; expected a 'forget' "
                    "of at least 10m"));
    EXPECT_THAT(mistakes(ring + "valid = \"10m\"\nforget = \"10m\"\n"), IsEmpty());
    EXPECT_THAT(mistakes(ring + "forget = \"0s\"\n"), ElementsAre(testing::HasSubstr("at least 1ms")));
}

TEST(Config, TellsAllItsMistakesAtOnceWithTheirPlaces) {
    EXPECT_THAT(mistakes(R"(version = 1
[controller]
period = "2h"
colour = "red"
[limits]
series_max = 0
[[program]]
name = "none"
object = "bpf/xdp.o"
[[interface]]
name = "eth0"
xdp.program = "gaurd"
xdp.mode = "native"
[[interface]]
name = "eth0"
[[program]]
name = "guard"
object = "g.o"
[[sensor]]
type = "bpf-mop"
[[sensor]]
type = "bpf-map"
map = "m"
value = "not a name"
)"),
                ElementsAre(HasSubstr("c:3:10: a period of 2h; expected 1ms to 1m"),
                            HasSubstr("c:4:1: unknown key 'controller.colour'"),
                            HasSubstr("c:6:14: 'limits.series_max' is 0"),
                            HasSubstr("c:8:9: a program cannot be named 'none'"),
                            HasSubstr("c:9:11: 'bpf/xdp.o' is a path"),
                            HasSubstr("c:12:16: no program is named 'gaurd'; did you mean 'guard'?"),
                            HasSubstr("c:13:13: 'native' is no XDP mode"),
                            HasSubstr("c:15:9: interface 'eth0' stands twice"),
                            HasSubstr("c:20:9: 'sensor.type' is \"bpf-mop\""),
                            HasSubstr("c:24:10: 'not a name' is no metric name")));
}

TEST(Config, ASyntaxErrorStandsAlone) {
    EXPECT_THAT(mistakes("version = 5\n[controller\n"), ElementsAre(HasSubstr("TOML syntax")));
}

TEST(Config, OffersWhatCouldBeReadDespiteAMistakeButNothingOfBrokenToml) {
    Diagnostics diagnostics;
    EXPECT_TRUE(read_config("version = 5", "c", diagnostics));
    EXPECT_TRUE(has_errors(diagnostics));
    EXPECT_FALSE(read_config("version = ", "c", diagnostics));
}

TEST(Config, NeedsAVersionAndAnInterface) {
    EXPECT_THAT(mistakes(""),
                ElementsAre(HasSubstr("'version' is missing"), HasSubstr("no interface is named")));
}

struct Wrong {
    std::string text; // after a version and an interface, from line 4 on
    std::string told;
};

void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.told; }

TEST(Config, ReadsTcProgramsAndTellsTheNamesThatNobodyHas) {
    Diagnostics diagnostics;
    const auto config =
        read_config("version = 1\n[[program]]\nname = 'shape'\nobject = 's.o'\n[[interface]]\nname = "
                    "'eth0'\ntc.ingress.program = 'shape'\ntc.egress.program = 'none'\n",
                    "c", diagnostics);
    ASSERT_THAT(diagnostics, IsEmpty());
    EXPECT_EQ(config->interfaces.at(0).baseline.tc,
              (std::map<TcDirection, std::string>{{TcDirection::ingress, "shape"}}));
    EXPECT_EQ(config->interfaces.at(0).tc_at.at(TcDirection::ingress), (Position{7, 23}));
    EXPECT_THAT(mistakes("version = 1\n[[interface]]\nname = 'eth0'\ntc.egress.program = 'shap'\n"),
                ElementsAre("c:4:22: no program is named 'shap'; declare it with [[program]]"));
}

class WrongConfigs : public testing::TestWithParam<Wrong> {};

TEST_P(WrongConfigs, AreToldWhatIsWrong) {
    EXPECT_THAT(mistakes("version = 1\n[[interface]]\nname = 'eth0'\n" + GetParam().text),
                ElementsAre(HasSubstr(GetParam().told)));
}

INSTANTIATE_TEST_SUITE_P(
    Config, WrongConfigs,
    testing::Values(
        Wrong{"[[program]]\nobject = 'x.o'", "'program.name' is missing"},
        Wrong{"[[program]]\nname = 'x'", "'program.object' is missing"},
        Wrong{"[[program]]\nname = 'x'\nobject = ''", "c:6:11: 'object' is empty"},
        Wrong{"[[program]]\nname = ''\nobject = 'x.o'", "c:5:9: a program cannot be named ''"},
        Wrong{"[[program]]\nname = 'x'\nobject = 'x.o'\n[[program]]\nname = 'x'\nobject = 'y.o'",
              "c:8:9: program 'x' stands twice"},
        Wrong{"[[program]]\nname = 'x'\nobject = 'x.o'\nmaps.m.merge = 'add'",
              "c:7:17: 'program.maps.m.merge' is \"add\"; expected one of \"sum\", \"newest\""},
        Wrong{"[[program]]\nname = 'x'\nobject = 'x.o'\nmaps.m = {}",
              "c:7:6: map 'm' says nothing of 'merge'"},
        Wrong{"[[program]]\nname = 'x'\nobject = 'x.o'\nmaps.m.merge = 'newest'",
              "c:7:6: merge = \"newest\" needs a stamp"},
        Wrong{"[[program]]\nname = 'x'\nobject = 'x.o'\nmaps.m = { merge = 'sum', stamp = 's' }",
              "c:7:36: a sum takes no stamp"},
        Wrong{"[[program]]\nname = 'x'\nobject = 'x.o'\non_incompatible = 'ignore'",
              "expected one of \"refuse\", \"reset\""},
        Wrong{"[[interface]]\nxdp.mode = 'drv'", "'interface.name' is missing"},
        Wrong{"[[interface]]\nname = 'eth1'\nxdp.mod = 'drv'",
              "c:6:5: unknown key 'interface.xdp.mod'; did you mean 'mode'?"},
        Wrong{"[[sensor]]\nname = 's'", "'sensor.type' is missing"},
        Wrong{"[[sensor]]\ntype = 'bpf-map'\nvalue = 'm'", "'sensor.map' is missing"},
        Wrong{"[[sensor]]\ntype = 'bpf-map'\nmap = 'm'", "the sensor records nothing"},
        Wrong{"[[sensor]]\ntype = 'bpf-ringbuf'\nmap = 'm'\ncount = 'n'", "'sensor.record' is missing"},
        Wrong{"[[sensor]]\ntype = 'bpf-ringbuf'\nmap = 'm'\nrecord = 'r'", "the sensor records nothing"},
        Wrong{"[[sensor]]\ntype = 'bpf-map'\nmap = 'm'\nvalue = 'v'\nkey = { enum = 'e' }",
              "'sensor.key.as' is missing"},
        Wrong{"[[sensor]]\ntype = 'bpf-map'\nmap = 'm'\nvalue = 'v'\ncpus = 'all'",
              "expected one of \"sum\", \"keep\""},
        Wrong{"[[sensor]]\ntype = 'bpf-map'\nmap = 'm'\nvalue = 'v'\nurgent = true",
              "unknown key 'sensor.urgent'"},
        Wrong{"[[sensor]]\ntype = 'bpf-map'\nmap = 'm'\nfields = { a = { labels = {} } }",
              "'sensor.fields.a.metric' is missing"},
        Wrong{"[[sensor]]\ntype = 'bpf-map'\nmap = 'm'\nvalue = 'v'\n[[sensor]]\ntype = 'bpf-map'\nmap = "
              "'m'\nvalue = 'w'",
              "c:8:1: sensor 'bpf-map:m' stands twice"},
        Wrong{"[limits]\nlookback = 5", "'limits.lookback' is an integer"},
        Wrong{"[limits]\nseries_may = 5", "unknown key 'limits.series_may'; did you mean 'series_max'?"},
        Wrong{"[controller]\nperiod = '0s'", "c:5:10: a period of 0s; expected 1ms to 1m"},
        Wrong{"[controler]", "unknown key 'controler'; did you mean 'controller'?"}));

} // namespace
} // namespace homeostat
