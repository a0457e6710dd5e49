// differential: see its --help.
#include "tests/policies/promql/differential.hpp"
#include "tests/policies/promql/prometheus_server.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>

namespace {

constexpr const char* usage = R"(usage: differential [--count N] [--seed S]

Evaluates N random PromQL expressions (1000) with Homeostat and with Debian's prometheus, which has to be
installed, and prints each difference. The same seed (1) gives the same data and expressions.
The last line is "N agreed (N with values), N excluded, N differ". Exit code: 0 where none differ, 1 where one
does, 2 where the usage is wrong or Prometheus cannot be run.
)";

} // namespace

int main(int argc, char** argv) {
    std::size_t count = 1000;
    std::uint64_t seed = 1;
    for (int i = 1; i < argc; i += 2) {
        const std::string_view option = argv[i];
        if (option == "--help") {
            std::fputs(usage, stdout);
            return 0;
        }
        if (i + 1 == argc || (option != "--count" && option != "--seed")) {
            std::fputs(usage, stderr);
            return 2;
        }
        (option == "--count" ? count : seed) = std::strtoull(argv[i + 1], nullptr, 10);
    }
    try {
        const auto report = homeostat::promql::run_differential(count, seed);
        for (const auto& difference : report.differences) std::printf("%s\n", difference.c_str());
        std::printf("%zu agreed (%zu with values), %zu excluded, %zu differ\n", report.agreed,
                    report.of_values, report.excluded, report.differences.size());
        return report.differences.empty() ? 0 : 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "differential: %s\n", error.what());
        return 2;
    }
}
