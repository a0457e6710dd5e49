// promqltest FILE...: runs test files of Prometheus's promqltest language. Exit status 1 where a case fails.
#include "tests/policies/promql/promqltest.hpp"

#include <cstdio>
#include <fstream>
#include <iterator>

int main(int argc, char** argv) {
    homeostat::promql::PromqltestReport total;
    for (int i = 1; i < argc; ++i) {
        std::ifstream file(argv[i]);
        if (!file) {
            std::fprintf(stderr, "promqltest: cannot read %s\n", argv[i]);
            return 2;
        }
        const std::string text(std::istreambuf_iterator<char>(file), {});
        const auto report = homeostat::promql::run_promqltest(argv[i], text);
        for (const std::string& message : report.messages) std::printf("%s\n", message.c_str());
        total.passed += report.passed;
        total.failed += report.failed;
        total.skipped += report.skipped;
    }
    std::printf("%zu passed, %zu failed, %zu skipped\n", total.passed, total.failed, total.skipped);
    return total.failed == 0 ? 0 : 1;
}
