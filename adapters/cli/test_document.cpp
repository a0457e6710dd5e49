#include "adapters/cli/test_document.hpp"

#include <filesystem>

namespace homeostat::cli {

std::optional<policy_test::PolicyTest> load_test_document(FileTexts& texts, const std::string& path,
                                                          Diagnostics& diagnostics) {
    const std::string* text = read_as(texts, path, FileKind::test, diagnostics);
    if (text == nullptr) return std::nullopt;
    auto test = policy_test::read_policy_test(*text, path, diagnostics);
    if (!test) return std::nullopt;
    std::vector<PolicyDocument> policies;
    bool is_complete = true;
    for (const SourceText& named : test->policy_files) {
        const std::filesystem::path file =
            (std::filesystem::path(path).parent_path() / named.text).lexically_normal();
        if (const auto& policy = texts.read(file.string())) {
            policies.push_back(read_policy(*policy, file.string(), diagnostics));
        } else {
            is_complete = false;
            diagnostics.push_back(
                {.file = path, .at = named.position(0), .what = policy.error().what, .expected = {}});
        }
    }
    // Without all of its policies, nothing can be said of the names in it.
    if (is_complete) policy_test::take_policies(*test, std::move(policies), diagnostics);
    return test;
}

} // namespace homeostat::cli
