// The most changes per hour that a set of policies can cause, whatever its inputs do: from what its author
// wrote alone. Counts applications in any hour, each with its removal. Transactions that the kernel refused
// and that are tried again, and what a reload or somebody else changes, are beside it.
#pragma once

#include "policies/lint/schema.hpp"

#include <cstdint>

namespace homeostat {

// The shortest time from one application of an instance to its next one, as its own gates allow it.
struct ShortestCycle {
    Duration time{};
    std::string because; // "min_hold 5s, cooldown 10s"
};

// `tick`: the shortest time between two ticks.
ShortestCycle shortest_cycle(const AdaptationRule& rule, const PolicySet& policies, Duration tick);

struct FlapLimits {
    Duration tick = std::chrono::milliseconds{100}; // ticks come no more often, on average
    std::size_t instances_per_adaptation_max = 1'000;
    std::size_t changes_per_minute_max = 60;
    std::vector<std::string> interfaces; // that are managed; none: not known
};

// What one adaptation adds, and by which of its limits it is no more.
struct FlapShare {
    std::string adaptation;
    std::uint64_t changes = 0;
    std::string because; // "budget 6/1h, each applied and removed"
};

struct FlapBound {
    std::string target;        // an interface, or where they are not known, what the policies write for it
    std::string written;       // what the policies write: "{{iface}}", "eth0 and {{iface}}"
    std::uint64_t changes = 0; // per hour
    std::string because;       // of the whole, where it is less than its shares: "changes_per_minute_max 60"
    std::vector<FlapShare> shares; // by name
};

// By target. Adaptations that are not enforced change nothing and are left out.
std::vector<FlapBound> flap_bounds(const PolicySet& policies, const promql::Schema& schema,
                                   const FlapLimits& limits);

// "eth0 ({{iface}}): at most 12 changes an hour (guard: budget 6/1h, each applied and removed)"
std::string to_text(const FlapBound& bound);

// A warning for each adaptation that may change a target more than 360 times an hour, and for each whose
// budget limits nothing. `bounds` are those of the same arguments.
void warn_of_flapping(const PolicySet& policies, const promql::Schema& schema, const FlapLimits& limits,
                      const std::vector<FlapBound>& bounds, Diagnostics& diagnostics);

} // namespace homeostat
