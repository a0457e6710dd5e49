// promqltest FILE...: runs test files of Prometheus's promqltest language.
#include "tests/policies/promql/promqltest.hpp"

#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>

namespace {

constexpr const char* usage = R"(usage: promqltest FILE...

Runs test files in the language of Prometheus's promqltest, on Homeostat's PromQL.
  - Numbers that differ by less than 1e-6 of the sum of their magnitudes are equal; NaN equals NaN.
  - 'expect fail msg:' passes where the error contains the text.
  - Annotations ('expect warn', 'no_warn', 'info', 'no_info', 'eval_warn', 'eval_info') are not judged:
    Homeostat's PromQL makes none. The results of such a case are.
  - A case that needs native histograms or an experimental feature is skipped, with the reason. So is one that
     reads a series which was loaded with native histograms or with start timestamps.
  - Prometheus runs its own files with experimental features. A case with another result is skipped where one
    of them can be the reason: it reads the labels __type__ or __unit__, or names that were dropped before.
  - A line that is not understood is a failure.
The last line is "N passed, N failed, N skipped". Exit code: 0 where none failed, 1 where one did, 2 where a
file cannot be read or the usage is wrong.
)";

} // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::string_view(argv[1]) == "--help") {
        std::fputs(usage, stdout);
        return 0;
    }
    if (argc < 2 || argv[1][0] == '-') {
        std::fputs(usage, stderr);
        return 2;
    }
    homeostat::promql::PromqltestReport total;
    for (int i = 1; i < argc; ++i) {
        std::ifstream file(argv[i]);
        std::ostringstream text;
        if (file.peek() != std::ifstream::traits_type::eof()) text << file.rdbuf();
        if (!file.is_open() || file.bad() || text.bad()) {
            std::fprintf(stderr, "promqltest: cannot read %s\n", argv[i]);
            return 2;
        }
        const auto report = homeostat::promql::run_promqltest(argv[i], text.str());
        for (const std::string& message : report.messages) std::printf("%s\n", message.c_str());
        total.passed += report.passed;
        total.failed += report.failed;
        total.skipped += report.skipped;
    }
    std::printf("%zu passed, %zu failed, %zu skipped\n", total.passed, total.failed, total.skipped);
    return total.failed == 0 ? 0 : 1;
}
