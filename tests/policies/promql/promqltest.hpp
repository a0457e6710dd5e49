// Runs test files in the language of Prometheus's promqltest: load, clear, eval instant, eval range, with
// expected results, restricted to float samples. Numbers that differ by less than 1e-6 of the sum of their
// magnitudes are equal; NaN equals NaN.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::promql {

struct PromqltestReport {
    std::size_t passed = 0;
    std::size_t failed = 0;
    std::size_t skipped = 0;           // uses what this reader or the engine says that it does not support
    std::vector<std::string> messages; // "file:line: ..." of each failed and skipped case
};

PromqltestReport run_promqltest(const std::string& file_name, std::string_view text);

} // namespace homeostat::promql
