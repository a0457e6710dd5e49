#include "policies/document.hpp"

#include "policies/interface_settings.hpp"
#include "policies/promql/introspect.hpp"
#include "policies/promql/literals.hpp"
#include "policies/promql/parser.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace homeostat {

namespace {

bool is_name(std::string_view text, bool dashes) {
    const auto letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; };
    return !text.empty() && letter(text.front()) && std::ranges::all_of(text, [&](char c) {
        return letter(c) || std::isdigit(static_cast<unsigned char>(c)) != 0 || (dashes && c == '-');
    });
}

// Names become metric names or label values; only those of signals must be metric names.
std::optional<SourceText> read_name(TomlTable& table, std::string_view what, bool dashes) {
    auto name = table.require_text("name", "the " + std::string(what) + "'s name");
    if (!name) return std::nullopt;
    if (is_name(name->text, dashes)) return name;
    table.mistake(name->position(0), "'" + name->text + "' cannot name a " + std::string(what),
                  dashes ? "expected letters, digits, '_' and '-', beginning with a letter"
                         : "expected letters, digits and '_', beginning with a letter");
    return std::nullopt;
}

} // namespace

std::optional<Condition> parse_condition(TomlTable& table, SourceText source) {
    auto expr = promql::parse(source.text);
    if (!expr) {
        for (const promql::ParseError& error : expr.error())
            table.mistake(source.position(error.offset), error.what,
                          error.expected.empty() ? "" : "expected " + error.expected);
        return std::nullopt;
    }
    bool usable = true;
    const auto refuse = [&](std::size_t offset, std::string what, std::string expected) {
        table.mistake(source.position(offset), std::move(what), std::move(expected));
        usable = false;
    };
    if (expr->type != promql::Type::vector)
        refuse(expr->at.offset, "the expression is a " + std::string(promql::to_text(expr->type)),
               "expected an instant vector, such as a metric, a comparison or a function of them");
    for (const promql::SelectorNeed& need : promql::selectors(*expr)) {
        if (need.fixed_time)
            refuse(need.at.offset, "'@' with a fixed time has no place in a policy",
                   "remove it, or use offset");
        if (need.looks_ahead)
            refuse(need.at.offset, "a negative offset looks into the future", "expected a positive offset");
    }
    if (!usable) return std::nullopt;
    return Condition{std::move(source), std::move(*expr)};
}

namespace {

std::optional<Condition> read_condition(TomlTable& table, std::string_view key, std::string_view expected) {
    auto source = table.require_text(key, expected);
    return source ? parse_condition(table, std::move(*source)) : std::nullopt;
}

std::optional<Template> read_template(TomlTable& table, const SourceText& source) {
    auto parsed = parse_template(source.text);
    if (parsed) return std::move(*parsed);
    table.mistake(source.position(static_cast<std::size_t>(parsed.error().number)), parsed.error().what,
                  "expected {{label}}");
    return std::nullopt;
}

std::optional<SignalRule> read_signal(TomlTable& table) {
    auto name = read_name(table, "signal", false);
    auto expr = read_condition(table, "expr", "a PromQL expression");
    table.finish();
    if (!name || !expr) return std::nullopt;
    return SignalRule{std::move(*name), std::move(*expr)};
}

// "COUNT/REST": what stands before and after the slash.
struct Fraction {
    std::size_t count = 0;
    std::string rest;
};

std::optional<Fraction> parse_fraction(const std::string& text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string::npos) return std::nullopt;
    Fraction made{.count = 0, .rest = text.substr(slash + 1)};
    const char* end = text.data() + slash;
    const auto [stop, error] = std::from_chars(text.data(), end, made.count);
    if (error != std::errc{} || stop != end) return std::nullopt;
    return made;
}

std::optional<Quorum> read_quorum(TomlTable& table) {
    const auto source = table.text("quorum");
    if (!source) return std::nullopt;
    const auto fraction = parse_fraction(source->text);
    Quorum quorum;
    if (fraction) {
        const char* end = fraction->rest.data() + fraction->rest.size();
        const auto [stop, error] = std::from_chars(fraction->rest.data(), end, quorum.ticks);
        if (error == std::errc{} && stop == end && quorum.ticks >= 1 && quorum.ticks <= Quorum::ticks_max &&
            fraction->count >= 1 && fraction->count <= quorum.ticks) {
            quorum.needed = static_cast<unsigned>(fraction->count);
            return quorum;
        }
    }
    table.mistake(source->position(0), "'" + source->text + "' is no quorum",
                  "expected how many of the last periodic ticks (at most " +
                      std::to_string(Quorum::ticks_max) + "), such as \"3/5\"");
    return std::nullopt;
}

SymptomTiming read_timing(TomlTable& table) {
    SymptomTiming timing;
    timing.for_ = table.duration("for").value_or(timing.for_);
    timing.keep = table.duration("keep").value_or(timing.keep);
    timing.forget = table.duration("forget").value_or(timing.forget);
    timing.quorum = read_quorum(table);
    constexpr std::array choices{OnMissing::hold, OnMissing::raise, OnMissing::clear};
    timing.on_missing = choices[table.choice("on_missing", {"hold", "raise", "clear"}).value_or(0)];
    return timing;
}

std::optional<SymptomRule> read_symptom(TomlTable& table) {
    auto name = read_name(table, "symptom", true);
    auto raise = read_condition(table, "raise", "a PromQL expression");
    std::optional<Condition> clear;
    bool clear_ok = true;
    if (table.has("clear")) {
        clear = read_condition(table, "clear", "a PromQL expression");
        clear_ok = clear.has_value();
    }
    const SymptomTiming timing = read_timing(table);
    const std::vector<std::string> severities{"info", "warning", "critical"};
    const std::string severity = severities[table.choice("severity", severities).value_or(1)];
    std::optional<Template> summary = Template{};
    const Position summary_at = table.at("summary");
    if (const auto source = table.text("summary")) summary = read_template(table, *source);
    table.finish();
    if (!name || !raise || !clear_ok || !summary) return std::nullopt;
    return SymptomRule{.name = std::move(*name),
                       .raise = std::move(*raise),
                       .clear = std::move(clear),
                       .timing = timing,
                       .places = table.places(),
                       .severity = severity,
                       .summary = std::move(*summary),
                       .summary_at = summary_at};
}

std::optional<Budget> read_budget(TomlTable& table) {
    const auto source = table.text("budget");
    if (!source) return std::nullopt;
    const auto fraction = parse_fraction(source->text);
    const auto window = fraction ? parse_duration(fraction->rest) : failure("");
    if (window && *window > Duration{0} && *window <= duration_max)
        return Budget{.count = fraction->count, .window = *window};
    table.mistake(source->position(0), "'" + source->text + "' is no budget",
                  "expected a number of applications and a time, such as \"6/1h\"");
    return std::nullopt;
}

std::optional<Damping> read_damping(TomlTable& adaptation) {
    auto table = adaptation.table("damp");
    if (!table) return std::nullopt;
    constexpr std::int64_t penalty_max = 1'000'000;
    Damping damping;
    damping.half_life = table->duration("half_life").value_or(damping.half_life);
    damping.suppress = table->integer("suppress", 1, penalty_max).value_or(damping.suppress);
    damping.reuse = table->integer("reuse", 1, penalty_max).value_or(damping.reuse);
    table->finish();
    if (damping.half_life <= Duration{0})
        adaptation.mistake(table->at("half_life"), "'damp.half_life' is zero", "expected a longer time");
    if (damping.reuse >= damping.suppress)
        adaptation.mistake(table->at("reuse"),
                           "'damp.reuse' (" + std::to_string(damping.reuse) +
                               ") is not below 'damp.suppress' (" + std::to_string(damping.suppress) + ")",
                           "expected suppress above reuse; each application adds 1000");
    return damping;
}

// The templates in string literals must be such; which labels there are is known later.
bool check_literals(TomlTable& table, const Condition& condition) {
    bool ok = true;
    promql::for_each_literal(condition.expr, [&](const std::string& literal, promql::Span at) {
        const auto parsed = parse_template(literal);
        if (parsed) return;
        table.mistake(condition.source.position(at.offset), parsed.error().what, "expected {{label}}");
        ok = false;
    });
    return ok;
}

// Whether all is well; without the table there is nothing to verify.
bool read_verify(TomlTable& adaptation, std::optional<VerifyRule>& into) {
    auto table = adaptation.table("verify");
    if (!table) return !adaptation.has("verify");
    auto expect = read_condition(*table, "expect", "a PromQL expression");
    VerifyRule rule;
    rule.settle = table->duration("settle").value_or(rule.settle);
    rule.within = table->duration("within").value_or(rule.within);
    rule.backoff = table->duration("backoff").value_or(rule.backoff);
    rule.rollback = table->choice("otherwise", {"rollback", "report"}).value_or(0) == 0;
    table->finish();
    if (rule.settle >= rule.within)
        adaptation.mistake(table->at("within"),
                           "'verify.within' (" + to_text(rule.within) +
                               ") is not longer than 'verify.settle' (" + to_text(rule.settle) + ")",
                           "both count from when the change is in effect");
    if (!expect || !check_literals(*table, *expect)) return false;
    rule.expect = std::move(*expect);
    into = std::move(rule);
    return true;
}

void read_program(TomlTable& table, const SourceText& source, OverlaySetting::Kind kind,
                  OverlaySetting setting, std::vector<OverlaySetting>& settings) {
    const auto program = read_template(table, source);
    if (!program) return;
    setting.kind = kind;
    setting.program = *program;
    setting.at = source.position(0);
    settings.push_back(std::move(setting));
}

void read_overlay_of(TomlTable& interfaces, const std::string& key, std::vector<OverlaySetting>& settings) {
    auto table = interfaces.table(key);
    if (!table) return;
    const SourceText interface_source = interfaces.key_text(key);
    const InterfaceSettings read = read_interface_settings(*table);
    table->finish();
    const auto interface = read_template(*table, interface_source);
    if (!interface) return;
    OverlaySetting base;
    base.interface = *interface;
    base.interface_at = interface_source.position(0);
    using Kind = OverlaySetting::Kind;
    if (read.program) read_program(*table, *read.program, Kind::program, base, settings);
    if (!read.ladder.empty()) {
        OverlaySetting setting = base;
        setting.kind = OverlaySetting::Kind::mode;
        setting.ladder = read.ladder;
        setting.at = table->at("xdp");
        settings.push_back(std::move(setting));
    }
    if (read.gap_max) {
        OverlaySetting setting = base;
        setting.kind = OverlaySetting::Kind::gap_max;
        setting.gap_max = *read.gap_max;
        setting.at = table->at("xdp");
        settings.push_back(std::move(setting));
    }
    for (const auto& [direction, program] : read.tc)
        read_program(*table, program, direction == TcDirection::ingress ? Kind::tc_ingress : Kind::tc_egress,
                     base, settings);
    for (const InterfaceSettings::Entry& entry : read.entries) {
        const auto entry_key = read_template(*table, entry.key);
        if (!entry_key) continue;
        OverlaySetting setting = base;
        setting.kind = OverlaySetting::Kind::entry;
        setting.map = entry.map;
        setting.key = *entry_key;
        setting.value = entry.value;
        setting.at = entry.at;
        settings.push_back(std::move(setting));
    }
}

std::vector<OverlaySetting> read_overlay(TomlTable& adaptation) {
    std::vector<OverlaySetting> settings;
    auto set = adaptation.table("set");
    if (!set) {
        if (!adaptation.has("set"))
            adaptation.mistake(adaptation.at(), "the adaptation sets nothing",
                               "expected a table [adaptation.set.interface.\"…\"]");
        return settings;
    }
    if (auto interfaces = set->table("interface"))
        for (const std::string& key : interfaces->keys()) read_overlay_of(*interfaces, key, settings);
    if (!set->has("interface"))
        adaptation.mistake(set->at(), "the adaptation sets nothing",
                           "expected a table [adaptation.set.interface.\"…\"]");
    set->finish();
    return settings;
}

std::optional<AdaptationRule> read_adaptation(TomlTable& table) {
    AdaptationRule rule;
    auto name = read_name(table, "adaptation", true);
    auto when = table.require_text("when", "symptoms, with and, or, not");
    bool ok = name && when;
    if (when) {
        auto parsed = parse_when(when->text);
        if (parsed) {
            rule.when = std::move(*parsed);
        } else {
            table.mistake(when->position(static_cast<std::size_t>(parsed.error().number)),
                          parsed.error().what);
            ok = false;
        }
    }
    rule.priority = table.integer("priority", -1'000'000, 1'000'000).value_or(0);
    constexpr std::array enforcements{Enforcement::off, Enforcement::shadow, Enforcement::enforce};
    rule.enforcement = enforcements[table.choice("enforcement", {"off", "shadow", "enforce"}).value_or(2)];
    rule.requirements = table.texts("requires");
    rule.inhibits = table.texts("inhibits");
    rule.min_hold = table.duration("min_hold").value_or(Duration{0});
    rule.cooldown = table.duration("cooldown").value_or(Duration{0});
    rule.budget = read_budget(table);
    constexpr std::int64_t instances_max = 1'000'000;
    if (const auto max_active = table.integer("max_active", 1, instances_max))
        rule.max_active = static_cast<std::size_t>(*max_active);
    rule.damp = read_damping(table);
    ok &= read_verify(table, rule.verify);
    rule.settings = read_overlay(table);
    rule.places = table.places();
    table.finish();
    if (!ok) return std::nullopt;
    rule.name = std::move(*name);
    rule.when_source = std::move(*when);
    return rule;
}

template <class Rule> std::vector<Rule> read_all(TomlTable& root, std::string_view key,
                                                 std::optional<Rule> (*read)(TomlTable&),
                                                 std::vector<std::string>& left_out) {
    std::vector<Rule> rules;
    for (TomlTable& table : root.tables(key))
        if (auto rule = read(table))
            rules.push_back(std::move(*rule));
        else if (auto name = table.string("name"))
            left_out.push_back(std::move(*name));
    return rules;
}

} // namespace

PolicyDocument read_policy(std::string_view text, const std::string& file, Diagnostics& diagnostics) {
    PolicyDocument document;
    const auto toml = TomlFile::parse(text, file, diagnostics);
    if (!toml) return document;
    TomlTable root = toml->root();
    if (!root.has("version"))
        root.mistake({1, 1}, "'version' is missing", "expected version = 1 at the top of the file");
    root.integer("version", 1, 1);
    document.signals = read_all<SignalRule>(root, "signal", read_signal, document.left_out);
    document.symptoms = read_all<SymptomRule>(root, "symptom", read_symptom, document.left_out);
    document.adaptations = read_all<AdaptationRule>(root, "adaptation", read_adaptation, document.left_out);
    if (auto check = root.table("check")) {
        document.warnings_allowed = check->texts("allow");
        check->finish();
    }
    root.finish();
    return document;
}

} // namespace homeostat
