#include "tests/policies/promql/promqltest.hpp"

#include "knowledge/series_store.hpp"
#include "policies/promql/evaluate.hpp"
#include "policies/promql/parser.hpp"
#include "policies/promql/series_notation.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <utility>

namespace homeostat::promql {

namespace {

// A line that cannot be understood: the whole case is skipped with this message.
struct Unsupported {
    std::string what;
};

std::string_view trimmed(std::string_view text) {
    const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
}

bool accept(std::string_view& text, std::string_view word) {
    if (!text.starts_with(word)) return false;
    text = trimmed(text.substr(word.size()));
    return true;
}

std::string_view take_word(std::string_view& text) {
    const std::string_view word = text.substr(0, text.find_first_of(" \t"));
    text = trimmed(text.substr(word.size()));
    return word;
}

std::optional<double> take_number(std::string_view& text) {
    std::string_view rest = text;
    if (rest.starts_with('+')) rest.remove_prefix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (error != std::errc{}) return std::nullopt;
    text = rest.substr(static_cast<std::size_t>(end - rest.data()));
    return value;
}

Duration parse_time(std::string_view text) {
    if (const auto duration = parse_duration(text)) return *duration;
    const auto seconds = take_number(text);
    if (!seconds || !text.empty()) throw Unsupported{"bad time '" + std::string(text) + "'"};
    return Duration{std::llround(*seconds * 1000)};
}

using Values = SeriesValues;

void append_values(Values& values, std::string_view text) {
    const auto parsed = parse_series_values(text);
    if (!parsed) throw Unsupported{"value '" + std::string(text) + "'"};
    values.insert(values.end(), parsed->begin(), parsed->end());
}

struct SeriesLine {
    Labels labels;
    Values values;
};

// The end of name{...}: the first blank outside the braces.
std::size_t end_of_series(std::string_view line) {
    bool in_braces = false;
    bool in_string = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (in_string && c == '\\')
            ++i;
        else if (c == '"')
            in_string = !in_string;
        else if (in_string)
            continue;
        else if (c == '{')
            in_braces = true;
        else if (c == '}')
            in_braces = false;
        else if (!in_braces && (c == ' ' || c == '\t')) {
            const std::size_t next = line.find_first_not_of(" \t", i);
            if (next == line.npos || line[next] != '{') return i;
            i = next - 1;
        }
    }
    return line.size();
}

Labels parse_labels(std::string_view text) {
    auto labels = promql::parse_series(text);
    if (!labels) throw Unsupported{"series '" + std::string(text) + "'"};
    return std::move(*labels);
}

SeriesLine parse_series_line(std::string_view line) {
    const std::size_t end = end_of_series(line);
    SeriesLine made{parse_labels(line.substr(0, end)), {}};
    append_values(made.values, line.substr(end));
    return made;
}

// ---- one eval and what it expects

struct Case {
    bool is_range = false;
    Duration from{};
    Duration to{};
    Duration step{1};
    std::string expression;
    bool fails = false;
    std::string failure_text; // to be found in the error
    bool ordered = false;
    std::optional<std::string> string;
    std::optional<double> scalar;
    std::vector<SeriesLine> series;
};

void read_expectation(Case& into, std::string_view line) {
    if (accept(line, "expect ")) {
        if (accept(line, "fail")) {
            into.fails = true;
            if (accept(line, "msg:"))
                into.failure_text = line;
            else if (!line.empty())
                throw Unsupported{"expect fail " + std::string(line)};
        } else if (line == "ordered")
            into.ordered = true;
        else if (accept(line, "string")) {
            const auto parsed = parse(line);
            const auto* string = parsed ? std::get_if<StringLiteral>(&parsed->node) : nullptr;
            if (!string) throw Unsupported{"expect string " + std::string(line)};
            into.string = string->value;
        } else
            throw Unsupported{"expect " + std::string(line)};
        return;
    }
    std::string_view rest = line;
    const auto number = take_number(rest);
    if (number && rest.empty())
        into.scalar = number;
    else
        into.series.push_back(parse_series_line(line));
}

Case read_eval(std::string_view line) {
    Case made;
    if (accept(line, "eval_fail"))
        made.fails = true;
    else if (accept(line, "eval_ordered"))
        made.ordered = true;
    else if (!accept(line, "eval "))
        throw Unsupported{std::string(line)};
    if (accept(line, "instant at")) {
        made.from = made.to = parse_time(take_word(line));
    } else if (accept(line, "range from")) {
        made.is_range = true;
        made.from = parse_time(take_word(line));
        if (!accept(line, "to")) throw Unsupported{"range without 'to'"};
        made.to = parse_time(take_word(line));
        if (!accept(line, "step")) throw Unsupported{"range without 'step'"};
        made.step = parse_time(take_word(line));
    } else
        throw Unsupported{std::string(line)};
    made.expression = line;
    return made;
}

bool near(double a, double b) {
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
    if (a == b) return true;
    return std::abs(a - b) <= 1e-6 * std::max(std::abs(a), std::abs(b)) && std::isfinite(a) &&
           std::isfinite(b);
}

bool near(const Values& a, const Values& b) {
    return std::ranges::equal(a, b,
                              [](const auto& x, const auto& y) { return x && y ? near(*x, *y) : !x && !y; });
}

using Results = std::map<Labels, Values>;

std::string text_of(const Results& results) {
    std::ostringstream made;
    made.precision(17);
    for (const auto& [labels, values] : results) {
        made << "\n    " << to_text(labels);
        for (const auto& value : values) value ? made << ' ' << *value : made << " _";
    }
    return results.empty() ? " nothing" : made.str();
}

// "" where the case passes.
std::string compare_instant(const Case& expected, const Value& value) {
    if (const auto* string = std::get_if<std::string>(&value))
        return expected.string == *string ? "" : "got string \"" + *string + "\"";
    if (expected.string) return "got no string";
    if (const auto* scalar = std::get_if<double>(&value))
        return expected.scalar && near(*expected.scalar, *scalar) ? ""
                                                                  : "got scalar " + std::to_string(*scalar);
    if (expected.scalar) return "got a vector";
    const auto& samples = std::get<Vector>(value);
    Results got, wanted;
    for (const Sample& sample : samples)
        if (!got.emplace(sample.labels, Values{sample.value}).second)
            return "duplicate " + to_text(sample.labels);
    for (const SeriesLine& line : expected.series) wanted[line.labels] = line.values;
    const bool same = std::ranges::equal(got, wanted, [](const auto& a, const auto& b) {
        return a.first == b.first && near(a.second, b.second);
    });
    if (!same) return "got" + text_of(got) + "\n  expected" + text_of(wanted);
    if (expected.ordered &&
        !std::ranges::equal(samples, expected.series, {}, &Sample::labels, &SeriesLine::labels))
        return "the order differs";
    return "";
}

Results collect(const Case& wanted, const std::vector<Value>& steps) {
    Results results;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        const auto put = [&](const Labels& labels, double value) {
            Values& values = results[labels];
            values.resize(steps.size());
            values[i] = value;
        };
        if (const auto* scalar = std::get_if<double>(&steps[i]))
            put({}, *scalar);
        else if (const auto* samples = std::get_if<Vector>(&steps[i]))
            for (const Sample& sample : *samples) put(sample.labels, sample.value);
        else
            throw Unsupported{"a string over a range: " + wanted.expression};
    }
    return results;
}

std::string compare_range(const Case& expected, const std::vector<Value>& steps) {
    const Results got = collect(expected, steps);
    Results wanted;
    for (const SeriesLine& line : expected.series) {
        Values values = line.values;
        values.resize(steps.size());
        wanted[line.labels] = values;
    }
    const bool same = std::ranges::equal(got, wanted, [](const auto& a, const auto& b) {
        return a.first == b.first && near(a.second, b.second);
    });
    return same ? "" : "got" + text_of(got) + "\n  expected" + text_of(wanted);
}

std::string compare_failure(const Case& expected, const std::string& error) {
    if (!expected.fails) return "error: " + error;
    if (error.find(expected.failure_text) != error.npos) return "";
    return "error: " + error + "\n  expected: " + expected.failure_text;
}

std::string run(const Case& wanted, const SeriesStore& store) {
    const auto parsed = parse(wanted.expression);
    if (!parsed) {
        const ParseError& error = parsed.error().front();
        const bool unsupported = error.what.find("not supported") != error.what.npos ||
                                 error.what.find("there is no function") != error.what.npos;
        if (unsupported) throw Unsupported{error.what};
        return compare_failure(wanted, error.what);
    }
    std::vector<Value> steps;
    for (Duration t = wanted.from; t <= wanted.to; t += wanted.step) {
        auto value = evaluate(*parsed, store, Instant{t});
        if (!value) return compare_failure(wanted, value.error().what);
        steps.push_back(std::move(*value));
    }
    if (wanted.fails) return "it does not fail";
    return wanted.is_range ? compare_range(wanted, steps) : compare_instant(wanted, steps.front());
}

// ---- the file

struct NumberedLine {
    std::size_t number;
    std::string_view text;
    bool indented;
};

std::vector<NumberedLine> read_lines(std::string_view text) {
    std::vector<NumberedLine> lines;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const std::string_view content = trimmed(line);
        if (content.empty() || content.starts_with('#')) continue;
        lines.push_back({number, content, line.front() == ' ' || line.front() == '\t'});
    }
    return lines;
}

std::unique_ptr<SeriesStore> empty_store() {
    auto store = std::make_unique<SeriesStore>();
    store->set_retention([](const Labels&) { return Duration{std::chrono::years(1)}; });
    return store;
}

void load(SeriesStore& store, Duration interval, std::string_view line) {
    const SeriesLine series = parse_series_line(line);
    const auto id = store.define(series.labels);
    if (!id) throw Unsupported{id.error().what};
    for (std::size_t i = 0; i < series.values.size(); ++i)
        if (series.values[i])
            store.append(*id, Instant{interval * static_cast<std::int64_t>(i)}, *series.values[i]);
}

} // namespace

PromqltestReport run_promqltest(const std::string& file_name, std::string_view text) {
    PromqltestReport report;
    auto store = empty_store();
    const std::vector<NumberedLine> lines = read_lines(text);
    for (std::size_t i = 0; i < lines.size();) {
        const NumberedLine head = lines[i++];
        std::size_t end = i;
        while (end < lines.size() && lines[end].indented) ++end;
        const auto body = std::span(lines).subspan(i, end - i);
        i = end;
        const std::string where = file_name + ":" + std::to_string(head.number) + ": ";
        try {
            std::string_view rest = head.text;
            if (rest == "clear") {
                store = empty_store();
            } else if (accept(rest, "load ")) {
                for (const NumberedLine& line : body) load(*store, parse_time(rest), line.text);
            } else {
                Case wanted = read_eval(head.text);
                for (const NumberedLine& line : body) read_expectation(wanted, line.text);
                const std::string difference = run(wanted, *store);
                difference.empty() ? ++report.passed : ++report.failed;
                if (!difference.empty())
                    report.messages.push_back(where + wanted.expression + "\n  " + difference);
            }
        } catch (const Unsupported& unsupported) {
            ++report.skipped;
            report.messages.push_back(where + "skipped: " + unsupported.what);
        }
    }
    return report;
}

} // namespace homeostat::promql
