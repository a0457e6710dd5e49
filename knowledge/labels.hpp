// A label set, as in Prometheus: the metric name is the label __name__, an empty value is the same
// as an absent label. Labels is an immutable value; copies share one sorted set, so they are cheap to
// copy, to compare and to hash. Safe to read from any thread.
#pragma once

#include <compare>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat {

inline constexpr std::string_view metric_name_label = "__name__";

struct Label {
    std::string name;
    std::string value;

    auto operator<=>(const Label&) const = default;
};

class Labels {
  public:
    Labels() = default;
    Labels(std::initializer_list<Label> labels);
    explicit Labels(std::vector<Label> labels); // any order; of one name, the last one counts

    std::span<const Label> all() const; // sorted by name
    bool empty() const { return set_ == nullptr; }
    std::string_view get(std::string_view name) const; // "" where absent
    std::string_view metric_name() const { return get(metric_name_label); }
    std::size_t hash() const { return set_ ? set_->hash : 0; }

    Labels with(std::string_view name, std::string_view value) const;
    Labels without_metric_name() const;
    Labels without(std::span<const std::string> names) const; // keeps __name__ unless it is named
    Labels only(std::span<const std::string> names) const;

    friend bool operator==(const Labels& a, const Labels& b);
    // The canonical order: by label pairs, lexicographically.
    friend std::strong_ordering operator<=>(const Labels& a, const Labels& b);

  private:
    struct Set {
        std::vector<Label> labels;
        std::size_t hash;
    };
    std::shared_ptr<const Set> set_; // null for the empty set
};

// Whether they have the same value for every label that both have.
bool agree(const Labels& a, const Labels& b);

// name{a="b",c="d"}, as Prometheus writes it.
std::string to_text(const Labels& labels);

struct LabelsHash {
    std::size_t operator()(const Labels& labels) const { return labels.hash(); }
};

} // namespace homeostat
