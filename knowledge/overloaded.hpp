// One visitor of a variant from several lambdas: std::visit refuses to compile where a case is missing.
#pragma once

namespace homeostat {

template <class... F> struct Overloaded : F... {
    using F::operator()...;
};

} // namespace homeostat
