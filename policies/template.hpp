// Text with {{label}} in it, filled from the labels of a symptom instance. Parsed once, bound after.
#pragma once

#include "knowledge/error.hpp"
#include "knowledge/labels.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace homeostat {

struct Template {
    struct Part {
        bool is_label = false;
        std::string text;

        bool operator==(const Part&) const = default;
    };
    std::vector<Part> parts;

    bool operator==(const Template&) const = default;
    std::vector<std::string> labels() const; // that it names
};

// Fails on a brace pair that is not closed or holds no label name; Error::number is then its offset.
Result<Template> parse_template(std::string_view text);

// As it is written: "{{iface}}".
std::string to_text(const Template& text);

// Fails where a label is absent, naming it: an absent label is never an empty string.
Result<std::string> bind(const Template& text, const Labels& labels);

// A sample's value as a person reads it: the shortest text that gives the same number.
std::string number_text(double value);

} // namespace homeostat
