#include "tests/policies/promql/promqltest.hpp"

#include "knowledge/series_store.hpp"
#include "policies/promql/evaluate.hpp"
#include "policies/promql/introspect.hpp"
#include "policies/promql/parser.hpp"
#include "policies/promql/series_notation.hpp"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <utility>

namespace homeostat::promql {

namespace {

// What the engine says that it does not do: the case is skipped with this message.
struct Unsupported {
    std::string what;
};

// A line that is not of the language: a failure.
struct Malformed {
    std::string what;
};

std::string_view trimmed(std::string_view text) {
    const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
}

// A word that ends with a colon may touch what follows; every other one is a whole word.
bool accept(std::string_view& text, std::string_view word) {
    if (!text.starts_with(word)) return false;
    const std::string_view rest = text.substr(word.size());
    if (!word.ends_with(':') && !rest.empty() && rest[0] != ' ' && rest[0] != '\t') return false;
    text = trimmed(text.substr(word.size()));
    return true;
}

std::string_view take_word(std::string_view& text) {
    const std::string_view word = text.substr(0, text.find_first_of(" \t"));
    text = trimmed(text.substr(word.size()));
    return word;
}

Duration parse_time(std::string_view text) {
    if (text.starts_with('-')) return -parse_time(text.substr(1));
    if (const auto duration = parse_duration(text)) return *duration;
    std::string_view rest = text;
    const auto seconds = take_number(rest);
    if (!seconds || !rest.empty() || !(std::abs(*seconds) < 1e12))
        throw Malformed{"bad time '" + std::string(text) + "'"};
    return Duration{std::llround(*seconds * 1000)};
}

using Values = SeriesValues;

void append_values(Values& values, std::string_view word) {
    const auto parsed = parse_series_values(word);
    if (!parsed) throw Malformed{"bad value '" + std::string(word) + "'"};
    values.insert(values.end(), parsed->begin(), parsed->end());
}

struct SeriesLine {
    Labels labels;
    Values values;
    bool has_native_histograms = false;
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
            if (next == line.npos || line[next] != '{' || line.substr(next).starts_with("{{")) return i;
            i = next - 1;
        }
    }
    return line.size();
}

// Labels are written as a selector. One without a name need not choose anything, so one is lent to it.
Labels parse_labels(std::string_view text) {
    static const std::string lent_name = "lent";
    const bool is_unnamed = text.starts_with('{');
    const auto malformed = Malformed{"bad series '" + std::string(text) + "'"};
    if (is_unnamed && trimmed(text.substr(1)) == "}") return {};
    const auto parsed =
        parse(is_unnamed ? "{" + lent_name + "=\"x\"," + std::string(text.substr(1)) : std::string(text));
    const auto* selector = parsed ? std::get_if<Selector>(&parsed->node) : nullptr;
    if (!selector || selector->range || selector->at) throw malformed;
    std::vector<Label> labels{{std::string(metric_name_label), selector->metric_name}};
    for (const Matcher& m : selector->matchers) {
        if (m.op != MatchOp::equal) throw malformed;
        if (m.label != lent_name) labels.push_back({m.label, m.value});
    }
    return Labels(std::move(labels));
}

// Reads past {{...}} with what is attached to it.
void skip_native_histogram(std::string_view& text) {
    while (text.starts_with("{{")) {
        const std::size_t end = text.find("}}");
        if (end == text.npos) throw Malformed{"a native histogram is not closed"};
        text.remove_prefix(end + 2);
        const std::size_t next = text.find_first_of(" \t{");
        text.remove_prefix(std::min(next, text.size()));
    }
    text = trimmed(text);
}

SeriesLine parse_series(std::string_view line) {
    const std::size_t end = end_of_series(line);
    SeriesLine made{parse_labels(line.substr(0, end)), {}};
    for (std::string_view rest = trimmed(line.substr(end)); !rest.empty();) {
        if (rest.starts_with("{{")) {
            skip_native_histogram(rest);
            made.has_native_histograms = true;
        } else
            append_values(made.values, take_word(rest));
    }
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
    std::vector<std::string> failure_texts; // to be found in the error
    std::vector<std::string> failure_expressions;
    bool ordered = false;
    bool is_matrix = false; // an instant query that answers with a range vector; `step` is the matrix's then
    Duration matrix_from{};
    Duration matrix_to{};
    std::optional<std::string> string;
    std::optional<double> scalar;
    std::vector<SeriesLine> series;
};

std::string without_quotes(std::string_view text) {
    if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
    return std::string(text);
}

void read_failure(Case& into, std::string_view line) {
    into.fails = true;
    if (accept(line, "msg:"))
        into.failure_texts.push_back(without_quotes(line));
    else if (accept(line, "regex:"))
        into.failure_expressions.push_back(without_quotes(line));
    else if (!line.empty())
        throw Malformed{"expect fail " + std::string(line)};
}

// from A to B step S
void read_range(Duration& from, Duration& to, Duration& step, std::string_view& line) {
    if (!accept(line, "from")) throw Malformed{"a range without 'from'"};
    from = parse_time(take_word(line));
    if (!accept(line, "to")) throw Malformed{"a range without 'to'"};
    to = parse_time(take_word(line));
    if (!accept(line, "step")) throw Malformed{"a range without 'step'"};
    step = parse_time(take_word(line));
    if (step <= Duration{} || (to - from) / step > 100'000) throw Malformed{"a range of too many steps"};
}

// Annotations (warn, info) are read and not judged.
void read_expect(Case& into, std::string_view line) {
    const auto malformed = Malformed{"expect " + std::string(line)};
    constexpr std::array<std::string_view, 4> annotations{"warn", "no_warn", "info", "no_info"};
    if (accept(line, "fail")) return read_failure(into, line);
    if (line == "ordered") {
        into.ordered = true;
    } else if (accept(line, "string")) {
        const auto parsed = parse(line);
        const auto* string = parsed ? std::get_if<StringLiteral>(&parsed->node) : nullptr;
        if (!string) throw malformed;
        into.string = string->value;
    } else if (accept(line, "range vector")) {
        into.is_matrix = true;
        read_range(into.matrix_from, into.matrix_to, into.step, line);
        if (!line.empty()) throw malformed;
    } else {
        const std::string_view kind = take_word(line);
        const bool known = std::ranges::find(annotations, kind) != annotations.end();
        if (!known || (!line.empty() && !line.starts_with("msg:") && !line.starts_with("regex:")))
            throw malformed;
    }
}

void read_expectation(Case& into, std::string_view line) {
    if (accept(line, "expect")) return read_expect(into, line);
    if (accept(line, "expected_fail_message")) {
        into.fails = true;
        into.failure_texts.emplace_back(line);
        return;
    }
    if (accept(line, "expected_fail_regexp")) {
        into.fails = true;
        into.failure_expressions.emplace_back(line);
        return;
    }
    // A number by itself is a scalar, in any form that the language has.
    const bool negative = line.starts_with('-');
    const auto parsed = parse(negative ? line.substr(1) : line);
    if (const auto* number = parsed ? std::get_if<NumberLiteral>(&parsed->node) : nullptr)
        into.scalar = negative ? -number->value : number->value;
    else
        into.series.push_back(parse_series(line));
}

Case read_eval(std::string_view line) {
    Case made;
    const auto malformed = Malformed{std::string(line)};
    const std::string_view command = take_word(line);
    if (command == "eval_fail")
        made.fails = true;
    else if (command == "eval_ordered")
        made.ordered = true;
    else if (command != "eval" && command != "eval_warn" && command != "eval_info")
        throw malformed;
    if (accept(line, "instant")) {
        if (accept(line, "at")) made.from = made.to = parse_time(take_word(line));
    } else if (accept(line, "range")) {
        made.is_range = true;
        read_range(made.from, made.to, made.step, line);
    } else
        throw malformed;
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
            throw Malformed{"a string over a range: " + wanted.expression};
    }
    return results;
}

// Every series is filled up to `count` values; one that has more, and not only gaps, keeps them.
std::string compare_matrices(const Case& expected, const Results& got, std::size_t count) {
    Results wanted;
    for (const SeriesLine& line : expected.series) {
        Values values = line.values;
        while (values.size() > count && !values.back()) values.pop_back();
        values.resize(std::max(values.size(), count));
        wanted[line.labels] = values;
    }
    const bool same = std::ranges::equal(got, wanted, [](const auto& a, const auto& b) {
        return a.first == b.first && near(a.second, b.second);
    });
    return same ? "" : "got" + text_of(got) + "\n  expected" + text_of(wanted);
}

std::string compare_range(const Case& expected, const std::vector<Value>& steps) {
    if (expected.ordered) throw Malformed{"'ordered' for a range"};
    return compare_matrices(expected, collect(expected, steps), steps.size());
}

std::string compare_range_vector(const Case& expected, const std::vector<Series>& series) {
    if (!expected.is_matrix) return "got a range vector";
    const auto count =
        static_cast<std::size_t>((expected.matrix_to - expected.matrix_from) / expected.step) + 1;
    Results got;
    for (const Series& one : series) {
        Values& values = got[one.labels];
        values.resize(count);
        for (const Point& point : one.points) {
            const Duration since = point.time - Instant{expected.matrix_from};
            if (since < Duration{} || since % expected.step != Duration{} ||
                since / expected.step >= static_cast<std::int64_t>(count))
                return "got a sample at " + std::to_string(to_ms(point.time)) + " ms, which is no step";
            values[static_cast<std::size_t>(since / expected.step)] = point.value;
        }
    }
    return compare_matrices(expected, got, count);
}

std::string compare_failure(const Case& expected, const std::string& error) {
    if (!expected.fails) return "error: " + error;
    for (const std::string& text : expected.failure_texts)
        if (error.find(text) == error.npos) return "error: " + error + "\n  expected: " + text;
    for (const std::string& text : expected.failure_expressions)
        if (!RE2::PartialMatch(error, text)) return "error: " + error + "\n  expected a match of: " + text;
    return "";
}

// ---- running

struct Loaded {
    std::unique_ptr<SeriesStore> store;
    std::vector<Labels> native; // series that have native histograms, which the store cannot hold
};

void refuse_native_histograms(const Case& wanted, const Expr& expr, const Loaded& loaded) {
    for (const SeriesLine& line : wanted.series)
        if (line.has_native_histograms) throw Unsupported{"native histograms are expected"};
    for (const SelectorNeed& need : selectors(expr))
        for (const Labels& labels : loaded.native)
            if (need.matches(labels)) throw Unsupported{"native histograms are read: " + to_text(labels)};
}

std::string run(const Case& wanted, const Loaded& loaded) {
    const auto parsed = parse(wanted.expression);
    if (!parsed) {
        const ParseError& error = parsed.error().front();
        if (error.what.find("not supported") != error.what.npos) throw Unsupported{error.what};
        return compare_failure(wanted, error.what);
    }
    refuse_native_histograms(wanted, *parsed, loaded);
    EvalOptions options;
    options.query_start = Instant{wanted.from};
    options.query_end = Instant{wanted.to};
    if (parsed->type == Type::matrix && !wanted.is_range) {
        const auto series = evaluate_range_vector(*parsed, *loaded.store, Instant{wanted.from}, options);
        if (!series) return compare_failure(wanted, series.error().what);
        return wanted.fails ? "it does not fail" : compare_range_vector(wanted, *series);
    }
    std::vector<Value> steps;
    for (Duration t = wanted.from; t <= wanted.to; t += wanted.is_range ? wanted.step : Duration{1}) {
        auto value = evaluate(*parsed, *loaded.store, Instant{t}, options);
        if (!value) return compare_failure(wanted, value.error().what);
        steps.push_back(std::move(*value));
    }
    if (wanted.fails) return "it does not fail";
    if (wanted.is_matrix) return "got no range vector";
    return wanted.is_range ? compare_range(wanted, steps) : compare_instant(wanted, steps.front());
}

// ---- the file

struct NumberedLine {
    std::size_t number;
    std::string_view text;
    bool indented;
    bool after_gap; // a blank line or a comment stands before it
};

std::vector<NumberedLine> read_lines(std::string_view text) {
    std::vector<NumberedLine> lines;
    bool after_gap = true;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        const std::string_view content = trimmed(line);
        const bool is_gap = content.empty() || content.starts_with('#');
        if (!is_gap)
            lines.push_back({number, content, line.front() == ' ' || line.front() == '\t', after_gap});
        after_gap = is_gap;
    }
    return lines;
}

// A command begins a line that is not indented, or comes after a gap. Everything else belongs to the command
// before it.
bool is_command(const NumberedLine& line) {
    if (line.indented && !line.after_gap) return false;
    std::string_view rest = line.text;
    const std::string_view word = take_word(rest);
    if (word == "clear") return rest.empty();
    if (word.starts_with("eval")) return accept(rest, "instant") || accept(rest, "range") || !line.indented;
    return word.starts_with("load") && !rest.empty();
}

// What is loaded may begin before the epoch: the store keeps all of it.
std::unique_ptr<SeriesStore> empty_store() {
    auto store = std::make_unique<SeriesStore>(
        StoreLimits{.series_max = 1'000'000, .samples_per_series_max = 10'000'000});
    store->set_retention([](const Labels&) { return Duration{std::chrono::years(1000)}; });
    return store;
}

// The name of the native histogram that load_with_nhcb makes of a bucket's series.
Labels native_of_bucket(const Labels& labels) {
    static const std::vector<std::string> bound{"le"};
    const std::string_view name = labels.metric_name();
    return labels.without(bound).with(metric_name_label, name.substr(0, name.rfind("_bucket")));
}

void load(Loaded& loaded, Duration interval, const SeriesLine& series, bool with_native) {
    if (series.has_native_histograms) loaded.native.push_back(series.labels);
    if (with_native && series.labels.metric_name().ends_with("_bucket"))
        loaded.native.push_back(native_of_bucket(series.labels));
    if (series.has_native_histograms) return;
    const auto id = loaded.store->define(series.labels);
    if (!id) throw Malformed{id.error().what};
    for (std::size_t i = 0; i < series.values.size(); ++i) {
        if (!series.values[i]) continue;
        if (!loaded.store->append(*id, Instant{interval * static_cast<std::int64_t>(i)}, *series.values[i]))
            throw Malformed{"a sample of " + to_text(series.labels) + " is loaded twice or out of order"};
    }
}

void load_all(Loaded& loaded, std::string_view command, std::string_view rest,
              std::span<const NumberedLine> body) {
    if (command != "load" && command != "load_with_nhcb") throw Malformed{std::string(command)};
    const Duration interval = parse_time(rest);
    if (interval <= Duration{}) throw Malformed{"bad interval '" + std::string(rest) + "'"};
    for (const NumberedLine& line : body)
        load(loaded, interval, parse_series(line.text), command == "load_with_nhcb");
}

// "" where it passes or is no case.
std::string run_command(const NumberedLine& head, std::span<const NumberedLine> body, Loaded& loaded,
                        bool& is_case) {
    std::string_view rest = head.text;
    const std::string_view command = take_word(rest);
    is_case = command.starts_with("eval");
    if (head.text == "clear" && body.empty()) {
        loaded = {empty_store(), {}};
        return "";
    }
    if (!is_case) {
        load_all(loaded, command, rest, body);
        return "";
    }
    Case wanted = read_eval(head.text);
    for (const NumberedLine& line : body) read_expectation(wanted, line.text);
    const std::string difference = run(wanted, loaded);
    return difference.empty() ? "" : wanted.expression + "\n  " + difference;
}

} // namespace

PromqltestReport run_promqltest(const std::string& file_name, std::string_view text) {
    PromqltestReport report;
    Loaded loaded{empty_store(), {}};
    const std::vector<NumberedLine> lines = read_lines(text);
    for (std::size_t i = 0; i < lines.size();) {
        const NumberedLine head = lines[i++];
        std::size_t end = i;
        while (end < lines.size() && !is_command(lines[end])) ++end;
        const auto body = std::span(lines).subspan(i, end - i);
        i = end;
        const std::string where = file_name + ":" + std::to_string(head.number) + ": ";
        bool is_case = true;
        try {
            const std::string difference = run_command(head, body, loaded, is_case);
            if (!difference.empty()) {
                ++report.failed;
                report.messages.push_back(where + difference);
            } else if (is_case)
                ++report.passed;
        } catch (const Unsupported& unsupported) {
            ++report.skipped;
            report.messages.push_back(where + "skipped: " + unsupported.what);
        } catch (const Malformed& malformed) {
            ++report.failed;
            report.messages.push_back(where + "not understood: " + malformed.what);
        }
    }
    return report;
}

} // namespace homeostat::promql
