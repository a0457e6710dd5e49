// Parts of reading a test document, shared by its two halves. Internal to this folder.
#pragma once

#include "engine/policy_test/document.hpp"
#include "policies/toml_reader.hpp"

#include <optional>
#include <string_view>
#include <vector>

namespace homeostat::policy_test {

std::optional<Labels> read_series_labels(TomlTable& table, const SourceText& source, bool with_name);

// "name" or name{label="value"}: names may have dashes.
std::optional<InstancePattern> read_pattern(TomlTable& table, SourceText source, std::size_t from = 0);

std::optional<Expectation> read_expectation(TomlTable& table);
std::optional<Invariant> read_invariant(TomlTable& table);

} // namespace homeostat::policy_test
