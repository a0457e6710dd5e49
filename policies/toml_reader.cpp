#include "policies/toml_reader.hpp"

#include "policies/toml_screening.hpp"

#include <algorithm>

namespace homeostat {

namespace {

Position position_of(const toml::node& node) {
    const toml::source_position begin = node.source().begin;
    return {static_cast<int>(begin.line), static_cast<int>(begin.column)};
}

std::string_view type_name(toml::node_type type) {
    switch (type) {
    case toml::node_type::table:
        return "a table";
    case toml::node_type::array:
        return "an array";
    case toml::node_type::string:
        return "a string";
    case toml::node_type::integer:
        return "an integer";
    case toml::node_type::floating_point:
        return "a float";
    case toml::node_type::boolean:
        return "a boolean";
    default:
        return "a date or time";
    }
}

std::vector<std::string> split_lines(std::string_view text) {
    std::vector<std::string> lines(1);
    for (const char c : text)
        if (c == '\n')
            lines.emplace_back();
        else
            lines.back() += c;
    return lines;
}

// The place of each byte of a string's value, found by reading its source again. `at` is the opening quote.
// Columns count characters, as toml++ does.
class PlaceWalker {
  public:
    // `byte` is where `at` stands in its line.
    PlaceWalker(const std::vector<std::string>& lines, Position at, std::size_t byte)
        : lines_(&lines), at_(at), byte_(byte) {}

    std::vector<Position> places(std::string_view value) {
        const char quote = here();
        const bool multiline = rest().starts_with("\"\"\"") || rest().starts_with("'''");
        skip(multiline ? 3 : 1);
        if (multiline && at_end_of_line()) next_line();
        std::vector<Position> places;
        places.reserve(value.size() + 1);
        while (places.size() < value.size()) character(quote == '"', value.substr(places.size()), places);
        places.resize(value.size(), at_);
        places.push_back(at_);
        return places;
    }

  private:
    std::string_view rest() const {
        if (at_.line < 1 || static_cast<std::size_t>(at_.line) > lines_->size()) return {};
        const std::string& line = (*lines_)[static_cast<std::size_t>(at_.line) - 1];
        return byte_ >= line.size() ? std::string_view() : std::string_view(line).substr(byte_);
    }
    char here() const { return rest().empty() ? '\n' : rest().front(); }
    bool at_end_of_line() const { return rest().empty() || rest() == "\r"; }
    void skip(int characters, std::size_t bytes) {
        at_.column += characters;
        byte_ += bytes;
    }
    void skip(int ascii) { skip(ascii, static_cast<std::size_t>(ascii)); }
    void next_line() {
        at_ = {at_.line + 1, 1};
        byte_ = 0;
    }

    // Places one character of the value, or passes over what stands for none.
    void character(bool escapes, std::string_view value, std::vector<Position>& places) {
        if (value.front() == '\n' && at_end_of_line()) {
            places.push_back(at_);
            return next_line();
        }
        const std::size_t bytes = utf8_length(value.front());
        if (!escapes || here() != '\\') {
            places.insert(places.end(), bytes, at_);
            return skip(1, bytes);
        }
        const char kind = rest().size() > 1 ? rest()[1] : '\n';
        if (kind == '\n' || kind == ' ' || kind == '\r' || kind == '\t') return skip_line_break();
        places.insert(places.end(), bytes, at_);
        skip(kind == 'u' ? 6 : kind == 'U' ? 10 : 2);
    }

    // A backslash at the end of a line swallows the white space that follows; no byte of the value stands
    // there.
    void skip_line_break() {
        next_line();
        while (static_cast<std::size_t>(at_.line) <= lines_->size() &&
               (at_end_of_line() || here() == ' ' || here() == '\t'))
            if (at_end_of_line())
                next_line();
            else
                skip(1);
    }

    const std::vector<std::string>* lines_;
    Position at_;
    std::size_t byte_; // of at_, in its line
};

// A text that ends too early is told at its end, not behind it.
Position inside(const std::vector<std::string>& lines, const toml::source_position& at) {
    const std::size_t line = std::clamp<std::size_t>(at.line, 1, lines.size());
    const int end = characters_in(lines[line - 1]) + 1;
    return {static_cast<int>(line), std::clamp(static_cast<int>(at.column), 1, end)};
}

// The text with an 'x' for each character beyond ASCII. It has the same syntax and places, and toml++ cannot
// be led astray by such characters where a mistake lets it take a string for something else.
std::string in_ascii(std::string_view text) {
    std::string made;
    for (const char c : text)
        if (const auto byte = static_cast<unsigned char>(c); byte < 0x80)
            made += c;
        else if (byte >= 0xc0)
            made += 'x';
    return made;
}

} // namespace

std::unique_ptr<TomlFile> TomlFile::parse(std::string_view text, std::string name, Diagnostics& diagnostics) {
    auto file = std::make_unique<TomlFile>();
    file->name_ = std::move(name);
    file->diagnostics_ = &diagnostics;
    if (text.size() <= toml_bytes_max) file->lines_ = split_lines(text);
    std::expected<std::string, Diagnostic> readable = readable_toml(text, file->lines_);
    if (!readable) {
        readable.error().file = file->name_;
        diagnostics.push_back(std::move(readable.error()));
        return nullptr;
    }
    toml::parse_result result = toml::parse(in_ascii(text));
    if (result) result = toml::parse(*readable);
    if (!result) {
        diagnostics.push_back({.file = file->name_,
                               .at = inside(file->lines_, result.error().source().begin),
                               .what = "TOML syntax: " + std::string(result.error().description()),
                               .expected = {}});
        return nullptr;
    }
    file->root_ = std::move(result).table();
    return file;
}

// A line may hold thousands of strings, so where its characters begin is found once.
std::size_t TomlFile::byte_of(Position at) {
    if (at.line < 1 || static_cast<std::size_t>(at.line) > lines_.size() || at.column < 1) return 0;
    const std::string& line = lines_[static_cast<std::size_t>(at.line) - 1];
    if (at.line != indexed_line_) {
        indexed_line_ = at.line;
        characters_.clear();
        for (std::size_t byte = 0; byte < line.size(); byte += utf8_length(line[byte]))
            characters_.push_back(static_cast<std::uint32_t>(byte));
    }
    const auto character = static_cast<std::size_t>(at.column) - 1;
    return character < characters_.size() ? characters_[character] : line.size();
}

TomlTable TomlFile::root() { return {*this, root_, ""}; }

bool TomlTable::has(std::string_view key) const { return table_->contains(key); }

Position TomlTable::at() const { return position_of(*table_); }

Position TomlTable::at(std::string_view key) const {
    const toml::node* node = table_->get(key);
    return node != nullptr ? position_of(*node) : at();
}

const toml::node* TomlTable::find(std::string_view key) {
    known_.emplace(key);
    return table_->get(key);
}

std::string TomlTable::path_to(std::string_view key) const {
    return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

void TomlTable::mistake(Position at, std::string what, std::string expected) {
    if (file_->mistakes_ > toml_mistakes_max) return;
    if (++file_->mistakes_ > toml_mistakes_max) {
        what = "more than " + std::to_string(toml_mistakes_max) + " mistakes; the rest is not told";
        expected.clear();
    }
    file_->diagnostics_->push_back(
        {.file = file_->name_, .at = at, .what = std::move(what), .expected = std::move(expected)});
}

void TomlTable::wrong_type(const toml::node& node, std::string_view key, std::string_view expected) {
    mistake(position_of(node), "'" + path_to(key) + "' is " + std::string(type_name(node.type())),
            "expected " + std::string(expected));
}

SourceText TomlTable::source(const toml::node& node, const std::string& value) const {
    const Position at = position_of(node);
    return {.file = file_->name_,
            .text = value,
            .at = PlaceWalker(file_->lines_, at, file_->byte_of(at)).places(value)};
}

std::optional<SourceText> TomlTable::text(std::string_view key) {
    const toml::node* node = find(key);
    if (node == nullptr) return std::nullopt;
    if (const auto* value = node->as_string()) return source(*node, value->get());
    wrong_type(*node, key, "a string");
    return std::nullopt;
}

std::optional<SourceText> TomlTable::require_text(std::string_view key, std::string_view expected) {
    if (!has(key)) {
        find(key);
        mistake(at(), "'" + path_to(key) + "' is missing", "expected " + std::string(expected));
        return std::nullopt;
    }
    return text(key);
}

std::optional<std::string> TomlTable::string(std::string_view key) {
    auto found = text(key);
    return found ? std::optional(std::move(found->text)) : std::nullopt;
}

std::optional<std::int64_t> TomlTable::integer(std::string_view key, std::int64_t min, std::int64_t max) {
    const toml::node* node = find(key);
    if (node == nullptr) return std::nullopt;
    const auto* value = node->as_integer();
    if (value == nullptr) {
        wrong_type(*node, key, "an integer");
        return std::nullopt;
    }
    if (value->get() < min || value->get() > max) {
        mistake(position_of(*node), "'" + path_to(key) + "' is " + std::to_string(value->get()),
                min == max ? "expected " + std::to_string(min)
                           : "expected a number from " + std::to_string(min) + " to " + std::to_string(max));
        return std::nullopt;
    }
    return value->get();
}

std::optional<double> TomlTable::number(std::string_view key) {
    const toml::node* node = find(key);
    if (node == nullptr) return std::nullopt;
    if (const auto* integer = node->as_integer()) return static_cast<double>(integer->get());
    if (const auto* value = node->as_floating_point()) return value->get();
    wrong_type(*node, key, "a number");
    return std::nullopt;
}

std::optional<bool> TomlTable::boolean(std::string_view key) {
    const toml::node* node = find(key);
    if (node == nullptr) return std::nullopt;
    if (const auto* value = node->as_boolean()) return value->get();
    wrong_type(*node, key, "true or false");
    return std::nullopt;
}

std::optional<Duration> TomlTable::duration(std::string_view key) {
    const toml::node* node = find(key);
    if (node == nullptr) return std::nullopt;
    const auto* value = node->as_string();
    if (value == nullptr) {
        wrong_type(*node, key, "a duration as a string, such as \"100ms\", \"5s\" or \"1h30m\"");
        return std::nullopt;
    }
    const auto parsed = parse_duration(value->get());
    if (parsed && *parsed <= duration_max) return *parsed;
    if (parsed) {
        mistake(position_of(*node), "'" + path_to(key) + "' is longer than 100 years",
                "expected a shorter time");
        return std::nullopt;
    }
    mistake(position_of(*node), "'" + path_to(key) + "' is \"" + value->get() + "\", which is no duration",
            "expected one such as \"100ms\", \"5s\" or \"1h30m\"");
    return std::nullopt;
}

std::optional<std::size_t> TomlTable::choice(std::string_view key, const std::vector<std::string>& words) {
    const auto value = text(key);
    if (!value) return std::nullopt;
    const auto found = std::ranges::find(words, value->text);
    if (found != words.end()) return static_cast<std::size_t>(found - words.begin());
    std::string list;
    for (const std::string& word : words) list += (list.empty() ? "\"" : ", \"") + word + "\"";
    mistake(value->position(0), "'" + path_to(key) + "' is \"" + value->text + "\"",
            "expected one of " + list);
    return std::nullopt;
}

std::vector<SourceText> TomlTable::texts(std::string_view key) {
    const toml::node* node = find(key);
    std::vector<SourceText> found;
    if (node == nullptr) return found;
    if (const auto* value = node->as_string()) {
        found.push_back(source(*node, value->get()));
    } else if (const auto* array = node->as_array()) {
        for (const toml::node& element : *array)
            if (const auto* string = element.as_string())
                found.push_back(source(element, string->get()));
            else
                wrong_type(element, key, "a string, or an array of strings");
    } else {
        wrong_type(*node, key, "a string, or an array of strings");
    }
    return found;
}

std::optional<TomlTable> TomlTable::table(std::string_view key) {
    const toml::node* node = find(key);
    if (node == nullptr) return std::nullopt;
    if (const auto* found = node->as_table()) return TomlTable(*file_, *found, path_to(key));
    wrong_type(*node, key, "a table");
    return std::nullopt;
}

std::vector<TomlTable> TomlTable::tables(std::string_view key) {
    const toml::node* node = find(key);
    std::vector<TomlTable> found;
    if (node == nullptr) return found;
    const auto* array = node->as_array();
    if (array == nullptr) {
        wrong_type(*node, key, "an array of tables, written [[" + path_to(key) + "]]");
        return found;
    }
    for (const toml::node& element : *array)
        if (const auto* table = element.as_table())
            found.push_back(TomlTable(*file_, *table, path_to(key)));
        else
            wrong_type(element, key, "a table, written [[" + path_to(key) + "]]");
    return found;
}

std::vector<std::string> TomlTable::keys() {
    std::vector<std::pair<Position, std::string>> placed;
    for (const auto& [key, node] : *table_) {
        placed.emplace_back(position_of(node), std::string(key.str()));
        known_.emplace(key.str());
    }
    std::ranges::sort(placed);
    std::vector<std::string> keys;
    for (auto& [at, key] : placed) keys.push_back(std::move(key));
    return keys;
}

std::map<std::string, Position> TomlTable::places() const {
    std::map<std::string, Position> found;
    for (const auto& [key, node] : *table_) {
        const std::string name(key.str());
        found.emplace(name, position_of(node));
        if (const auto* inner = node.as_table())
            for (const auto& [rest, at] : TomlTable(*file_, *inner, path_to(name)).places())
                found.emplace(name + "." + rest, at);
    }
    return found;
}

bool TomlTable::is_table(std::string_view key) const {
    const toml::node* node = table_->get(key);
    return node != nullptr && node->is_table();
}

bool TomlTable::is_boolean(std::string_view key) const {
    const toml::node* node = table_->get(key);
    return node != nullptr && node->is_boolean();
}

SourceText TomlTable::key_text(std::string_view key) const {
    SourceText text{.file = file_->name_, .text = std::string(key), .at = {}};
    const auto found = table_->find(key);
    Position at{};
    if (found != table_->cend()) {
        const toml::source_position begin = found->first.source().begin;
        at = {static_cast<int>(begin.line), static_cast<int>(begin.column)};
    }
    text.at.assign(key.size() + 1, at);
    return text;
}

void TomlTable::finish() {
    for (const auto& [key, node] : *table_) {
        if (known_.contains(key.str())) continue;
        const toml::source_position begin = key.source().begin;
        const std::string meant =
            nearest(std::string(key.str()), std::vector<std::string>(known_.begin(), known_.end()));
        std::string all;
        for (const std::string& known : known_) all += (all.empty() ? "" : ", ") + known;
        mistake({static_cast<int>(begin.line), static_cast<int>(begin.column)},
                "unknown key '" + path_to(key.str()) + "'",
                meant.empty() ? "expected one of " + all : "did you mean '" + meant + "'?");
    }
}

} // namespace homeostat
