// The operators on two numbers, each once: for a pair of samples, and for whole columns of them. Internal to
// this folder.
#pragma once

#include "policies/promql/ast.hpp"

#include <cmath>
#include <limits>

namespace homeostat::promql {

// Which NaN an operation on NaN yields is the machine's and the compiler's choice: here there is one.
inline double one_nan(double value) {
    return std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : value;
}

// Calls use(f), f being the operation on two doubles of an operator that is arithmetic or a comparison; the
// loop around f then stands inside `use`, once for each operator.
template <class Use> auto with_operation(BinaryOp op, Use use) {
    using enum BinaryOp;
    switch (op) {
    case sub:
        return use([](double a, double b) { return one_nan(a - b); });
    case mul:
        return use([](double a, double b) { return one_nan(a * b); });
    case div:
        return use([](double a, double b) { return one_nan(a / b); });
    case mod:
        return use([](double a, double b) { return one_nan(std::fmod(a, b)); });
    case pow:
        return use([](double a, double b) { return one_nan(std::pow(a, b)); });
    case atan2:
        return use([](double a, double b) { return one_nan(std::atan2(a, b)); });
    case eq:
        return use([](double a, double b) { return a == b ? 1.0 : 0.0; });
    case ne:
        return use([](double a, double b) { return a != b ? 1.0 : 0.0; });
    case lt:
        return use([](double a, double b) { return a < b ? 1.0 : 0.0; });
    case le:
        return use([](double a, double b) { return a <= b ? 1.0 : 0.0; });
    case gt:
        return use([](double a, double b) { return a > b ? 1.0 : 0.0; });
    case ge:
        return use([](double a, double b) { return a >= b ? 1.0 : 0.0; });
    default:
        return use([](double a, double b) { return one_nan(a + b); });
    }
}

} // namespace homeostat::promql
