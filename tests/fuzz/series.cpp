#include "tests/fuzz/series.hpp"

#include <array>
#include <limits>

namespace homeostat::fuzz {

namespace {

constexpr std::size_t series_count = 16;

const std::array<Labels, series_count>& all_series() {
    static const std::array<Labels, series_count> all{{
        {{"__name__", "a"}},
        {{"__name__", "a"}, {"x", "1"}},
        {{"__name__", "a"}, {"x", "2"}},
        {{"__name__", "a"}, {"x", "1"}, {"y", "1"}},
        {{"__name__", "a"}, {"x", "2"}, {"y", "1"}},
        {{"__name__", "b"}},
        {{"__name__", "b"}, {"x", "1"}},
        {{"__name__", "b"}, {"x", "2"}},
        {{"__name__", "b"}, {"y", "1"}},
        {{"__name__", "c_bucket"}, {"le", "1"}},
        {{"__name__", "c_bucket"}, {"le", "2.5"}},
        {{"__name__", "c_bucket"}, {"le", "+Inf"}},
        {{"__name__", "c_bucket"}, {"le", "nothing"}},
        {{"__name__", "udp_pps"}, {"iface", "eth0"}},
        {{"__name__", "udp_pps"}, {"iface", "eth1"}, {"src", "10.0.0.1"}},
        {{"__name__", "udp_pps"}, {"iface", "a\"b\\c\n"}, {"src", "\xff"}},
    }};
    return all;
}

double value_of(unsigned char byte) {
    using limits = std::numeric_limits<double>;
    constexpr std::array<double, 16> special{limits::quiet_NaN(),
                                             limits::infinity(),
                                             -limits::infinity(),
                                             stale_marker,
                                             limits::max(),
                                             -limits::max(),
                                             limits::denorm_min(),
                                             limits::min(),
                                             -0.0,
                                             0.1,
                                             9007199254740993.0,
                                             9.3e18,
                                             -9.3e18,
                                             1e300,
                                             1e15,
                                             -1};
    if (byte < special.size()) return special[byte];
    return byte < 200 ? byte - 16.0 : (byte - 200.0) * 50'000.0;
}

// Mostly some milliseconds or a second; now and then past the lookback.
Duration passed(unsigned char steps) {
    constexpr std::array<std::int64_t, 16> ms{
        0, 0, 1, 1, 10, 100, 250, 500, 1'000, 1'000, 2'000, 15'000, 60'000, 90'000, 301'000, 86'400'000};
    return Duration{ms[steps]};
}

} // namespace

SeriesStore store_of_series() {
    SeriesStore store({.series_max = 1'000, .samples_per_series_max = 1'000});
    store.set_retention([](const Labels&) { return Duration(60'000); });
    return store;
}

Instant append_samples(SeriesStore& store, Instant from, std::string_view bytes) {
    Instant now = from;
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
        const auto choice = static_cast<unsigned char>(bytes[i]);
        now += passed(choice / series_count);
        const auto id = store.define(all_series()[choice % series_count]);
        if (id) store.append(*id, now, value_of(static_cast<unsigned char>(bytes[i + 1])));
    }
    return now;
}

} // namespace homeostat::fuzz
