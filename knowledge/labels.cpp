#include "knowledge/labels.hpp"

#include <algorithm>

namespace homeostat {

namespace {

// FNV-1a, so that the hash is the same on every run and machine.
std::size_t hash_of(const std::vector<Label>& labels) {
    std::uint64_t hash = 14695981039346656037ULL;
    const auto mix = [&hash](std::string_view text) {
        for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
        hash = (hash ^ 0xffU) * 1099511628211ULL;
    };
    for (const Label& label : labels) {
        mix(label.name);
        mix(label.value);
    }
    return hash;
}

} // namespace

Labels::Labels(std::initializer_list<Label> labels) : Labels(std::vector<Label>(labels)) {}

Labels::Labels(std::vector<Label> labels) {
    std::ranges::stable_sort(labels, {}, &Label::name);
    std::vector<Label> set;
    set.reserve(labels.size());
    for (Label& label : labels) {
        if (!set.empty() && set.back().name == label.name) set.pop_back();
        set.push_back(std::move(label));
    }
    std::erase_if(set, [](const Label& label) { return label.value.empty(); });
    if (set.empty()) return;
    const std::size_t hash = hash_of(set);
    set_ = std::make_shared<const Set>(Set{std::move(set), hash});
}

std::span<const Label> Labels::all() const {
    return set_ ? std::span<const Label>(set_->labels) : std::span<const Label>();
}

std::string_view Labels::get(std::string_view name) const {
    for (const Label& label : all())
        if (label.name == name) return label.value;
    return {};
}

Labels Labels::with(std::string_view name, std::string_view value) const {
    std::vector<Label> labels(all().begin(), all().end());
    labels.push_back({std::string(name), std::string(value)});
    return Labels(std::move(labels));
}

Labels Labels::without_metric_name() const {
    static const std::vector<std::string> name{std::string(metric_name_label)};
    return metric_name().empty() ? *this : without(name);
}

Labels Labels::without(std::span<const std::string> names) const {
    std::vector<Label> labels;
    for (const Label& label : all())
        if (std::ranges::find(names, label.name) == names.end()) labels.push_back(label);
    return Labels(std::move(labels));
}

Labels Labels::only(std::span<const std::string> names) const {
    std::vector<Label> labels;
    for (const Label& label : all())
        if (std::ranges::find(names, label.name) != names.end()) labels.push_back(label);
    return Labels(std::move(labels));
}

bool operator==(const Labels& a, const Labels& b) {
    if (a.set_ == b.set_) return true;
    if (!a.set_ || !b.set_ || a.set_->hash != b.set_->hash) return false;
    return a.set_->labels == b.set_->labels;
}

std::strong_ordering operator<=>(const Labels& a, const Labels& b) {
    if (a.set_ == b.set_) return std::strong_ordering::equal;
    const auto left = a.all();
    const auto right = b.all();
    return std::lexicographical_compare_three_way(left.begin(), left.end(), right.begin(), right.end());
}

bool agree(const Labels& a, const Labels& b) {
    return std::ranges::all_of(a.all(), [&](const Label& label) {
        const std::string_view other = b.get(label.name);
        return other.empty() || other == label.value;
    });
}

namespace {

void append_quoted(std::string& text, std::string_view value) {
    text += '"';
    for (const char c : value) {
        switch (c) {
        case '"':
            text += "\\\"";
            break;
        case '\\':
            text += "\\\\";
            break;
        case '\n':
            text += "\\n";
            break;
        default:
            text += c;
        }
    }
    text += '"';
}

} // namespace

std::string to_text(const Labels& labels) {
    std::string text(labels.metric_name());
    std::string inner;
    for (const Label& label : labels.all()) {
        if (label.name == metric_name_label) continue;
        if (!inner.empty()) inner += ',';
        inner += label.name + "=";
        append_quoted(inner, label.value);
    }
    if (!inner.empty() || text.empty()) text += "{" + inner + "}";
    return text;
}

} // namespace homeostat
