#include "engine/metric_schema.hpp"
#include "engine/review.hpp"
#include "tests/engine/scenario.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace homeostat::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using namespace std::chrono_literals;

using Kind = FieldLayout::Kind;

// A guard with counters by protocol, kept per CPU, and a ring of events.
ObjectLayout guard() {
    const auto field = [](std::string name, Kind kind, std::string enumeration) {
        return FieldLayout{.name = std::move(name),
                           .offset = 0,
                           .size = 4,
                           .kind = kind,
                           .enumeration = std::move(enumeration)};
    };
    ObjectLayout object;
    object.programs = {"guard"};
    object.maps = {
        {.name = "counters",
         .kind = MapLayout::Kind::percpu_array,
         .key = {.name = "", .size = 4, .fields = {field("", Kind::unsigned_integer, "")}},
         .value = {.name = "", .size = 4, .fields = {field("", Kind::unsigned_integer, "")}},
         .max_entries = 2},
        {.name = "events", .kind = MapLayout::Kind::ringbuf, .key = {}, .value = {}, .max_entries = 0}};
    object.structs = {
        {.name = "event",
         .size = 4,
         .fields = {field("verdict", Kind::enumeration, "verdict"), field("late", Kind::boolean, ""),
                    field("size", Kind::unsigned_integer, "")}}};
    object.enums = {{"protocol", {{"PROTO_TCP", 0}, {"PROTO_UDP", 1}}},
                    {"verdict", {{"V_DROP", 1}, {"V_PASS", 2}}}};
    return object;
}

ControllerConfig config_of(const std::string& sensors) {
    Diagnostics diagnostics;
    auto config =
        read_config("version = 1\n[[program]]\nname = 'guard'\nobject = 'g.o'\n[[interface]]\nname = "
                    "'eth0'\n" +
                        sensors,
                    "c", diagnostics);
    if (!config || !diagnostics.empty()) throw std::invalid_argument(to_text(diagnostics.front()));
    return *config;
}

std::vector<std::string> labels_of(const promql::MetricSchema& metric) {
    std::vector<std::string> labels;
    for (const auto& [name, range] : metric.shapes.at(0).labels) {
        std::string text = name;
        for (const std::string& value : range.values.value_or(std::set<std::string>{})) text += " " + value;
        labels.push_back(text + (range.also_numbers ? " or a number" : ""));
    }
    return labels;
}

TEST(MetricSchema, HasTheLabelsOfMapsWithTheWordsOfTheirEnums) {
    const promql::Schema schema =
        metric_schema(config_of("[[sensor]]\ntype = 'bpf-map'\nmap = 'counters'\ncpus = 'keep'\n"
                                "key = { as = 'proto', enum = 'protocol' }\n"
                                "value = { metric = 'packets_total', labels = { side = 'in' } }\n"),
                      {{"guard", guard()}}, {});
    EXPECT_THAT(labels_of(schema.at("packets_total")),
                ElementsAre("cpu", "iface eth0", "proto tcp udp or a number", "side in"));
    EXPECT_EQ(schema.at("packets_total").kind, promql::MetricKind::counter);
}

TEST(MetricSchema, HasTheLabelsOfRecords) {
    const promql::Schema schema =
        metric_schema(config_of("[[sensor]]\ntype = 'bpf-ringbuf'\nmap = 'events'\nrecord = 'event'\n"
                                "labels = { verdict = 'verdict', late = 'late', size = 'size' }\n"
                                "fields = { size = 'event_size' }\ncount = 'events_total'\n"),
                      {{"guard", guard()}}, {});
    const auto labels = ElementsAre("iface eth0", "late false true", "size", "verdict drop pass or a number");
    EXPECT_THAT(labels_of(schema.at("event_size")), labels);
    EXPECT_THAT(labels_of(schema.at("events_total")), labels);
    EXPECT_EQ(schema.at("event_size").kind, promql::MetricKind::gauge);
    EXPECT_EQ(schema.at("events_total").kind, promql::MetricKind::counter);
    EXPECT_THAT(labels_of(schema.at("sensor_short_records_total")), ElementsAre("iface eth0", "map events"));
}

TEST(MetricSchema, LetsLabelsBeAnythingWithoutTheObject) {
    const promql::Schema schema =
        metric_schema(config_of("[[sensor]]\ntype = 'bpf-map'\nmap = 'counters'\n"
                                "key = { as = 'proto', enum = 'protocol' }\nvalue = 'packets_total'\n"),
                      {}, {});
    EXPECT_THAT(labels_of(schema.at("packets_total")), ElementsAre("iface eth0", "proto"));
}

TEST(MetricSchema, KnowsEveryMetricThatIsProvided) {
    const ControllerConfig config = config_of(
        "[[sensor]]\ntype = 'rtnetlink'\n[[sensor]]\ntype = 'bpf-ringbuf'\nmap = 'events'\nrecord = "
        "'event'\ncount = 'events_total'\n");
    const promql::Schema schema = with_policy_metrics(metric_schema(config, {}, {}), {});
    for (const std::string& metric : provided_metrics(config)) EXPECT_TRUE(schema.contains(metric)) << metric;
}

// Whether the schema has a shape that these labels have.
bool fits(const Labels& labels, const promql::Schema& schema) {
    const auto metric = schema.find(labels.metric_name());
    if (metric == schema.end()) return false;
    const Labels rest = labels.without_metric_name();
    return std::ranges::any_of(metric->second.shapes, [&](const promql::ResultLabels& shape) {
        const bool all_known = std::ranges::all_of(rest.all(), [&](const Label& label) {
            return !shape.never_has(label.name) && shape.range(label.name).can_be(label.value);
        });
        const bool all_there = std::ranges::all_of(shape.labels, [&](const auto& label) {
            return !label.second.always || !rest.get(label.first).empty();
        });
        return all_known && all_there;
    });
}

TEST(MetricSchema, FitsEverySeriesThatTheControllerRecords) {
    const std::string policy = "[[signal]]\nname = 'busy'\nexpr = 'sum by (iface) (pps)'\n"
                               "[[symptom]]\nname = 'flood'\nraise = 'busy > 100'\n"
                               "[[symptom]]\nname = 'odd'\nraise = 'busy + pps > 100'\n"
                               "[[adaptation]]\nname = 'guard'\nwhen = 'flood'\n"
                               "set.interface.\"{{iface}}\".xdp.program = 'guard'\n";
    Scenario scenario({policy});
    scenario.play({{"pps{iface='eth0',src='a'}", "10 200 200 10 10 200"}});
    Diagnostics diagnostics;
    const auto config = read_config(small_config, "c", diagnostics);
    const PolicySet& policies = scenario.state.generation->policies;
    const promql::Schema schema = with_policy_metrics(metric_schema(*config, {}, policies), policies);
    std::size_t count = 0;
    for (const SeriesId id : scenario.state.knowledge.series.all()) {
        const Labels& labels = scenario.state.knowledge.series.labels(id);
        EXPECT_TRUE(fits(labels, schema)) << to_text(labels);
        ++count;
    }
    EXPECT_GT(count, 20U);
}

// ---- the whole review

std::vector<std::string> told(const std::string& policy, PolicyReview* review = nullptr) {
    Diagnostics diagnostics;
    const auto config = read_config(small_config, "c", diagnostics);
    std::vector<PolicyDocument> documents;
    documents.push_back(read_policy("version = 1\n" + policy, "p", diagnostics));
    PolicyReview made;
    make_generation(*config, std::move(documents), {}, 1, diagnostics, review != nullptr ? review : &made);
    put_in_order(diagnostics);
    std::vector<std::string> lines;
    for (const Diagnostic& diagnostic : diagnostics) lines.push_back(to_text(diagnostic));
    return lines;
}

const std::string good = "[[symptom]]\nname = 'flood'\nraise = 'pps > 100'\nclear = 'pps < 50'\n"
                         "[[adaptation]]\nname = 'guard'\nwhen = 'flood'\nbudget = '6/1h'\n"
                         "set.interface.\"{{iface}}\".xdp.program = 'guard'\n";

TEST(Review, HasNothingToSayOfGoodPolicies) {
    PolicyReview review;
    EXPECT_THAT(told(good, &review), IsEmpty());
    ASSERT_EQ(review.bounds.size(), 2U);
    EXPECT_EQ(to_text(review.bounds[1]),
              "eth1 ({{iface}}): at most 12 changes an hour (guard: budget 6/1h, each applied and removed)");
}

TEST(Review, TellsMistakesOfAllKindsAtOnce) {
    EXPECT_THAT(
        told(good +
             "[[signal]]\nname = 'x'\nexpr = 'pbs'\n"
             "[[signal]]\nname = 'y'\nexpr = 'pps{iface=\"eth2\"}'\n"
             "[[adaptation]]\nname = 'other'\nwhen = 'flud'\nset.interface.eth0.xdp.program = 'gard'\n"),
        testing::AllOf(testing::Contains(HasSubstr("'pbs'")), testing::Contains(HasSubstr("never \"eth2\"")),
                       testing::Contains(HasSubstr("'flud'")), testing::Contains(HasSubstr("'gard'"))));
}

TEST(Review, DoesNotCallUnusedWhatAMistakeMayHaveHidden) {
    const std::string unused = "[[signal]]\nname = 'x'\nexpr = 'pps'\n";
    EXPECT_THAT(told(good + unused), ElementsAre(HasSubstr("[unused-signal]")));
    EXPECT_THAT(told(good + unused + "[[signal]]\nname = 'y'\nexpr = 'x +'\n"),
                ElementsAre(HasSubstr("ends too early")));
}

TEST(Review, CountsUrgentTicksAsFastAsTheyMayCome) {
    Diagnostics diagnostics;
    const auto flaps = [&](const std::string& urgent) {
        const ControllerConfig config = config_of(
            "[limits]\nchanges_per_minute_max = 1000000\n[controller]\nperiod = '1s'\n[[sensor]]\ntype = "
            "'bpf-ringbuf'\nmap = 'e'\nrecord = 'r'\ncount = 'n'\n" +
            urgent);
        std::vector<PolicyDocument> documents;
        documents.push_back(
            read_policy("version = 1\n[[symptom]]\nname = 's'\nraise = 'link_up == 0'\n[[adaptation]]\n"
                        "name = 'a'\nwhen = 's'\nset.interface.\"{{iface}}\".xdp.mode = 'skb'\n",
                        "p", diagnostics));
        const PolicySet policies = make_policy_set(std::move(documents), nullptr, diagnostics);
        return review_policies(policies, config, {}, diagnostics).bounds.at(0).changes;
    };
    EXPECT_EQ(flaps(""), 3'600U);
    EXPECT_EQ(flaps("urgent = true\n"), 3'600'000U);
}

} // namespace
} // namespace homeostat::test
