#include "engine/policy_test/read.hpp"

#include "policies/gates.hpp"
#include "policies/interface_settings.hpp"
#include "policies/plan.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <limits>

namespace homeostat::policy_test {

namespace {

constexpr std::array<std::string_view, 4> states{"inactive", "pending", "raised", "clearing"};

// What changes an overlay, or says how it turned out.
constexpr std::array<Receipt::Action, 4> actions{Receipt::Action::apply, Receipt::Action::remove,
                                                 Receipt::Action::verify, Receipt::Action::rollback};

std::vector<std::string> words_of(std::span<const std::string_view> views) {
    return {views.begin(), views.end()};
}

// The rest of a text, with its places.
SourceText rest_of(const SourceText& source, std::size_t from) {
    return {.file = source.file,
            .text = source.text.substr(from),
            .at = {source.at.begin() + static_cast<std::ptrdiff_t>(std::min(from, source.at.size() - 1)),
                   source.at.end()}};
}

} // namespace

std::optional<InstancePattern> read_pattern(TomlTable& table, SourceText source, std::size_t from) {
    const std::string text = source.text.substr(from);
    const std::size_t brace = std::min(text.find('{'), text.size());
    InstancePattern pattern{.source = {}, .name = text.substr(0, brace), .labels = {}};
    const bool is_name = !pattern.name.empty() && std::ranges::all_of(pattern.name, [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
    });
    const auto labels =
        brace == text.size() ? Result<Labels>(Labels()) : promql::parse_series("_" + text.substr(brace));
    if (!is_name || !labels) {
        table.mistake(source.position(from), "'" + text + "' names no instance",
                      R"(expected a name, or a name with labels such as 'udp_flood{iface="eth0"}')");
        return std::nullopt;
    }
    pattern.labels = labels->without_metric_name();
    pattern.source = std::move(source);
    return pattern;
}

namespace {

std::vector<Condition> read_conditions(TomlTable& table, std::string_view key) {
    std::vector<Condition> conditions;
    for (SourceText& source : table.texts(key))
        if (auto condition = parse_condition(table, std::move(source)))
            conditions.push_back(std::move(*condition));
    return conditions;
}

std::vector<ExpectedState> read_symptoms(TomlTable& expect) {
    std::vector<ExpectedState> expected;
    auto table = expect.table("symptoms");
    if (!table) return expected;
    for (const std::string& key : table->keys()) {
        auto pattern = read_pattern(*table, table->key_text(key));
        const auto state = table->choice(key, words_of(states));
        if (pattern && state) expected.push_back({std::move(*pattern), static_cast<SymptomState>(*state)});
    }
    return expected;
}

std::optional<std::vector<InstancePattern>> read_active(TomlTable& expect) {
    if (!expect.has("active")) return std::nullopt;
    std::vector<InstancePattern> patterns;
    for (SourceText& source : expect.texts("active"))
        if (auto pattern = read_pattern(expect, std::move(source))) patterns.push_back(std::move(*pattern));
    return patterns;
}

ExpectedInterface read_interface(TomlTable& interfaces, const std::string& name, std::string_view what) {
    ExpectedInterface expected;
    expected.interface = name;
    expected.at = interfaces.key_text(name).position(0);
    auto table = interfaces.table(name);
    if (!table) return expected;
    InterfaceSettings settings = read_interface_settings(*table);
    if (settings.program) expected.program = settings.program->text;
    for (const auto& [direction, program] : settings.tc) expected.tc.emplace(direction, program.text);
    expected.ladder = std::move(settings.ladder);
    if (expected.ladder.size() > 1 && what == "interface")
        table->mistake(table->at("xdp"), "an interface is in one mode", R"(expected one, such as "drv")");
    expected.gap_max = settings.gap_max;
    if (expected.gap_max && what == "interface")
        table->mistake(table->at("xdp"), "'xdp.max_gap' is wanted of an interface, and never seen on one",
                       "expected it in desired." + name);
    if (auto maps = table->table("maps"))
        for (const std::string& map : maps->keys()) expected.maps[map];
    for (InterfaceSettings::Entry& entry : settings.entries)
        expected.maps[entry.map][entry.key.text] = std::move(entry.value);
    table->finish();
    return expected;
}

std::vector<ExpectedInterface> read_interfaces(TomlTable& expect, std::string_view key) {
    std::vector<ExpectedInterface> expected;
    if (auto table = expect.table(key))
        for (const std::string& name : table->keys()) expected.push_back(read_interface(*table, name, key));
    return expected;
}

std::vector<ExpectedGate> read_waits(TomlTable& expect) {
    std::vector<ExpectedGate> expected;
    auto table = expect.table("waits");
    if (!table) return expected;
    std::vector<std::string> gates = words_of(gates_of_applying());
    for (const std::string_view gate : gates_of_removing())
        if (std::ranges::find(gates, gate) == gates.end()) gates.emplace_back(gate);
    for (const std::string& key : table->keys()) {
        auto pattern = read_pattern(*table, table->key_text(key));
        const auto gate = table->choice(key, gates);
        if (pattern && gate) expected.push_back({std::move(*pattern), gates[*gate]});
    }
    return expected;
}

std::vector<ExpectedSamples> read_evaluations(TomlTable& expect) {
    std::vector<ExpectedSamples> expected;
    for (TomlTable& table : expect.tables("eval")) {
        auto source = table.require_text("expr", "a PromQL expression");
        auto expr = source ? parse_condition(table, std::move(*source)) : std::nullopt;
        std::vector<std::pair<Labels, double>> samples;
        if (auto gives = table.table("gives"))
            for (const std::string& key : gives->keys()) {
                auto labels = read_series_labels(*gives, gives->key_text(key), false);
                const auto value = gives->number(key);
                if (labels && value) samples.emplace_back(std::move(*labels), *value);
            }
        else if (!table.has("gives"))
            table.mistake(table.at(), "'gives' is missing",
                          R"(expected its samples, such as gives = { '{iface="eth0"}' = 1 })");
        table.finish();
        std::ranges::sort(samples);
        if (expr) expected.push_back({std::move(*expr), std::move(samples)});
    }
    return expected;
}

// "[TIME] ACTION NAME{labels}"
std::optional<ExpectedDecision> read_decision(TomlTable& table, SourceText source) {
    ExpectedDecision decision;
    std::size_t at = 0;
    const auto next_word = [&] {
        const std::size_t begin = std::min(source.text.find_first_not_of(' ', at), source.text.size());
        at = std::min(source.text.find(' ', begin), source.text.size());
        return source.text.substr(begin, at - begin);
    };
    std::string word = next_word();
    if (const auto time = parse_duration(word)) {
        decision.at = *time;
        word = next_word();
    }
    const auto action =
        std::ranges::find(actions, word, [](Receipt::Action a) { return std::string(to_text(a)); });
    const std::size_t name = std::min(source.text.find_first_not_of(' ', at), source.text.size());
    if (action == actions.end() || name == source.text.size()) {
        table.mistake(source.position(0), "'" + source.text + "' is no decision",
                      R"(expected apply, remove, verify or rollback and a name, such as "12s apply guard")");
        return std::nullopt;
    }
    decision.action = *action;
    auto pattern = read_pattern(table, rest_of(source, name));
    decision.source = std::move(source);
    if (!pattern) return std::nullopt;
    decision.instance = std::move(*pattern);
    return decision;
}

std::optional<std::vector<ExpectedDecision>> read_decisions(TomlTable& expect) {
    if (!expect.has("decisions")) return std::nullopt;
    std::vector<ExpectedDecision> decisions;
    for (SourceText& source : expect.texts("decisions"))
        if (auto decision = read_decision(expect, std::move(source)))
            decisions.push_back(std::move(*decision));
    return decisions;
}

// at = T; from = T, until = T; none of them: the whole case.
void read_times(TomlTable& table, Expectation& expectation) {
    const auto at = table.duration("at");
    const auto from = table.duration("from");
    const auto until = table.duration("until");
    if (at && (from || until))
        table.mistake(table.at("at"), "'at' stands beside a range", "expected at, or from and until");
    if (at) {
        expectation.from = expectation.until = *at;
        return;
    }
    expectation.is_range = true;
    expectation.from = from.value_or(Duration{0});
    expectation.until = until.value_or(Duration::max());
    if (expectation.until < expectation.from)
        table.mistake(table.at("until"), "'until' is before 'from'", "expected a later time");
}

} // namespace

std::optional<Expectation> read_expectation(TomlTable& table) {
    Expectation made;
    made.at = table.at();
    read_times(table, made);
    made.symptoms = read_symptoms(table);
    made.active = read_active(table);
    made.actual = read_interfaces(table, "interface");
    made.desired = read_interfaces(table, "desired");
    made.waits = read_waits(table);
    made.evaluations = read_evaluations(table);
    made.holds = read_conditions(table, "holds");
    made.empty = read_conditions(table, "empty");
    made.decisions = read_decisions(table);
    made.messages = table.texts("messages");
    constexpr std::array<std::string_view, 10> keys{"symptoms",  "active",  "interface", "desired",
                                                    "waits",     "eval",    "holds",     "empty",
                                                    "decisions", "messages"};
    const bool is_any = std::ranges::any_of(keys, [&](std::string_view key) { return table.has(key); });
    table.finish();
    if (!is_any)
        table.mistake(table.at(), "nothing is expected here",
                      "expected symptoms, active, interface, desired, waits, eval, holds, empty, decisions "
                      "or messages");
    return made;
}

std::optional<Invariant> read_invariant(TomlTable& table) {
    Invariant made;
    made.at = table.at();
    made.from = table.duration("from").value_or(Duration{0});
    made.until = table.duration("until");
    made.always = read_conditions(table, "always");
    made.never = read_conditions(table, "never");
    if (const auto max = table.integer("max_changes", 0, std::numeric_limits<std::int32_t>::max()))
        made.max_changes = static_cast<std::size_t>(*max);
    const bool is_any = table.has("always") || table.has("never") || table.has("max_changes");
    table.finish();
    if (!is_any)
        table.mistake(table.at(), "the invariant says nothing", "expected always, never or max_changes");
    return made;
}

} // namespace homeostat::policy_test
