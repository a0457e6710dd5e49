#include "tests/policies/promql/promqltest.hpp"

#include "knowledge/series_store.hpp"
#include "policies/promql/evaluate.hpp"
#include "policies/promql/introspect.hpp"
#include "policies/promql/parser.hpp"
#include "tests/policies/promql/experimental.hpp"
#include "tests/policies/promql/promqltest_case.hpp"

#include <re2/re2.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <utility>

namespace homeostat::promql {

namespace {

using Values = SeriesValues;

// What the engine says that it does not do: the case is skipped with this message.
struct Unsupported {
    std::string what;
};

// As Prometheus's util/almost.
bool near(double a, double b) {
    using limits = std::numeric_limits<double>;
    constexpr double tolerance = 1e-6;
    if (is_stale(a) || is_stale(b)) return is_stale(a) && is_stale(b);
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
    if (a == b) return true;
    const double sum = std::abs(a) + std::abs(b);
    const double difference = std::abs(a - b);
    if (a == 0 || b == 0 || sum < limits::min()) return difference < tolerance * limits::min();
    return difference / std::min(sum, limits::max()) < tolerance;
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
        return expected.string.value_or("") == *string ? "" : "got string \"" + *string + "\"";
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

Results collect(const std::vector<Value>& steps) {
    Results results;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        const auto put = [&](const Labels& labels, double value) {
            Values& values = results[labels];
            values.resize(steps.size());
            values[i] = value;
        };
        if (const auto* scalar = std::get_if<double>(&steps[i]))
            put({}, *scalar);
        else
            for (const Sample& sample : std::get<Vector>(steps[i])) put(sample.labels, sample.value);
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
    return compare_matrices(expected, collect(steps), steps.size());
}

std::string compare_range_vector(const Case& expected, const std::vector<Series>& series) {
    if (!expected.is_matrix) return "got a range vector";
    const auto count = static_cast<std::size_t>((expected.to - expected.matrix_from) / expected.step) + 1;
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

// A series that is not loaded, for it has what the store cannot hold.
struct Refused {
    Labels labels;
    std::string_view what;
};

struct Loaded {
    std::unique_ptr<SeriesStore> store;
    std::vector<Refused> refused;
};

void refuse_unsupported(const Case& wanted, const Expr& expr, const Loaded& loaded) {
    for (const SeriesLine& line : wanted.series)
        if (line.has_native_histograms) throw Unsupported{"native histograms are expected"};
    for (const SelectorNeed& need : selectors(expr))
        for (const auto& [labels, what] : loaded.refused)
            if (need.matches(labels)) throw Unsupported{std::string(what) + " are read: " + to_text(labels)};
}

std::string run_parsed(const Case& wanted, const Expr& expr, const SeriesStore& store) {
    EvalOptions options;
    options.query_start = Instant{wanted.from};
    options.query_end = Instant{wanted.to};
    if (wanted.is_range && (expr.type == Type::matrix || expr.type == Type::string))
        return compare_failure(wanted, "invalid expression type \"" + std::string(to_text(expr.type)) +
                                           "\" for range query, must be Scalar or instant Vector");
    if (expr.type == Type::matrix) {
        const auto series = evaluate_range_vector(expr, store, Instant{wanted.from}, options);
        if (!series) return compare_failure(wanted, series.error().what);
        return wanted.fails ? "it does not fail" : compare_range_vector(wanted, *series);
    }
    std::vector<Value> steps;
    for (Duration t = wanted.from; t <= wanted.to; t += wanted.is_range ? wanted.step : Duration{1}) {
        auto value = evaluate(expr, store, Instant{t}, options);
        if (!value) return compare_failure(wanted, value.error().what);
        steps.push_back(std::move(*value));
    }
    if (wanted.fails) return "it does not fail";
    if (wanted.is_matrix) return "got no range vector";
    return wanted.is_range ? compare_range(wanted, steps) : compare_instant(wanted, steps.front());
}

std::string run(const Case& wanted, const Loaded& loaded) {
    const auto parsed = parse(wanted.expression);
    if (!parsed) {
        const ParseError& error = parsed.error().front();
        if (error.what.find("not supported") != error.what.npos) throw Unsupported{error.what};
        return compare_failure(wanted, error.what);
    }
    refuse_unsupported(wanted, *parsed, loaded);
    std::string difference = run_parsed(wanted, *parsed, *loaded.store);
    if (difference.empty()) return difference;
    const std::string reason = experimental_reason(*parsed, *loaded.store, difference);
    if (!reason.empty()) throw Unsupported{"another result, for " + reason + ": " + wanted.expression};
    return difference;
}

// ---- the file

// What is loaded may begin before the epoch: the store keeps all of it.
std::unique_ptr<SeriesStore> empty_store() {
    auto store = std::make_unique<SeriesStore>(
        StoreLimits{.series_max = 1'000'000, .samples_per_series_max = 10'000'000});
    store->set_retention([](const Labels&) { return Duration{std::chrono::years(1000)}; });
    return store;
}

// The native histogram that load_with_nhcb makes of a series of a classic one.
std::optional<Labels> native_of_classic(const Labels& labels) {
    static const std::vector<std::string> bound{"le"};
    const std::string_view name = labels.metric_name();
    for (const std::string_view suffix : {"_bucket", "_count", "_sum"})
        if (name.ends_with(suffix))
            return labels.without(bound).with(metric_name_label, name.substr(0, name.size() - suffix.size()));
    return std::nullopt;
}

// The newest sample may come again, by another load.
bool is_newest(const SeriesStore& store, SeriesId id, Instant time, double value) {
    const auto from_it_on = store.window(id, time - Duration{1}, Instant::max());
    return from_it_on.size() == 1 && from_it_on[0].time == time &&
           std::bit_cast<std::uint64_t>(from_it_on[0].value) == std::bit_cast<std::uint64_t>(value);
}

void load(Loaded& loaded, Duration interval, const SeriesLine& series) {
    const auto is_it = [&series](const Refused& refused) { return refused.labels == series.labels; };
    if (series.has_native_histograms) loaded.refused.push_back({series.labels, "native histograms"});
    if (std::ranges::any_of(loaded.refused, is_it)) return;
    const auto id = loaded.store->define(series.labels);
    if (!id) throw Malformed{id.error().what};
    for (std::size_t i = 0; i < series.values.size(); ++i) {
        if (!series.values[i]) continue;
        const Instant time{interval * static_cast<std::int64_t>(i)};
        if (!loaded.store->append(*id, time, *series.values[i]) &&
            !is_newest(*loaded.store, *id, time, *series.values[i]))
            throw Malformed{"a sample of " + to_text(series.labels) + " is loaded twice or out of order"};
    }
}

// name{...}@st, or @st alone for all that follow: when the counters of a series began.
std::optional<std::string_view> series_of_start_times(std::string_view line) {
    const std::string_view word = take_word(line);
    if (!word.ends_with("@st")) return std::nullopt;
    return word.substr(0, word.size() - 3);
}

// Where a series stands twice, its last line is loaded.
void load_all(Loaded& loaded, std::string_view command, std::string_view rest,
              std::span<const NumberedLine> body) {
    if (command != "load" && command != "load_with_nhcb") throw Malformed{std::string(command)};
    const Duration interval = parse_time(rest);
    if (interval <= Duration{}) throw Malformed{"bad interval '" + std::string(rest) + "'"};
    std::map<Labels, SeriesLine> all;
    bool have_start_times = false;
    for (const NumberedLine& line : body) {
        if (const auto series = series_of_start_times(line.text)) {
            have_start_times = have_start_times || series->empty();
            if (!series->empty()) loaded.refused.push_back({parse_labels(*series), "start timestamps"});
            continue;
        }
        SeriesLine series = read_series(line.text);
        const auto native = native_of_classic(series.labels);
        if (native && command == "load_with_nhcb") loaded.refused.push_back({*native, "native histograms"});
        if (have_start_times) loaded.refused.push_back({series.labels, "start timestamps"});
        all.insert_or_assign(series.labels, std::move(series));
    }
    for (const auto& [labels, series] : all) load(loaded, interval, series);
}

// "" where it passes or is no case.
std::string run_command(const NumberedLine& head, std::span<const NumberedLine> body, Loaded& loaded,
                        bool& is_case) {
    std::string_view rest = head.text;
    const std::string_view command = take_word(rest);
    is_case = command.starts_with("eval");
    if (command == "clear" && body.empty()) {
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
