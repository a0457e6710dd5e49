// Regular expressions as Prometheus reads them, with a bound on what they may cost. Internal to this folder.
#pragma once

#include <re2/re2.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>

namespace homeostat::promql {

// RE2 takes a quarter of two thirds of it for the program: some 10,000 instructions.
inline constexpr int regex_bytes_max = 1 << 20;

inline std::shared_ptr<const RE2> compile_regex(const std::string& pattern) {
    RE2::Options options;
    options.set_log_errors(false);
    options.set_dot_nl(true); // as Prometheus: a dot is any character
    options.set_max_mem(regex_bytes_max);
    return std::make_shared<const RE2>(pattern, options);
}

// Instructions of its program: what compiling it and each step of matching cost at most.
inline std::size_t regex_size(const RE2& regex) {
    return static_cast<std::size_t>(std::max(regex.ProgramSize(), 0));
}

} // namespace homeostat::promql
