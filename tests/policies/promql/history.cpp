#include "tests/policies/promql/history.hpp"

#include <array>
#include <bit>
#include <limits>
#include <string_view>

namespace homeostat::promql {

namespace {

constexpr std::array<std::string_view, 3> names{"a", "b", "c"};
constexpr std::array<std::string_view, 4> xs{"1", "2", "3", "4"};
constexpr std::array<std::string_view, 2> ys{"", "k"};

template <class Table> std::string pick(std::mt19937& random, const Table& from) {
    return std::string(from[random() % from.size()]);
}

} // namespace

RandomHistory::RandomHistory(std::uint32_t seed) : random_(seed) {
    store_.set_retention([](const Labels&) { return Duration{9'000}; });
}

double RandomHistory::any_value(double before) {
    constexpr std::array<double, 8> special{0.0,   -0.0,  std::numeric_limits<double>::quiet_NaN(),
                                            1e300, -1e16, std::numeric_limits<double>::infinity(),
                                            5,     0.1};
    switch (random_() % 12) {
    case 0:
        return special[random_() % special.size()];
    case 1:
        return 0; // a counter's reset
    case 2:
        return before;
    default:
        return before + static_cast<double>(random_() % 100) / 10;
    }
}

void RandomHistory::tick() {
    now_ += Duration{300 + static_cast<int>(random_() % 1'500)};
    if (random_() % 60 == 0) now_ += Duration{30'000};
    if (random_() % 20 == 0) pace_ = static_cast<double>(random_() % 10) / 10;
    for (const std::string_view name : names)
        for (const std::string_view x : xs)
            for (const std::string_view y : ys) {
                if (static_cast<double>(random_() % 100) >= pace_ * 100) continue;
                const Labels labels{
                    {"__name__", std::string(name)}, {"x", std::string(x)}, {"y", std::string(y)}};
                const SeriesId id = *store_.define(labels);
                const auto before = store_.newest(id, now_, Duration{100'000});
                const bool ends = random_() % 15 == 0;
                store_.append(id, now_ - Duration{random_() % 200},
                              ends ? stale_marker : any_value(before ? before->value : 0));
            }
    if (random_() % 10 == 0) store_.forget_unseen(now_, lookback);
}

std::string element_wise_expression(std::mt19937& random, int depth) {
    constexpr std::array<std::string_view, 10> selectors{
        "a",           "b",   "c", "a{x=\"1\"}", "b{x!=\"2\"}", "c{y=\"k\"}", "a{y=\"\"}", "b{x=~\"1|2\"}",
        "a offset 1s", "none"};
    constexpr std::array<std::string_view, 17> of_range{"rate(%)",
                                                        "increase(%)",
                                                        "delta(%)",
                                                        "irate(%)",
                                                        "idelta(%)",
                                                        "avg_over_time(%)",
                                                        "sum_over_time(%)",
                                                        "min_over_time(%)",
                                                        "max_over_time(%)",
                                                        "count_over_time(%)",
                                                        "last_over_time(%)",
                                                        "present_over_time(%)",
                                                        "changes(%)",
                                                        "resets(%)",
                                                        "stddev_over_time(%)",
                                                        "quantile_over_time(0.7, %)",
                                                        "predict_linear(%, 2)"};
    constexpr std::array<std::string_view, 10> ranges{
        "a[3s]",    "b[5s]",          "c[900ms]", "a{x=\"3\"}[8s]", "b[2s] offset 1s",
        "none[5s]", "c{y=\"k\"}[6s]", "a[5s]",    "b[3s]",          "c[4s]"};
    constexpr std::array<std::string_view, 8> of_vector{
        "-(%)",        "abs(%)",         "clamp(%, 1, 30)", "clamp_min(%, 2)",
        "round(%, 5)", "clamp(%, 3, 0)", "sgn(%)",          "ceil(%)"};
    constexpr std::array<std::string_view, 15> operators{
        " + ",  " - ",  " * ",   " / ",      " > ",      " < ", " >= ",     " == ",
        " != ", " or ", " and ", " unless ", " > bool ", " % ", " <= bool "};
    constexpr std::array<std::string_view, 8> with_scalar{
        "% > 4", "10 > %", "% * 2", "1 / %", "% <= bool 3", "% + time()", "% == 5", "time() / 1000 > %"};
    const auto filled = [&](std::string pattern, const std::string& argument) {
        return pattern.replace(pattern.find('%'), 1, argument);
    };
    if (depth == 0)
        return random() % 2 == 0 ? pick(random, selectors)
                                 : filled(pick(random, of_range), pick(random, ranges));
    const auto inner = [&] { return "(" + element_wise_expression(random, depth - 1) + ")"; };
    switch (random() % 3) {
    case 0:
        return filled(pick(random, of_vector), inner());
    case 1:
        return filled(pick(random, with_scalar), inner());
    default:
        return inner() + pick(random, operators) + inner();
    }
}

std::string any_expression(std::mt19937& random, int depth) {
    constexpr std::array<std::string_view, 14> patterns{
        "sum by (x) (%)",
        "topk(1, %)",
        "absent(%)",
        "max_over_time((%)[4s:1s])",
        "% * on (x, y) group_left ()b",
        "sort(%)",
        "avg(%)",
        "% and on (x) a{y=\"k\"}",
        "count without (y) (%)",
        "label_replace(%, \"z\", \"$1\", \"x\", \"(.)\")",
        "% > ignoring (y) c{y=\"k\"}",
        "timestamp(%)",
        "quantile(0.5, %)",
        "% or absent_over_time(c{x=\"9\"}[3s]) or {__name__=~\"a|b\"} > 3"};
    std::string made = element_wise_expression(random, depth);
    if (random() % 4 == 0) return made;
    std::string pattern = pick(random, patterns);
    return pattern.replace(pattern.find('%'), 1, "(" + made + ")");
}

bool same_bits(double a, double b) {
    return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}

bool same_result(const Result<Value>& a, const Result<Value>& b) {
    if (!a || !b) return !a && !b && a.error() == b.error();
    const auto* left = std::get_if<Vector>(&*a);
    const auto* right = std::get_if<Vector>(&*b);
    if (left == nullptr || right == nullptr || left->size() != right->size()) return false;
    for (std::size_t i = 0; i < left->size(); ++i)
        if ((*left)[i].labels != (*right)[i].labels || !same_bits((*left)[i].value, (*right)[i].value))
            return false;
    return true;
}

std::string result_text(const Result<Value>& value) {
    if (!value) return "error: " + value.error().what;
    std::string text;
    if (const auto* samples = std::get_if<Vector>(&*value))
        for (const Sample& sample : *samples)
            text += to_text(sample.labels) + " " + std::to_string(sample.value) + "\n";
    return text;
}

} // namespace homeostat::promql
