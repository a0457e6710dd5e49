// label_replace, label_join and histogram_quantile: the functions whose meaning is in the labels.
#include "policies/promql/evaluation.hpp"

#include <re2/re2.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>

namespace homeostat::promql {

namespace {

bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// Well-formed UTF-8, shortest forms only.
bool is_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[i + k]); };
        const unsigned char lead = byte(0);
        const std::size_t length = lead < 0x80   ? 1
                                   : lead < 0xc2 ? 0
                                   : lead < 0xe0 ? 2
                                   : lead < 0xf0 ? 3
                                   : lead < 0xf5 ? 4
                                                 : 0;
        if (length == 0 || text.size() - i < length) return false;
        for (std::size_t k = 1; k < length; ++k)
            if ((byte(k) & 0xc0) != 0x80) return false;
        if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f) ||
            (lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f))
            return false;
        i += length;
    }
    return true;
}

Result<void> check_label_name(std::string_view name, std::string_view function) {
    if (!name.empty() && is_utf8(name)) return {};
    return failure("invalid destination label name '" + std::string(name) + "' in " + std::string(function));
}

// Chains of label_replace and label_join could double a value at each link.
constexpr std::size_t label_value_max = 4'096; // bytes

Result<void> check_label_value(Evaluation& evaluation, const Sample& sample, std::string_view value,
                               std::string_view function) {
    if (value.size() > label_value_max)
        return failure(std::string(function) + " makes a label value longer than " +
                       std::to_string(label_value_max) + " bytes");
    return evaluation.spend(sample.labels.all().size() + value.size() / 64);
}

struct Captures {
    const RE2& expression;
    std::vector<re2::StringPiece> groups; // the whole match first

    std::string_view named(std::string_view name) const {
        std::size_t index = 0;
        const char* end = name.data() + name.size();
        const auto [stop, error] = std::from_chars(name.data(), end, index);
        if (error != std::errc{} || stop != end) {
            const auto& names = expression.NamedCapturingGroups();
            const auto found = names.find(std::string(name));
            index = found == names.end() ? groups.size() : static_cast<std::size_t>(found->second);
        }
        if (index >= groups.size()) return {};
        return {groups[index].data(), groups[index].size()};
    }
};

// Go's Regexp.Expand: $1, ${1}, $name, ${name}, $$; a group that there is none of gives nothing, a dollar
// that begins none of these stays.
std::string expand(std::string_view pattern, const Captures& captures) {
    std::string made;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (pattern[i] != '$') {
            made += pattern[i];
            continue;
        }
        const std::string_view rest = pattern.substr(i + 1);
        if (rest.starts_with('$')) {
            made += '$';
            ++i;
            continue;
        }
        const std::size_t brace = rest.starts_with('{') ? 1 : 0;
        std::size_t end = brace;
        while (end < rest.size() && is_name(rest[end])) ++end;
        const bool closed = brace == 0 || (end < rest.size() && rest[end] == '}');
        if (end == brace || !closed) {
            made += '$';
            continue;
        }
        made += captures.named(rest.substr(brace, end - brace));
        i += end + brace;
    }
    return made;
}

} // namespace

Result<Value> label_replace(Evaluation& evaluation, const Call& call) {
    const auto text = [&](std::size_t i) -> const std::string& {
        return evaluation.string(*call.arguments[i]);
    };
    const std::string& to = text(1);
    const std::string& replacement = text(2);
    const std::string& from = text(3);
    const Result<const RE2*> compiled = evaluation.regex(text(4));
    if (!compiled) return failure("invalid regular expression in label_replace(): " + compiled.error().what);
    const RE2& expression = **compiled;
    if (auto valid = check_label_name(to, "label_replace()"); !valid) return std::unexpected(valid.error());
    Result<Vector> samples = evaluation.vector(*call.arguments[0]);
    if (!samples) return std::unexpected(std::move(samples.error()));
    const auto group_count = expression.NumberOfCapturingGroups() + 1;
    Captures captures{expression, std::vector<re2::StringPiece>(static_cast<std::size_t>(group_count))};
    for (Sample& sample : *samples) {
        const std::string value(sample.labels.get(from));
        if (!expression.Match(value, 0, value.size(), RE2::ANCHOR_BOTH, captures.groups.data(), group_count))
            continue;
        const std::string made = expand(replacement, captures);
        if (auto fits = check_label_value(evaluation, sample, made, "label_replace()"); !fits)
            return std::unexpected(fits.error());
        sample.labels = sample.labels.with(to, made);
    }
    return distinct(std::move(*samples));
}

Result<Value> label_join(Evaluation& evaluation, const Call& call) {
    const auto text = [&](std::size_t i) -> const std::string& {
        return evaluation.string(*call.arguments[i]);
    };
    if (auto valid = check_label_name(text(1), "label_join()"); !valid) return std::unexpected(valid.error());
    Result<Vector> samples = evaluation.vector(*call.arguments[0]);
    if (!samples) return std::unexpected(std::move(samples.error()));
    for (Sample& sample : *samples) {
        std::string joined;
        for (std::size_t i = 3; i < call.arguments.size(); ++i) {
            if (i > 3) joined += text(2);
            joined += sample.labels.get(text(i));
            if (joined.size() > label_value_max) break;
        }
        if (auto fits = check_label_value(evaluation, sample, joined, "label_join()"); !fits)
            return std::unexpected(fits.error());
        if (auto fits = evaluation.spend(call.arguments.size()); !fits) return std::unexpected(fits.error());
        sample.labels = sample.labels.with(text(1), joined);
    }
    return distinct(std::move(*samples));
}

// ---- classic histograms

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

struct Bucket {
    double upper_bound;
    double count; // of observations up to the bound
};

std::optional<double> parse_bound(std::string_view text) {
    if (text.starts_with('+')) text.remove_prefix(1);
    double value = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value); // takes "inf" in any case of letters
    if (text.empty() || error != std::errc{} || stop != end) return std::nullopt;
    return value;
}

void merge_equal_bounds(std::vector<Bucket>& buckets) {
    std::vector<Bucket> merged;
    for (const Bucket& bucket : buckets) {
        if (!merged.empty() && merged.back().upper_bound == bucket.upper_bound)
            merged.back().count += bucket.count;
        else
            merged.push_back(bucket);
    }
    buckets = std::move(merged);
}

// Counts that are apart by no more than float error are made equal, and falls are flattened: buckets that
// were not read at one moment, or were summed, need not rise.
void make_monotonic(std::vector<Bucket>& buckets) {
    constexpr double tolerance = 1e-12;
    double previous = buckets[0].count;
    for (Bucket& bucket : buckets) {
        const double difference = std::abs(bucket.count - previous);
        if (difference == 0) continue;
        if (difference / bucket.count <= tolerance)
            bucket.count = previous;
        else
            previous = bucket.count;
    }
    double largest = buckets[0].count;
    for (Bucket& bucket : buckets) {
        if (bucket.count > largest)
            largest = bucket.count;
        else if (bucket.count < largest)
            bucket.count = largest;
    }
}

// Linear within the bucket that holds the rank; the highest bucket gives its lower bound, the lowest begins
// at 0 where its upper bound is above 0.
double bucket_quantile(double q, std::vector<Bucket> buckets) {
    if (std::isnan(q)) return nan;
    if (q < 0) return -infinity;
    if (q > 1) return infinity;
    std::ranges::stable_sort(buckets, {}, &Bucket::upper_bound);
    if (buckets.back().upper_bound != infinity) return nan;
    merge_equal_bounds(buckets);
    make_monotonic(buckets);
    const double observations = buckets.back().count;
    if (buckets.size() < 2 || observations == 0) return nan;
    double rank = q * observations;
    const auto found = std::ranges::find_if(buckets.begin(), buckets.end() - 1,
                                            [rank](const Bucket& b) { return b.count >= rank; });
    const auto place = static_cast<std::size_t>(found - buckets.begin());
    if (place == buckets.size() - 1) return buckets[place - 1].upper_bound;
    const Bucket& bucket = buckets[place];
    if (place == 0 && bucket.upper_bound <= 0) return bucket.upper_bound;
    double start = 0;
    double count = bucket.count;
    if (place > 0) {
        start = buckets[place - 1].upper_bound;
        count -= buckets[place - 1].count;
        rank -= buckets[place - 1].count;
    }
    return start + (bucket.upper_bound - start) * (rank / count);
}

} // namespace

Result<Value> histogram_quantile(Evaluation& evaluation, const Call& call) {
    static const std::vector<std::string> dropped{std::string(metric_name_label), "le"};
    const Result<double> q = evaluation.scalar(*call.arguments[0]);
    if (!q) return std::unexpected(q.error());
    const Result<Vector> samples = evaluation.vector(*call.arguments[1]);
    if (!samples) return std::unexpected(samples.error());
    std::map<Labels, std::vector<Bucket>> histograms;
    for (const Sample& sample : *samples)
        if (const auto bound = parse_bound(sample.labels.get("le")); bound && !std::isnan(*bound))
            histograms[sample.labels.without(dropped)].push_back({*bound, sample.value});
    Vector made;
    for (auto& [labels, buckets] : histograms)
        made.push_back({labels, bucket_quantile(*q, std::move(buckets))});
    return made;
}

} // namespace homeostat::promql
