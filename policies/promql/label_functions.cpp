// label_replace and label_join.
#include "policies/promql/evaluation.hpp"

#include <re2/re2.h>

#include <algorithm>
#include <charconv>

namespace homeostat::promql {

namespace {

bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

Result<void> check_label_name(std::string_view name, std::string_view part, std::string_view function) {
    if (is_label_name(name)) return {};
    return failure("invalid " + std::string(part) + " label name in " + std::string(function) + ": " +
                   std::string(name));
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
    if (!compiled) return failure("invalid regular expression in label_replace(): " + text(4));
    const RE2& expression = **compiled;
    if (auto valid = check_label_name(to, "destination", "label_replace()"); !valid)
        return std::unexpected(valid.error());
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
    for (std::size_t i = 3; i < call.arguments.size(); ++i)
        if (auto valid = check_label_name(text(i), "source", "label_join()"); !valid)
            return std::unexpected(valid.error());
    if (auto valid = check_label_name(text(1), "destination", "label_join()"); !valid)
        return std::unexpected(valid.error());
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

} // namespace homeostat::promql
