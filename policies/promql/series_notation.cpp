#include "policies/promql/series_notation.hpp"

#include "knowledge/series_store.hpp"
#include "policies/promql/parser.hpp"

#include <charconv>
#include <string>

namespace homeostat::promql {

namespace {

std::optional<double> take_number(std::string_view& text) {
    std::string_view rest = text;
    if (rest.starts_with('+')) rest.remove_prefix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (error != std::errc{}) return std::nullopt;
    text = rest.substr(static_cast<std::size_t>(end - rest.data()));
    return value;
}

// What a word stands for.
struct Run {
    std::optional<double> first; // none: no sample
    double step = 0;
    std::size_t count = 1;
};

// As in Go, underscores may stand between digits.
std::string without_separators(std::string_view word) {
    const auto is_digit_at = [word](std::size_t i) {
        return i < word.size() && word[i] >= '0' && word[i] <= '9';
    };
    std::string plain;
    for (std::size_t i = 0; i < word.size(); ++i)
        if (word[i] != '_' || i == 0 || !is_digit_at(i - 1) || !is_digit_at(i + 1)) plain += word[i];
    return plain;
}

std::optional<Run> parse_run(std::string_view word) {
    if (word == "stale") return Run{.first = stale_marker};
    Run run;
    const bool is_gap = word.starts_with('_');
    if (is_gap) {
        word.remove_prefix(1);
    } else {
        run.first = take_number(word);
        if (!run.first) return std::nullopt;
        if (word.starts_with('+') || word.starts_with('-')) {
            const auto step = take_number(word);
            if (!step || !word.starts_with('x')) return std::nullopt;
            run.step = *step;
        }
    }
    if (word.empty()) return run;
    if (!word.starts_with('x')) return std::nullopt;
    const char* end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data() + 1, end, run.count);
    if (error != std::errc{} || stop != end || run.count > series_values_max) return std::nullopt;
    if (!is_gap) ++run.count;
    return run;
}

} // namespace

Result<SeriesValues> parse_series_values(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    SeriesValues values;
    for (std::size_t at = text.find_first_not_of(blanks); at < text.size();
         at = text.find_first_not_of(blanks, at)) {
        const std::size_t end = std::min(text.find_first_of(blanks, at), text.size());
        const std::string_view word = text.substr(at, end - at);
        auto run = parse_run(without_separators(word));
        if (!run) return failure("'" + std::string(word) + "' is no value of a series", static_cast<int>(at));
        if (values.size() + run->count > series_values_max)
            return failure("a series of more than " + std::to_string(series_values_max) + " values",
                           static_cast<int>(at));
        // Summed step by step, as Prometheus does: the last digits depend on it.
        for (std::optional<double> value = run->first; run->count > 0; --run->count) {
            values.push_back(value);
            if (run->step != 0) *value += run->step;
        }
        at = end;
    }
    return values;
}

Result<Labels> parse_series(std::string_view text) {
    if (text == "{}") return Labels();
    const auto parsed = parse(text);
    if (!parsed) return failure(parsed.error().front().what, static_cast<int>(parsed.error().front().offset));
    const auto* selector = std::get_if<Selector>(&parsed->node);
    if (selector == nullptr || selector->range || selector->offset != Duration{0} || selector->at)
        return failure("'" + std::string(text) + "' is no series");
    std::vector<Label> labels;
    if (!selector->metric_name.empty())
        labels.push_back({std::string(metric_name_label), selector->metric_name});
    for (const Matcher& matcher : selector->matchers) {
        if (matcher.op != MatchOp::equal)
            return failure("a series has its labels by '=' only", static_cast<int>(matcher.at.offset));
        labels.push_back({matcher.label, matcher.value});
    }
    return Labels(std::move(labels));
}

} // namespace homeostat::promql
