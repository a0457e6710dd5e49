#include "adapters/cli/file_texts.hpp"

#include "engine/policy_test/document.hpp"
#include "policies/toml_reader.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>

namespace homeostat::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::uintmax_t file_size_max = 16U << 20U;

Result<std::string> read_file(const std::string& path) {
    std::error_code error;
    const auto status = fs::status(path, error);
    if (fs::is_directory(status)) return failure(path + ": is a folder; expected a file");
    std::ifstream file(path, std::ios::binary);
    if (!file) return failure((path.empty() ? "an empty file name" : path) + ": " + std::strerror(errno));
    // What is no regular file may be without end.
    std::string text(file_size_max + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    text.shrink_to_fit();
    if (text.size() > file_size_max) return failure(path + ": is larger than 16 MiB");
    return text;
}

bool has_any(std::string_view text, std::span<const std::string_view> tables) {
    Diagnostics ignored;
    const auto toml = TomlFile::parse(text, "", ignored);
    if (!toml) return false;
    const TomlTable root = toml->root();
    return std::ranges::any_of(tables, [&](std::string_view table) { return root.has(table); });
}

constexpr std::array<std::string_view, 5> config_tables{"controller", "limits", "program", "interface",
                                                        "sensor"};
constexpr std::array<std::string_view, 3> policy_tables{"signal", "symptom", "adaptation"};

// The test beside a policy, as those that are shipped are named; "" where there is none.
std::string test_beside(const std::string& policy) {
    const fs::path test = fs::path(policy).replace_extension(".test.toml");
    std::error_code error;
    return fs::exists(test, error) ? test.string() : "";
}

Diagnostic mistaken_for_test(const std::string& path, FileKind kind) {
    const std::string beside = kind == FileKind::policy ? test_beside(path) : "";
    return {.file = path,
            .at = {},
            .what = kind == FileKind::policy ? "this is a policy, not a test of one"
                                             : "this is a configuration, not a test of policies",
            .expected = "'homeostat check' judges it; " +
                        (beside.empty() ? "'homeostat test --help' shows how to write a test"
                                        : "its test is " + beside)};
}

} // namespace

const Result<std::string>& FileTexts::read(const std::string& path) {
    const auto known = texts_.find(path);
    return known != texts_.end() ? known->second : texts_.emplace(path, read_file(path)).first->second;
}

Diagnostic unreadable(const std::string& path, const Error& error) {
    const bool is_named = !path.empty() && error.what.starts_with(path + ": ");
    return {.file = path,
            .at = {},
            .what = is_named ? error.what.substr(path.size() + 2) : error.what,
            .expected = {}};
}

FileKind kind_of(std::string_view text) {
    if (policy_test::is_policy_test(text)) return FileKind::test;
    return has_any(text, config_tables) ? FileKind::config : FileKind::policy;
}

std::optional<Diagnostic> mistaken_kind(const std::string& path, std::string_view text, FileKind given_as) {
    const FileKind kind = kind_of(text);
    if (kind == given_as || (kind == FileKind::policy && !has_any(text, policy_tables))) return std::nullopt;
    if (given_as == FileKind::test) {
        // A test without a [[test]] may be begun with [[interface]].
        constexpr std::array<std::string_view, 1> of_tests{"policies"};
        if (has_any(text, of_tests)) return std::nullopt;
        return mistaken_for_test(path, kind);
    }
    const std::string is = kind == FileKind::test ? "this is a test of policies" : "this is a policy";
    if (given_as == FileKind::config)
        return Diagnostic{.file = path,
                          .at = {},
                          .what = is + ", not a configuration",
                          .expected = kind == FileKind::test
                                          ? "'homeostat test' runs it"
                                          : "give it to 'homeostat check' without -c, or name it in "
                                            "controller.policies of a configuration"};
    return std::nullopt;
}

const std::string* read_as(FileTexts& texts, const std::string& path, FileKind kind,
                           Diagnostics& diagnostics) {
    const auto& text = texts.read(path);
    if (!text) {
        diagnostics.push_back(unreadable(path, text.error()));
        return nullptr;
    }
    if (auto mistaken = mistaken_kind(path, *text, kind)) {
        diagnostics.push_back(std::move(*mistaken));
        return nullptr;
    }
    return &*text;
}

} // namespace homeostat::cli
