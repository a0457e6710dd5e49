// Series whose samples the fuzzer chooses.
#pragma once

#include "knowledge/series_store.hpp"

#include <string_view>

namespace homeostat::fuzz {

inline constexpr Instant first_instant = at_ms(1'700'000'000'000);

// Appends a sample for each pair of bytes: the first says which series and how much time has passed, the
// second its value. Returns the time of the last one.
Instant append_samples(SeriesStore& store, Instant from, std::string_view bytes);

// A store for the series of append_samples, which are a, b, c_bucket and udp_pps with labels.
SeriesStore store_of_series();

} // namespace homeostat::fuzz
