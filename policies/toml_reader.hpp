// Reading TOML so that all mistakes of a file are told at once: wrong types, missing and unknown keys,
// values out of range, each with its line and column. A TOML syntax error stands alone.
#pragma once

#include "knowledge/error.hpp"
#include "knowledge/time.hpp"
#include "policies/source_text.hpp"

// Some of the assertions of toml++ fail on texts that are no TOML, before it comes to tell so.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expr) static_cast<void>(0)
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat {

class TomlTable;

// Beyond every use, and far from overflow in all that is computed with it.
inline constexpr Duration duration_max = std::chrono::hours{100 * 365 * 24};
inline constexpr std::size_t toml_mistakes_max = 1'000; // told of one file

// A parsed file. Tables that were read from it refer to it.
class TomlFile {
  public:
    // None where the syntax is wrong; the diagnostics then say where.
    static std::unique_ptr<TomlFile> parse(std::string_view text, std::string name, Diagnostics& diagnostics);

    TomlTable root();

  private:
    friend class TomlTable;
    std::string name_;
    std::size_t byte_of(Position at); // in its line

    std::vector<std::string> lines_;
    int indexed_line_ = 0;
    std::vector<std::uint32_t> characters_; // of the indexed line: the byte at which each one begins
    std::size_t mistakes_ = 0;
    toml::table root_;
    Diagnostics* diagnostics_ = nullptr;
};

// One table of a file. Each getter notes its key as known; finish() reports the others. A getter that
// finds a wrong type reports it and returns nothing, as if the key were absent.
class TomlTable {
  public:
    bool has(std::string_view key) const;
    Position at() const;                     // where the table begins
    Position at(std::string_view key) const; // where the key's value begins; the table's where it is absent

    std::optional<SourceText> text(std::string_view key);
    std::optional<SourceText> require_text(std::string_view key, std::string_view expected);
    std::optional<std::string> string(std::string_view key);
    std::optional<std::int64_t> integer(std::string_view key, std::int64_t min, std::int64_t max);
    std::optional<double> number(std::string_view key); // an integer or a float
    std::optional<bool> boolean(std::string_view key);
    std::optional<Duration> duration(std::string_view key);
    // One of the words; returns its place in the list.
    std::optional<std::size_t> choice(std::string_view key, const std::vector<std::string>& words);
    std::vector<SourceText> texts(std::string_view key); // a string, or an array of strings
    std::optional<TomlTable> table(std::string_view key);
    std::vector<TomlTable> tables(std::string_view key); // [[key]]

    // For tables whose keys are the author's: all keys, in the order of the file. They count as known.
    std::vector<std::string> keys();
    // Where each value stands, by its dotted path from this table; those of arrays by the array's.
    std::map<std::string, Position> places() const;
    bool is_table(std::string_view key) const;
    bool is_boolean(std::string_view key) const;
    SourceText key_text(std::string_view key) const; // the key itself, as it stands in the file

    void mistake(Position at, std::string what, std::string expected = {});
    // Reports every key that nobody asked for, with the nearest known one.
    void finish();

  private:
    friend class TomlFile;
    TomlTable(TomlFile& file, const toml::table& table, std::string path)
        : file_(&file), table_(&table), path_(std::move(path)) {}
    const toml::node* find(std::string_view key);
    void wrong_type(const toml::node& node, std::string_view key, std::string_view expected);
    SourceText source(const toml::node& node, const std::string& value) const;
    std::string path_to(std::string_view key) const;

    TomlFile* file_;
    const toml::table* table_;
    std::string path_;
    std::set<std::string, std::less<>> known_;
};

} // namespace homeostat
