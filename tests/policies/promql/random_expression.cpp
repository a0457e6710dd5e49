#include "tests/policies/promql/random_expression.hpp"

namespace homeostat::promql {

std::string RandomExpression::make() {
    const int depth = 1 + static_cast<int>(below(3));
    if (below(12) == 0) return scalar(depth, false);
    return vector(depth, false);
}

std::string RandomExpression::when() {
    std::string made;
    if (below(5) == 0) made += " offset " + pick({"15s", "1m", "-1m", "4m30s", "-15s"});
    if (below(6) == 0) {
        const std::int64_t at_s = base_s_ + 1203 + 15 * static_cast<std::int64_t>(below(60));
        made += " @ " + (below(3) == 0 ? pick({"start()", "end()"}) : std::to_string(at_s));
    }
    return made;
}

std::string RandomExpression::selector(bool counter) {
    std::string made = counter ? "c" : pick({"x", "x", "y", "y", "s", "c", "nothing", "{__name__=~\"x|y\"}"});
    if (below(2) == 0) return made;
    if (made.front() == '{') return "{__name__=~\"x|y\",g!=\"b\"}";
    return made + pick({"{g=\"a\"}", "{g!=\"a\"}", "{i=~\"1|2\"}", "{i!~\"1.*\",g=\"b\"}", "{none=\"\"}",
                        "{g=~\".+\"}", "{i=\"9\"}"});
}

std::string RandomExpression::matrix(int depth, bool counter) {
    if (depth <= 0 || below(3) != 0)
        return selector(counter) + "[" + pick({"1m", "2m", "5m", "37s", "10s", "8m"}) + "]" + when();
    const std::string inner = counter ? selector(true) : "(" + vector(depth - 1, true) + ")";
    return inner + "[" + pick({"1m7s", "2m7s", "5m7s"}) + ":" + pick({"", "15s", "30s", "1m"}) + "]" + when();
}

std::string RandomExpression::scalar(int depth, bool exact) {
    switch (below(depth > 0 ? 9 : 5)) {
    case 0:
        return pick({"NaN", "Inf", "-Inf", "0", "-0"});
    case 1:
        return pick({"0x10", "1e3", ".5", "017", "1_000"});
    case 5:
        return "scalar(" + vector(depth - 1, exact) + ")";
    case 6:
        return "(" + scalar(depth - 1, exact) + pick({" + ", " - ", " * "}) + scalar(depth - 1, exact) + ")";
    case 7:
        return "-" + scalar(depth - 1, exact);
    case 8:
        return exact ? "time()" : "pi()";
    default:
        return pick({"2", "0.5", "-3", "7", "100", "1.25"});
    }
}

std::string RandomExpression::exact_call(int depth) {
    const std::string inner = "(" + vector(depth - 1, true) + ")";
    switch (below(10)) {
    case 0:
        return pick({"abs", "ceil", "floor", "sgn", "sort", "sort_desc", "timestamp", "absent"}) + inner;
    case 1:
        return pick({"clamp_min(", "clamp_max("}) + inner + ", " + scalar(depth - 1, true) + ")";
    case 2:
        return "clamp(" + inner + ", " + scalar(0, true) + ", " + scalar(0, true) + ")";
    case 3:
        return "round(" + inner + pick({")", ", 2)", ", 0.5)", ", -4)", ", 8)"});
    case 4:
        return "vector(" + scalar(depth - 1, true) + ")";
    case 5:
        return pick({"minute", "hour", "month", "year", "day_of_week", "day_of_month", "day_of_year",
                     "days_in_month"}) +
               pick({"()", "(x * 1000000)", "(y * -10000000)", "(vector(time()))", "(timestamp(x))"});
    default:
        return pick({"sum_over_time(", "min_over_time(", "max_over_time(", "count_over_time(",
                     "last_over_time(", "present_over_time(", "changes(", "resets(", "absent_over_time(",
                     "idelta("}) +
               matrix(depth - 1) + ")";
    }
}

std::string RandomExpression::smooth_call(int depth) {
    switch (below(7)) {
    case 0:
        return pick({"sqrt(", "exp(", "ln(", "log2(", "log10(", "sin(", "cos(", "tan(", "asin(", "acos(",
                     "atan(", "sinh(", "cosh(", "tanh(", "asinh(", "acosh(", "atanh(", "deg(", "rad("}) +
               pick({"x", "y / 16", "x{g=\"a\"} / 8", "s"}) + ")";
    case 1:
        return pick({"rate(", "increase(", "irate("}) + matrix(depth - 1, true) + ")";
    case 2:
        return pick({"avg_over_time(", "stddev_over_time(", "stdvar_over_time("}) + matrix(depth - 1) + ")";
    case 3:
        return "quantile_over_time(" + scalar(0, true) + ", " + matrix(depth - 1) + ")";
    case 4:
        return pick({"deriv(", "delta("}) + pick({"x", "y"}) + pick({"[2m]", "[5m]", "[37s]"}) + when() + ")";
    case 5:
        return "predict_linear(" + pick({"x", "y"}) + pick({"[2m]", "[5m]"}) + when() + ", " +
               pick({"60", "-30"}) + ")";
    default:
        return "histogram_quantile(" + scalar(0, true) + ", " +
               pick({"h_bucket", "rate(h_bucket[2m])", "sum by (le) (h_bucket)",
                     "sum without (i) (rate(h_bucket[5m]))", "h_bucket{le!=\"+Inf\"}",
                     "h_bucket{le=\"+Inf\"}", "x", "increase(h_bucket[1m]) * -1"}) +
               ")";
    }
}

std::string RandomExpression::grouping() {
    return pick({"", " by (g)", " by (i)", " by (g, i)", " without (g)", " without (i)", " by ()",
                 " without ()", " by (none)", " by (__name__)", " without (none, i)"});
}

std::string RandomExpression::aggregation(int depth, bool exact) {
    const std::string group = grouping();
    if (!exact && below(2) == 0) {
        const std::string inner = vector(depth - 1, false);
        if (below(3) == 0) return "quantile" + group + " (" + scalar(0, true) + ", " + inner + ")";
        return pick({"avg", "stddev", "stdvar"}) + group + " (" + inner + ")";
    }
    const std::string inner = vector(depth - 1, true);
    if (below(4) == 0)
        return pick({"topk", "bottomk"}) + group + " (" + pick({"1", "2", "3", "0", "-1", "0.9", "1000"}) +
               ", " + inner + ")";
    if (below(6) == 0) return "count_values" + group + " (" + pick({"\"v\"", "\"g\""}) + ", " + inner + ")";
    return pick({"sum", "min", "max", "count", "group"}) + group + " (" + inner + ")";
}

std::string RandomExpression::matching(bool grouped) {
    std::string made =
        pick({"on (g)", "on (g, i)", "ignoring (i)", "ignoring (g)", "on ()", "ignoring (none)", "on (i)"});
    if (grouped)
        made +=
            pick({" group_left", " group_right", " group_left (i)", " group_right (none)", " group_left ()"});
    return " " + made + " ";
}

std::string RandomExpression::binary(int depth, bool exact) {
    const std::string left = "(" + vector(depth - 1, exact) + ")";
    const std::string right = "(" + vector(depth - 1, exact) + ")";
    const std::string sharp = "(" + vector(depth - 1, true) + ")";
    const std::string arithmetic =
        exact ? pick({" + ", " - ", " * "}) : pick({" + ", " - ", " * ", " / ", " ^ ", " atan2 "});
    const std::string comparison =
        pick({" == ", " != ", " < ", " <= ", " > ", " >= "}) + (below(2) == 0 ? "bool " : "");
    switch (below(8)) {
    case 0:
        return left + arithmetic + scalar(depth - 1, exact);
    case 1:
        return scalar(depth - 1, exact) + arithmetic + right;
    case 2:
        return sharp + comparison + scalar(depth - 1, true);
    case 3:
        return scalar(0, true) + pick({" % ", " - ", " < ", " >= bool "}) + sharp;
    case 4:
        return left + pick({" and ", " or ", " unless "}) + (below(2) == 0 ? matching(false) : "") + right;
    case 5:
        return sharp + comparison + (below(2) == 0 ? matching(below(2) == 0) : "") + "(" +
               vector(depth - 1, true) + ")";
    default:
        return left + arithmetic + (below(2) == 0 ? matching(below(2) == 0) : "") + right;
    }
}

std::string RandomExpression::labels_call(int depth, bool exact) {
    const std::string inner = vector(depth - 1, exact);
    if (below(2) == 0)
        return "label_join(" + inner +
               pick({", \"g\", \"-\", \"g\", \"i\")", ", \"new\", \"\", \"i\")", ", \"i\", \",\")"});
    return "label_replace(" + inner +
           pick({", \"new\", \"$1-$2\", \"g\", \"(.)(.*)\")", ", \"i\", \"\", \"i\", \"1\")",
                 ", \"g\", \"${n}x\", \"i\", \"(?P<n>.)\")", ", \"g\", \"z$\", \"none\", \"\")",
                 ", \"__name__\", \"r_$1\", \"g\", \"(a|b)\")", ", \"new\", \"$1\", \"g\", \"(\")"});
}

std::string RandomExpression::vector(int depth, bool exact) {
    if (depth <= 0) return selector() + when();
    switch (below(exact ? 8 : 10)) {
    case 0:
        return selector() + when();
    case 1:
        return "-(" + vector(depth - 1, exact) + ")";
    case 2:
        return labels_call(depth, exact);
    case 3:
    case 4:
        return binary(depth, exact);
    case 5:
    case 6:
        return aggregation(depth, exact);
    case 7:
        return exact_call(depth);
    default:
        return smooth_call(depth);
    }
}

} // namespace homeostat::promql
