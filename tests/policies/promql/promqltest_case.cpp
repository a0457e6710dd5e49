#include "tests/policies/promql/promqltest_case.hpp"

#include "policies/promql/parser.hpp"
#include "policies/promql/series_notation.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace homeostat::promql {

namespace {

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

void append_values(SeriesValues& values, std::string_view word) {
    const auto parsed = parse_series_values(word);
    if (!parsed) throw Malformed{"bad value '" + std::string(word) + "'"};
    values.insert(values.end(), parsed->begin(), parsed->end());
}

// The end of name{...}: the first blank outside the braces.
std::size_t end_of_series(std::string_view line) {
    bool in_braces = false;
    char quote = '\0';
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (quote != '\0') {
            if (c == '\\' && quote != '`') ++i;
            if (c == quote) quote = '\0';
        } else if (c == '"' || c == '\'' || c == '`')
            quote = c;
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
    if (to < from) throw Malformed{"a range that ends before it begins"};
    if (step <= Duration{} || (to - from) / step > 100'000) throw Malformed{"a range of too many steps"};
}

// "range vector" gives the times of the samples, and the last of them is when the query is evaluated.
// Annotations (warn, info) are read and not judged.
void read_expect(Case& into, std::string_view line) {
    const auto malformed = Malformed{"expect " + std::string(line)};
    constexpr std::array<std::string_view, 5> kinds{"warn", "no_warn", "info", "no_info", "ordered"};
    if (accept(line, "fail")) return read_failure(into, line);
    if (accept(line, "string")) {
        const auto parsed = parse(line);
        const auto* string = parsed ? std::get_if<StringLiteral>(&parsed->node) : nullptr;
        if (!string) throw malformed;
        into.string = string->value;
    } else if (accept(line, "range vector")) {
        read_range(into.from, into.to, into.step, line);
        if (!line.empty()) throw malformed;
        into.is_matrix = !into.is_range;
        into.matrix_from = into.from;
        if (into.is_matrix) into.from = into.to;
    } else {
        const std::string_view kind = take_word(line);
        const bool known = std::ranges::find(kinds, kind) != kinds.end();
        if (!known || (!line.empty() && !line.starts_with("msg:") && !line.starts_with("regex:")))
            throw malformed;
        if (kind == "ordered") into.ordered = true;
    }
}

// A number by itself is a scalar, in any form that the language has.
std::optional<double> whole_number(std::string_view text) {
    const bool negative = text.starts_with('-');
    const auto parsed = parse(negative ? text.substr(1) : text);
    if (const auto* number = parsed ? std::get_if<NumberLiteral>(&parsed->node) : nullptr)
        return negative ? -number->value : number->value;
    const auto number = take_number(text);
    return text.empty() ? number : std::nullopt;
}

} // namespace

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

SeriesLine read_series(std::string_view line) {
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
    if (const auto number = whole_number(line))
        into.scalar = number;
    else
        into.series.push_back(read_series(line));
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

// A command begins a line that is not indented, or comes after a gap. Directly below another line only a
// whole one does: a series may be called load_average.
bool is_command(const NumberedLine& line) {
    if (line.indented && !line.after_gap) return false;
    std::string_view rest = line.text;
    const std::string_view word = take_word(rest);
    const bool is_short = line.after_gap && !line.indented;
    if (word == "clear") return rest.empty() || is_short;
    if (word.starts_with("eval")) return accept(rest, "instant") || accept(rest, "range") || is_short;
    if (!word.starts_with("load") || rest.empty()) return false;
    return line.after_gap || word == "load" || word == "load_with_nhcb";
}

} // namespace homeostat::promql
