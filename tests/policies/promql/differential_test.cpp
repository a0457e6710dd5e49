#include "policies/promql/functions.hpp"
#include "tests/policies/promql/differential.hpp"
#include "tests/policies/promql/prometheus_server.hpp"
#include "tests/policies/promql/random_expression.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <set>

namespace homeostat::promql {
namespace {

TEST(Differential, RandomExpressionsGiveWhatPrometheusGives) {
    if (!PrometheusServer::is_installed()) GTEST_SKIP() << "prometheus and promtool are not installed";
    const DifferentialReport report = run_differential(1000, 1);
    for (const std::string& difference : report.differences) ADD_FAILURE() << difference;
    EXPECT_GT(report.of_values, 400U);
}

TEST(Differential, AsksForEveryFunctionThatPrometheusHasToo) {
    std::mt19937_64 random(1);
    RandomExpression expressions(random, 1'700'000'000);
    const std::vector<std::string> names = function_names();
    std::set<std::string> missing(names.begin(), names.end());
    for (int i = 0; i < 20'000; ++i) {
        const std::string made = expressions.make();
        std::erase_if(missing, [&](const std::string& name) {
            const std::size_t at = made.find(name + "(");
            return at != std::string::npos &&
                   (at == 0 ||
                    (std::isalpha(static_cast<unsigned char>(made[at - 1])) == 0 && made[at - 1] != '_'));
        });
    }
    // Ours, and one that only newer ones have for classic histograms.
    EXPECT_EQ(missing, (std::set<std::string>{"ewma", "histogram_fraction", "zscore"}));
}

} // namespace
} // namespace homeostat::promql
