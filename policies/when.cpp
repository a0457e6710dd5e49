#include "policies/when.hpp"

#include <algorithm>
#include <cctype>
#include <iterator>

namespace homeostat {

namespace {

constexpr int depth_max = 50;

struct Token {
    std::string_view text; // empty at the end
    std::size_t offset = 0;
};

class Parser {
  public:
    explicit Parser(std::string_view text) : text_(text) { advance(); }

    Result<When> parse() {
        auto when = any(0);
        if (when && !token_.text.empty()) return expected("'and', 'or' or the end");
        return when;
    }

  private:
    void advance() {
        while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
        const std::size_t begin = at_;
        const auto in_name = [](char c) {
            return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
        };
        while (at_ < text_.size() && in_name(text_[at_])) ++at_;
        if (at_ == begin && at_ < text_.size()) ++at_;
        token_ = {text_.substr(begin, at_ - begin), begin};
    }

    bool accept(std::string_view word) {
        if (token_.text != word) return false;
        advance();
        return true;
    }

    std::unexpected<Error> expected(const std::string& what) const {
        const std::string found = token_.text.empty() ? "the end" : "'" + std::string(token_.text) + "'";
        return failure("found " + found + ", expected " + what, static_cast<int>(token_.offset));
    }

    Result<When> chain(When::Kind kind, std::string_view word, int depth,
                       Result<When> (Parser::*operand)(int)) {
        When result{.kind = kind, .symptom = {}, .offset = token_.offset, .operands = {}};
        do {
            auto next = (this->*operand)(depth);
            if (!next) return next;
            result.operands.push_back(std::move(*next));
        } while (accept(word));
        return result.operands.size() == 1 ? std::move(result.operands.front()) : std::move(result);
    }

    Result<When> any(int depth) { return chain(When::Kind::any, "or", depth, &Parser::all); }
    Result<When> all(int depth) { return chain(When::Kind::all, "and", depth, &Parser::unary); }

    Result<When> unary(int depth) {
        if (depth > depth_max)
            return failure("nested deeper than " + std::to_string(depth_max),
                           static_cast<int>(token_.offset));
        const std::size_t offset = token_.offset;
        if (accept("not")) {
            auto inner = unary(depth + 1);
            if (!inner) return inner;
            return When{.kind = When::Kind::negation,
                        .symptom = {},
                        .offset = offset,
                        .operands = {std::move(*inner)}};
        }
        if (accept("(")) {
            auto inner = any(depth + 1);
            if (inner && !accept(")")) return expected("')'");
            return inner;
        }
        if (token_.text.empty() || token_.text == "and" || token_.text == "or" || token_.text == ")" ||
            (token_.text.size() == 1 && std::isalnum(static_cast<unsigned char>(token_.text[0])) == 0 &&
             token_.text != "_"))
            return expected("a symptom's name, 'not' or '('");
        When name{.kind = When::Kind::symptom,
                  .symptom = std::string(token_.text),
                  .offset = offset,
                  .operands = {}};
        advance();
        return name;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    Token token_;
};

bool has_driver(const When& when) {
    switch (when.kind) {
    case When::Kind::symptom:
        return true;
    case When::Kind::negation:
        return false;
    case When::Kind::all:
        return std::ranges::any_of(when.operands, has_driver);
    case When::Kind::any:
        return std::ranges::all_of(when.operands, has_driver);
    }
    return false;
}

const SymptomInstance* raised_for(const std::string& symptom, const Labels& key,
                                  const std::map<std::string, SymptomMemory>& symptoms) {
    const auto memory = symptoms.find(symptom);
    if (memory == symptoms.end()) return nullptr;
    const auto same = memory->second.instances.find(key);
    if (same != memory->second.instances.end() && same->second.positive()) return &same->second;
    for (const auto& [labels, instance] : memory->second.instances)
        if (instance.positive() && agree(labels, key)) return &instance;
    return nullptr;
}

// The keys that drive: of `and`, those of the first operand that drives; of `or`, those of all.
void collect_drivers(const When& when, const std::map<std::string, SymptomMemory>& symptoms,
                     std::set<Labels>& keys) {
    switch (when.kind) {
    case When::Kind::symptom:
        if (const auto memory = symptoms.find(when.symptom); memory != symptoms.end())
            for (const auto& [labels, instance] : memory->second.instances)
                if (instance.positive()) keys.insert(labels);
        break;
    case When::Kind::negation:
        break;
    case When::Kind::all:
        if (const auto driver = std::ranges::find_if(when.operands, has_driver);
            driver != when.operands.end())
            collect_drivers(*driver, symptoms, keys);
        break;
    case When::Kind::any:
        for (const When& operand : when.operands) collect_drivers(operand, symptoms, keys);
        break;
    }
}

void collect_names(const When& when, std::vector<std::pair<std::string, std::size_t>>& names) {
    if (when.kind == When::Kind::symptom) names.emplace_back(when.symptom, when.offset);
    for (const When& operand : when.operands) collect_names(operand, names);
}

} // namespace

Result<When> parse_when(std::string_view text) {
    auto when = Parser(text).parse();
    if (when && !has_driver(*when))
        return failure(
            "nothing drives this condition: a symptom must stand without 'not', on each side of an 'or'", 0);
    return when;
}

std::string to_text(const When& when) {
    if (when.kind == When::Kind::symptom) return when.symptom;
    const auto inner = [&](const When& operand) {
        const bool is_looser = operand.kind == When::Kind::any || operand.kind == When::Kind::all;
        return is_looser ? "(" + to_text(operand) + ")" : to_text(operand);
    };
    if (when.kind == When::Kind::negation) return "not " + inner(when.operands.front());
    std::string text;
    for (const When& operand : when.operands)
        text += (text.empty() ? "" : when.kind == When::Kind::all ? " and " : " or ") + inner(operand);
    return text;
}

std::vector<std::pair<std::string, std::size_t>> symptoms_of(const When& when) {
    std::vector<std::pair<std::string, std::size_t>> names;
    collect_names(when, names);
    return names;
}

std::vector<std::string> drivers_of(const When& when) {
    std::vector<std::string> drivers;
    if (when.kind == When::Kind::symptom) drivers.push_back(when.symptom);
    for (const When& operand : when.operands) {
        if (when.kind == When::Kind::negation || !has_driver(operand)) continue;
        std::ranges::move(drivers_of(operand), std::back_inserter(drivers));
        if (when.kind == When::Kind::all) break;
    }
    return drivers;
}

std::set<Labels> candidates_of(const When& when, const std::map<std::string, SymptomMemory>& symptoms) {
    std::set<Labels> keys;
    collect_drivers(when, symptoms, keys);
    return keys;
}

std::set<Labels> instances_of(const When& when, const std::map<std::string, SymptomMemory>& symptoms) {
    std::set<Labels> keys = candidates_of(when, symptoms);
    std::erase_if(keys, [&](const Labels& key) { return !holds(when, key, symptoms); });
    return keys;
}

bool holds(const When& when, const Labels& key, const std::map<std::string, SymptomMemory>& symptoms) {
    const auto holds_too = [&](const When& operand) { return holds(operand, key, symptoms); };
    switch (when.kind) {
    case When::Kind::symptom:
        return raised_for(when.symptom, key, symptoms) != nullptr;
    case When::Kind::negation:
        return !holds_too(when.operands.front());
    case When::Kind::all:
        return std::ranges::all_of(when.operands, holds_too);
    case When::Kind::any:
        return std::ranges::any_of(when.operands, holds_too);
    }
    return false;
}

std::vector<std::pair<std::string, const SymptomInstance*>>
evidence_of(const When& when, const Labels& key, const std::map<std::string, SymptomMemory>& symptoms) {
    std::vector<std::pair<std::string, const SymptomInstance*>> evidence;
    for (const auto& [name, offset] : symptoms_of(when))
        if (const SymptomInstance* instance = raised_for(name, key, symptoms))
            evidence.emplace_back(name, instance);
    return evidence;
}

} // namespace homeostat
