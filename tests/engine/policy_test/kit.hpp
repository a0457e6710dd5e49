// Test documents from texts, over one policy.
#pragma once

#include "engine/policy_test/run.hpp"

#include <stdexcept>
#include <string>
#include <string_view>

namespace homeostat::policy_test {

// A flood of more than 100 packets a second raises; it is guarded for at least ten seconds.
inline constexpr std::string_view flood_policy = R"(version = 1
[[symptom]]
name  = "flood"
raise = 'pps > 100'
clear = 'pps < 50'
for   = "1s"
keep  = "2s"
[[adaptation]]
name     = "guard"
when     = "flood"
min_hold = "5s"
cooldown = "4s"
[adaptation.set.interface."{{iface}}"]
xdp.program = "guard"
maps.limits.udp = { pps = 10 }
)";

inline std::string texts_of(const Diagnostics& diagnostics) {
    std::string text;
    for (const Diagnostic& diagnostic : diagnostics) text += to_text(diagnostic) + "\n";
    return text;
}

inline std::string with_head(std::string_view cases) {
    return "version = 1\npolicies = [\"flood.toml\"]\n[[interface]]\nname = \"eth0\"\n"
           "xdp.program = \"counter\"\n" +
           std::string(cases);
}

// Throws, with the diagnostics, where either text has a mistake.
inline PolicyTest test_of(std::string_view cases, std::string_view policy = flood_policy) {
    Diagnostics diagnostics;
    auto test = read_policy_test(with_head(cases), "flood.test.toml", diagnostics);
    std::vector<PolicyDocument> policies{read_policy(policy, "flood.toml", diagnostics)};
    if (test) take_policies(*test, std::move(policies), diagnostics);
    if (!test || has_errors(diagnostics)) throw std::invalid_argument(texts_of(diagnostics));
    return std::move(*test);
}

} // namespace homeostat::policy_test
