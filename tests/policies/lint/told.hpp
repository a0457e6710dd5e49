// What is told of a policy file.
#pragma once

#include "policies/lint/lint.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace homeostat::test {

// packets_total{iface,proto}, verdicts_total{iface,proto,verdict}, over_limit{iface,proto} (of a ring),
// link_up{iface}: iface is eth0 or eth1, proto tcp, udp or a number, verdict pass or drop.
promql::Schema small_schema();

// Throws, with the diagnostics, where the text has a mistake of its own. "version = 1" is its first line.
PolicySet parsed(std::string_view toml);

// "LINE:COLUMN: what; expected", with ": warning: " and the name in brackets where it is one. Sorted by
// place.
std::vector<std::string> labels_told(std::string_view toml, const promql::Schema& sensors = small_schema());
std::vector<std::string> lint_told(std::string_view toml,
                                   std::optional<Duration> period = std::chrono::milliseconds{100});

// One symptom, on line 2 to 4.
std::string symptom(const std::string& raise, const std::string& more = "");
// The same, with an adaptation that waits for it.
std::string used_symptom(const std::string& raise, const std::string& more = "");

} // namespace homeostat::test
