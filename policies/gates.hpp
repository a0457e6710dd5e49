// The gates that stand between an adaptation and the datapath. Each is judged by a few facts alone, which its
// verdict carries: judging them again gives the same verdict.
#pragma once

#include "knowledge/receipt.hpp"

#include <span>
#include <string_view>

namespace homeostat {

// What an overlay must pass to be laid, in this order; the first closed one is why it is not.
//   enforcement         obstacle: "off"
//   target              obstacle: an absent label, or an interface that is not managed
//   requires            obstacle: a required adaptation that is not active
//   inhibits            obstacle: an active adaptation that keeps this one away
//   backoff             since, span: suspended by `count` failed verifications in a row
//   cooldown            since, span: after the removal
//   damp                since, span: suppressed for flapping
//   max_active          count, limit: instances that are active
//   budget              count, limit, since, span: applications, and the one that must leave the window
//   verification        obstacle: an overlay of higher priority that is being verified on a target
//   in_flight           obstacle: a transaction on a target
//   changes_per_minute  count, limit, since, span: applications of all adaptations
std::span<const std::string_view> gates_of_applying();

// What it must pass to be taken away: min_hold (since, span), verification, in_flight.
std::span<const std::string_view> gates_of_removing();

// Others tell how something ended: reload (obstacle: why it was taken away) and verify (obstacle: why the
// expectation is not met). The name must be one of all these.
GateVerdict judge(std::string_view gate, GateFacts facts);

// The first closed gate; nullptr where all are open.
const GateVerdict* first_closed(std::span<const GateVerdict> gates);

// Whether two lists say the same to their reader. Facts that change with time alone do not count.
bool same_verdicts(std::span<const GateVerdict> a, std::span<const GateVerdict> b);

} // namespace homeostat
