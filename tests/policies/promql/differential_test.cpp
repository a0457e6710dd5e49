#include "tests/policies/promql/differential.hpp"
#include "tests/policies/promql/prometheus_server.hpp"

#include <gtest/gtest.h>

namespace homeostat::promql {
namespace {

TEST(Differential, RandomExpressionsGiveWhatPrometheusGives) {
    if (!PrometheusServer::is_installed()) GTEST_SKIP() << "prometheus and promtool are not installed";
    const DifferentialReport report = run_differential(1000, 1);
    for (const std::string& difference : report.differences) ADD_FAILURE() << difference;
    EXPECT_GT(report.of_values, 400U);
}

} // namespace
} // namespace homeostat::promql
