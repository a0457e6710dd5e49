// Random expressions, evaluated by Homeostat and by a real Prometheus, have to give the same.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace homeostat::promql {

struct DifferentialReport {
    std::size_t agreed = 0;
    std::size_t of_values = 0;            // of the agreed, those that gave at least one value
    std::size_t excluded = 0;             // differences that are known, see the table
    std::vector<std::string> differences; // the expression, its time, what both say
};

// Reproducible: the same seed gives the same data and expressions. Throws where Prometheus cannot be run.
DifferentialReport run_differential(std::size_t count, std::uint64_t seed);

} // namespace homeostat::promql
