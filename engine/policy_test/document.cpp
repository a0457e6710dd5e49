#include "engine/policy_test/document.hpp"

#include "engine/policy_test/read.hpp"
#include "policies/interface_settings.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace homeostat::policy_test {

bool InstancePattern::matches(std::string_view a_name, const Labels& key) const {
    return a_name == name && std::ranges::all_of(labels.all(), [&](const Label& label) {
               return key.get(label.name) == label.value;
           });
}

std::optional<Labels> read_series_labels(TomlTable& table, const SourceText& source, bool with_name) {
    auto labels = promql::parse_series(source.text);
    if (!labels) {
        table.mistake(source.position(static_cast<std::size_t>(labels.error().number)), labels.error().what,
                      R"(expected a series such as 'packets_total{iface="eth0"}')");
        return std::nullopt;
    }
    if (with_name && labels->metric_name().empty()) {
        table.mistake(source.position(0), "the series has no name",
                      R"(expected one such as 'packets_total{iface="eth0"}')");
        return std::nullopt;
    }
    return std::move(*labels);
}

namespace {

// 2026-01-01T00:00:00Z, a Thursday, where the document names no other time.
constexpr Instant default_start = at_ms(1'767'225'600'000);
constexpr Duration case_longest = std::chrono::hours{24 * 366};

std::optional<PlayedSeries> read_series(TomlTable& table, Duration period) {
    PlayedSeries series;
    auto source = table.require_text("series", R"(a series such as 'packets_total{iface="eth0"}')");
    auto values = table.require_text("values", "its values, such as \"0+10x5 _ stale\"");
    series.from = table.duration("from").value_or(Duration{0});
    series.every = table.duration("every").value_or(period);
    series.sensor = table.string("sensor").value_or(series.sensor);
    series.urgent = table.boolean("urgent").value_or(false);
    table.finish();
    if (series.every <= Duration{0})
        table.mistake(table.at("every"), "'every' is zero", "expected the time between two values");
    if (!source || !values) return std::nullopt;
    auto labels = read_series_labels(table, *source, true);
    auto parsed = promql::parse_series_values(values->text);
    if (!parsed)
        table.mistake(values->position(static_cast<std::size_t>(parsed.error().number)), parsed.error().what,
                      "expected a, axn, a+bxn, a-bxn, _, _xn, stale, NaN or Inf, and at most " +
                          std::to_string(promql::series_values_max) + " values in all");
    if (!labels || !parsed || series.every <= Duration{0}) return std::nullopt;
    series.labels = std::move(*labels);
    series.values = std::move(*parsed);
    series.source = std::move(*source);
    return series;
}

// urgent = { 'SERIES' = NUMBER }: an event for each.
void read_urgent(TomlTable& event, const Event& base, std::vector<Event>& events) {
    const std::string sensor = event.string("sensor").value_or(std::string(default_sensor));
    auto samples = event.table("urgent");
    if (!samples) return;
    for (const std::string& key : samples->keys()) {
        const SourceText source = samples->key_text(key);
        const auto value = samples->number(key);
        auto labels = read_series_labels(event, source, true);
        if (!labels || !value) continue;
        Event made = base;
        made.what =
            UrgentSample{.source = source, .labels = std::move(*labels), .value = *value, .sensor = sensor};
        events.push_back(std::move(made));
    }
}

void read_sensor_failure(TomlTable& event, const Event& base, std::vector<Event>& events) {
    const auto sensor = event.string("sensor_fails");
    const auto until = event.duration("until");
    const auto error = event.string("error");
    if (!sensor) return;
    if (until && *until <= base.time)
        event.mistake(event.at("until"), "'until' is not after 'at'", "expected a later time");
    Event made = base;
    made.what = SensorFailure{.sensor = *sensor,
                              .error = error.value_or("injected failure"),
                              .until = until.value_or(Duration::max())};
    events.push_back(std::move(made));
}

struct LinkWord {
    std::string_view key;
    bool present;
    bool up;
};
constexpr std::array<LinkWord, 4> link_words{
    {{"gone", false, false}, {"back", true, true}, {"down", true, false}, {"up", true, true}}};

constexpr std::array<std::string_view, 7> event_keys{"urgent", "gone",     "back",        "down",
                                                     "up",     "detached", "sensor_fails"};

void read_event(TomlTable& table, std::vector<Event>& events) {
    Event base;
    base.at = table.at();
    if (!table.has("at")) table.mistake(table.at(), "'at' is missing", "expected the time of the event");
    base.time = table.duration("at").value_or(Duration{0});
    const auto add = [&](auto what) {
        Event made = base;
        made.what = std::move(what);
        events.push_back(std::move(made));
    };
    if (table.has("urgent")) read_urgent(table, base, events);
    if (table.has("sensor_fails")) read_sensor_failure(table, base, events);
    for (const LinkWord& word : link_words)
        for (const SourceText& interface : table.texts(word.key))
            add(LinkChange{.interface = interface.text, .present = word.present, .up = word.up});
    for (const SourceText& interface : table.texts("detached"))
        add(Drift{.interface = interface.text, .program = {}});
    if (auto attached = table.table("attached"))
        for (const std::string& interface : attached->keys())
            if (auto program = attached->string(interface))
                add(Drift{.interface = interface, .program = std::move(program)});
    const bool is_any = table.has("attached") ||
                        std::ranges::any_of(event_keys, [&](std::string_view key) { return table.has(key); });
    table.finish();
    if (!is_any)
        table.mistake(table.at(), "nothing happens in this event",
                      "expected one of urgent, gone, back, down, up, detached, attached, sensor_fails");
}

std::optional<Duration> read_latency(TomlTable& table) {
    const auto latency = table.duration("latency");
    if (latency && *latency <= Duration{0})
        table.mistake(table.at("latency"), "a latency of 0s", "expected 1ms or more, or no latency");
    return latency;
}

OutcomeRule read_outcome(TomlTable& table) {
    OutcomeRule rule;
    rule.interface = table.string("interface").value_or("");
    rule.interface_at = table.at("interface");
    if (const auto nth = table.integer("nth", 1, std::numeric_limits<std::int32_t>::max()))
        rule.nth = static_cast<std::size_t>(*nth);
    rule.from = table.duration("from").value_or(Duration{0});
    rule.until = table.duration("until");
    rule.fails = table.string("fails").value_or("");
    rule.latency = read_latency(table);
    for (const SourceText& word : table.texts("modes"))
        if (const auto mode = parse_xdp_mode(word.text))
            rule.modes.push_back(*mode);
        else
            table.mistake(word.position(0), "'" + word.text + "' is no XDP mode",
                          R"(expected "skb", "drv" or "hw")");
    table.finish();
    if (rule.fails.empty() && !rule.latency && rule.modes.empty())
        table.mistake(table.at(), "the outcome changes nothing", "expected fails, latency or modes");
    return rule;
}

// By default a case runs until nothing more happens in it or is expected of it.
Duration end_of(const TestCase& test_case) {
    Duration end{0};
    for (const PlayedSeries& series : test_case.series)
        if (!series.values.empty())
            end = std::max(end,
                           series.from + series.every * static_cast<Duration::rep>(series.values.size() - 1));
    for (const Event& event : test_case.events) end = std::max(end, event.time);
    for (const Expectation& expectation : test_case.expectations)
        if (expectation.until != Duration::max()) end = std::max({end, expectation.from, expectation.until});
    return end;
}

void refuse_twice(TomlTable& table, const std::vector<PlayedSeries>& all) {
    for (std::size_t i = 0; i < all.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            if (all[i].labels == all[j].labels)
                table.mistake(all[i].source.position(0),
                              "series '" + to_text(all[i].labels) + "' stands twice in this test",
                              "write its values in one line, with _ where there are none");
}

Duration read_period(TomlTable& table, Duration otherwise) {
    const Duration period = table.duration("period").value_or(otherwise);
    if (period > Duration{0}) return period;
    table.mistake(table.at("period"), "a period of 0s", "expected 1ms or more");
    return otherwise;
}

std::optional<TestCase> read_case(TomlTable& table, const PolicyTest& test,
                                  const std::vector<Invariant>& invariants) {
    TestCase made;
    auto name = table.require_text("name", "what the test shows, as a sentence");
    made.skip = table.string("skip");
    made.period = read_period(table, test.period);
    made.latency = read_latency(table);
    if (!made.latency) made.latency = test.latency;
    for (TomlTable& series : table.tables("series"))
        if (auto read = read_series(series, made.period)) made.series.push_back(std::move(*read));
    for (TomlTable& event : table.tables("event")) read_event(event, made.events);
    for (TomlTable& outcome : table.tables("outcome")) made.outcomes.push_back(read_outcome(outcome));
    for (TomlTable& expect : table.tables("expect"))
        if (auto read = read_expectation(expect)) made.expectations.push_back(std::move(*read));
    made.invariants = invariants;
    for (TomlTable& invariant : table.tables("invariant"))
        if (auto read = read_invariant(invariant)) made.invariants.push_back(std::move(*read));
    const auto lasts = table.duration("lasts");
    table.finish();
    std::ranges::stable_sort(made.events, {}, &Event::time);
    refuse_twice(table, made.series);
    made.end = lasts.value_or(end_of(made));
    if (made.end > case_longest)
        table.mistake(table.at("lasts"), "the test lasts " + to_text(made.end), "expected at most a year");
    if (!table.has("expect") && made.invariants.empty())
        table.mistake(table.at(), "the test expects nothing", "expected [[test.expect]], or an invariant");
    if (!name) return std::nullopt;
    made.name = std::move(*name);
    return made;
}

void read_interface(TomlTable& table, PolicyTest& test) {
    const auto name = table.require_text("name", "the interface's name");
    InterfaceSettings settings = read_baseline_settings(table);
    table.finish();
    if (!name) return;
    if (!test.baseline.emplace(name->text, baseline_of(std::move(settings))).second)
        table.mistake(name->position(0), "interface '" + name->text + "' stands twice",
                      "give each its own name");
}

void read_head(TomlTable& root, PolicyTest& test) {
    if (!root.has("version"))
        root.mistake({1, 1}, "'version' is missing", "expected version = 1 at the top of the file");
    root.integer("version", 1, 1);
    test.policy_files = root.texts("policies");
    if (test.policy_files.empty() && !root.has("policies"))
        root.mistake({1, 1}, "'policies' is missing",
                     "expected the files that are tested, from this file's folder");
    const std::vector<SourceText> beside = root.texts("beside");
    test.beside = beside.size();
    test.policy_files.insert(test.policy_files.end(), beside.begin(), beside.end());
    test.period = read_period(root, test.period);
    test.start = default_start;
    if (const auto start = root.text("start")) {
        if (const auto time = parse_instant(start->text))
            test.start = *time;
        else
            root.mistake(start->position(0), time.error().what);
    }
    test.latency = read_latency(root);
    for (const SourceText& program : root.texts("programs")) test.programs.push_back(program.text);
    for (TomlTable& interface : root.tables("interface")) read_interface(interface, test);
    if (test.baseline.empty() && !root.has("interface"))
        root.mistake({1, 1}, "no interface is named", "expected at least one [[interface]]");
}

// ---- against the policies

class Judge {
  public:
    Judge(const PolicyTest& test, Diagnostics& diagnostics) : test_(test), diagnostics_(diagnostics) {
        for (const PolicyDocument& policy : test.policies) {
            for (const SignalRule& rule : policy.signals) take_signal(rule);
            for (const SymptomRule& rule : policy.symptoms) take_symptom(rule);
            for (const AdaptationRule& rule : policy.adaptations) take_adaptation(rule);
            names_left_out_.insert(policy.left_out.begin(), policy.left_out.end());
        }
    }

    void run() {
        for (const TestCase& test_case : test_.cases) {
            for (const Expectation& expectation : test_case.expectations) judge(expectation);
            for (const Invariant& invariant : test_case.invariants) {
                for (const Condition& condition : invariant.always) needs(condition);
                for (const Condition& condition : invariant.never) needs(condition);
            }
        }
        for (const TestCase& test_case : test_.cases) {
            for (const PlayedSeries& series : test_case.series) is_read(series.source, series.labels);
            for (const Event& event : test_case.events) judge(event);
            for (const OutcomeRule& rule : test_case.outcomes)
                if (!rule.interface.empty()) is_managed(rule.interface_at, rule.interface);
        }
    }

  private:
    void mistake(const SourceText& source, std::string what, std::string expected) {
        diagnostics_.push_back({.file = source.file.empty() ? test_.file : source.file,
                                .at = source.at.empty() ? Position{} : source.position(0),
                                .what = std::move(what),
                                .expected = std::move(expected)});
    }

    void needs(const Condition& condition) {
        std::ranges::move(promql::selectors(condition.expr), std::back_inserter(needs_));
    }
    void take_signal(const SignalRule& rule) {
        needs(rule.expr);
        signals_.push_back(rule.name.text);
    }
    void take_symptom(const SymptomRule& rule) {
        needs(rule.raise);
        if (rule.clear) needs(*rule.clear);
        symptoms_.push_back(rule.name.text);
    }
    void take_adaptation(const AdaptationRule& rule) {
        adaptations_.push_back(rule.name.text);
        if (!rule.verify) return;
        const std::size_t before = needs_.size();
        needs(rule.verify->expect);
        for (std::size_t i = before; i < needs_.size(); ++i)
            std::erase_if(needs_[i].matchers,
                          [](const promql::Matcher& m) { return m.value.find("{{") != std::string::npos; });
    }

    void is_named(const InstancePattern& pattern, const std::vector<std::string>& names,
                  std::string_view what) {
        if (std::ranges::find(names, pattern.name) != names.end() || names_left_out_.contains(pattern.name))
            return;
        const std::string meant = nearest(pattern.name, names);
        mistake(pattern.source, "the policies have no " + std::string(what) + " '" + pattern.name + "'",
                meant.empty() ? "expected one that they declare" : "did you mean '" + meant + "'?");
    }

    void is_managed(Position at, const std::string& interface) {
        if (test_.baseline.contains(interface)) return;
        std::vector<std::string> names;
        for (const auto& [name, baseline] : test_.baseline) names.push_back(name);
        const std::string meant = nearest(interface, names);
        diagnostics_.push_back(
            {.file = test_.file,
             .at = at,
             .what = "interface '" + interface + "' is not managed here",
             .expected = meant.empty() ? "declare it with [[interface]]" : "did you mean '" + meant + "'?"});
    }

    void is_read(const SourceText& source, const Labels& labels) {
        if (std::ranges::find(signals_, labels.metric_name()) != signals_.end())
            return mistake(source, "'" + std::string(labels.metric_name()) + "' is a signal of the policies",
                           "expected the series that it is made of");
        // One that the selectors of its metric leave out may show that they do.
        const auto reads = [&](const promql::SelectorNeed& need) {
            return need.metric_name.empty() ? need.matches(labels) : need.metric_name == labels.metric_name();
        };
        if (std::ranges::any_of(needs_, reads)) return;
        std::vector<std::string> names;
        for (const promql::SelectorNeed& need : needs_) names.push_back(need.metric_name);
        const std::string name(labels.metric_name());
        const std::string meant = nearest(name, names);
        mistake(source, "nothing reads the series '" + to_text(labels) + "'",
                meant.empty() ? "expected a metric of the policies" : "did you mean '" + meant + "'?");
    }

    void judge(const Event& event) {
        if (const auto* sample = std::get_if<UrgentSample>(&event.what))
            is_read(sample->source, sample->labels);
        if (const auto* link = std::get_if<LinkChange>(&event.what)) is_managed(event.at, link->interface);
        if (const auto* drift = std::get_if<Drift>(&event.what)) is_managed(event.at, drift->interface);
    }

    void judge(const Expectation& expectation) {
        for (const ExpectedState& state : expectation.symptoms)
            is_named(state.instance, symptoms_, "symptom");
        if (expectation.active)
            for (const InstancePattern& pattern : *expectation.active)
                is_named(pattern, adaptations_, "adaptation");
        for (const ExpectedGate& gate : expectation.waits)
            is_named(gate.instance, adaptations_, "adaptation");
        if (expectation.decisions)
            for (const ExpectedDecision& decision : *expectation.decisions)
                is_named(decision.instance, adaptations_, "adaptation");
        for (const auto* interfaces : {&expectation.actual, &expectation.desired})
            for (const ExpectedInterface& interface : *interfaces)
                is_managed(interface.at, interface.interface);
        for (const ExpectedSamples& samples : expectation.evaluations) needs(samples.expr);
        for (const Condition& condition : expectation.holds) needs(condition);
        for (const Condition& condition : expectation.empty) needs(condition);
    }

    const PolicyTest& test_;
    Diagnostics& diagnostics_;
    std::vector<promql::SelectorNeed> needs_;
    std::vector<std::string> signals_;
    std::vector<std::string> symptoms_;
    std::vector<std::string> adaptations_;
    std::set<std::string> names_left_out_;
};

void add_programs(PolicyTest& test) {
    std::set<std::string> names(test.programs.begin(), test.programs.end());
    for (const auto& [name, baseline] : test.baseline) {
        if (baseline.program) names.insert(*baseline.program);
        for (const auto& [direction, program] : baseline.tc) names.insert(program);
    }
    for (const PolicyDocument& policy : test.policies)
        for (const AdaptationRule& rule : policy.adaptations)
            for (const OverlaySetting& setting : rule.settings)
                if (const auto program = bind(setting.program, {});
                    sets_program(setting) && program && *program != no_program)
                    names.insert(*program);
    test.programs.assign(names.begin(), names.end());
}

} // namespace

std::optional<PolicyTest> read_policy_test(std::string_view text, const std::string& file,
                                           Diagnostics& diagnostics) {
    const auto toml = TomlFile::parse(text, file, diagnostics);
    if (!toml) return std::nullopt;
    PolicyTest test;
    test.file = file;
    TomlTable root = toml->root();
    read_head(root, test);
    std::vector<Invariant> invariants;
    for (TomlTable& invariant : root.tables("invariant"))
        if (auto read = read_invariant(invariant)) invariants.push_back(std::move(*read));
    for (TomlTable& table : root.tables("test")) {
        auto read = read_case(table, test, invariants);
        if (!read) continue;
        if (std::ranges::any_of(test.cases,
                                [&](const TestCase& c) { return c.name.text == read->name.text; }))
            root.mistake(read->name.position(0), "test '" + read->name.text + "' stands twice",
                         "give each its own name");
        test.cases.push_back(std::move(*read));
    }
    root.finish();
    if (!root.has("test")) root.mistake({1, 1}, "there is no test", "expected at least one [[test]]");
    return test;
}

void take_policies(PolicyTest& test, std::vector<PolicyDocument> policies, Diagnostics& diagnostics) {
    test.policies = std::move(policies);
    add_programs(test);
    make_policy_set(test.policies, nullptr, diagnostics);
    Judge(test, diagnostics).run();
}

bool is_policy_test(std::string_view text) {
    Diagnostics ignored;
    const auto toml = TomlFile::parse(text, "", ignored);
    return toml && toml->root().has("test");
}

} // namespace homeostat::policy_test
