// Test documents from disk, with the policies that they are about.
#pragma once

#include "adapters/cli/file_texts.hpp"
#include "engine/policy_test/document.hpp"

#include <optional>
#include <string>

namespace homeostat::cli {

// All that is wrong in the document, in its policies, and in how they fit together is told. None where the
// document cannot be read; use it only where nothing is wrong.
std::optional<policy_test::PolicyTest> load_test_document(FileTexts& texts, const std::string& path,
                                                          Diagnostics& diagnostics);

} // namespace homeostat::cli
