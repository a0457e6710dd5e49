// SPDX-License-Identifier: GPL-2.0
// The layout of what kernel and user space share: map values and ring-buffer records. For C (the BPF
// programs) and C++. Numbers are native-endian; an unused field is zero. The programs carry these types
// in their BTF, with the names written here, so that a reader needs no header.
#pragma once

#include <linux/types.h>

// One class for each frame. A class keeps its number: maps that outlive a program are indexed by it.
enum proto_class {
    PROTO_OTHER_IP, // IPv4 or IPv6 with a protocol that has no class of its own
    PROTO_TCP,      // but for what is PROTO_TCP_SYN
    PROTO_UDP,
    PROTO_ICMP,
    PROTO_ICMPV6,
    PROTO_SCTP,
    PROTO_GRE,
    PROTO_ESP,
    PROTO_ARP,
    PROTO_OTHER_L2, // neither IP nor ARP
    PROTO_UNPARSED, // truncated, malformed, or nested deeper than the parser looks
    PROTO_TCP_SYN,  // TCP segments that ask for a connection: SYN, without ACK, RST and FIN
};
#define PROTO_CLASS_COUNT 12

// proto_counters, per CPU by proto_class. Frames and their whole length, VLAN tags included.
struct proto_count {
    __u64 packets;
    __u64 bytes;
};

// proto_limits and guard_limits, by proto_class. `pps` packets a second, and `burst` packets at once beyond
// that; pps 0: no limit. A burst of 0 counts as 1.
struct rate_limit {
    __u64 pps;
    __u64 burst;
};

// proto_meters, by proto_class: how far each protocol is towards its limit. Written by the programs only.
struct proto_meter {
    __u64 arrival_ns;     // see gcra.bpf.h
    __u64 reported_ns;    // when the last over_limit_event was sent; 0: never
    __u64 excess_packets; // beyond the limit since then
};

// The rings, as indices of ring_counts.
enum ring_name {
    RING_URGENT_EVENTS,
    RING_FLOW_EVENTS,
};
#define RING_COUNT 2

// ring_counts, per CPU by ring_name. When the programs rest, a reader that has drained the ring has got
// produced - lost records. `lost` never goes back, so a loss cannot be missed between two looks.
struct ring_count {
    __u64 produced; // records that there were to send
    __u64 lost;     // of these, found the ring full
};

// In urgent_events: a protocol is beyond its limit in proto_limits. At most one for each protocol and second,
// while that lasts.
struct over_limit_event {
    __u64 ktime_ns; // CLOCK_MONOTONIC
    __u32 ifindex;
    enum proto_class proto;
    __u64 packets; // beyond the limit since the record before
    __u32 over;    // always 1
    __u32 reserved;
};

// An IP address in network order; IPv4's are mapped (::ffff:a.b.c.d). The name says to a reader that it is
// one.
struct ip_address {
    __u8 bytes[16];
};

enum guard_verdict {
    VERDICT_PASS,
    VERDICT_DROP,
};

enum guard_reason {
    REASON_NO_LIMIT,
    REASON_WITHIN_LIMIT,
    REASON_CONTENDED,  // too many CPUs charged the limit at once: passed without being charged
    REASON_NOT_PARSED, // and nobody limits such packets
    REASON_RATE_LIMIT,
    REASON_BLOCKED, // its source is in guard_blocked
};

// guard_verdicts and its twin's guard_twin_verdicts, per CPU by proto_class: packets by verdict and reason.
// The sum is what the guard saw, or its twin.
struct guard_verdict_count {
    __u64 passed; // no limit, or within it
    __u64 passed_contended;
    __u64 passed_unparsed;
    __u64 dropped_rate_limit;
    __u64 dropped_blocked;
};

// guard_blocked, by source address: packets from there are dropped, whatever the limits say. The value is not
// looked at.
#define GUARD_BLOCKED_MAX 16384

// guard_settings, at index 0.
struct guard_settings {
    __u32 sample_every; // a flow_event for each so many packets on a CPU; 0: none
};

// In flow_events: one packet of sample_every. Addresses are zero where the packet is not IP. Ports are zero
// where it has none to see: another protocol, a later fragment, truncated.
struct flow_event {
    __u64 ktime_ns; // CLOCK_MONOTONIC
    __u32 ifindex;
    enum proto_class proto;
    enum guard_verdict verdict;
    enum guard_reason reason;
    struct ip_address source;
    struct ip_address destination;
    __u16 source_port;
    __u16 destination_port;
    __u32 length;       // of the frame
    __u32 sample_every; // how many packets this one stands for
    __u32 reserved;
};

#ifndef __cplusplus
#define static_assert _Static_assert
#endif
#define ASSERT_SIZE(type, bytes) static_assert(sizeof(type) == (bytes), #type " has changed its size")
#define ASSERT_OFFSET(type, field, bytes)                                                                    \
    static_assert(__builtin_offsetof(type, field) == (bytes), #type "::" #field " has moved")

static_assert(PROTO_TCP_SYN + 1 == PROTO_CLASS_COUNT, "PROTO_CLASS_COUNT counts proto_class");
static_assert(RING_FLOW_EVENTS + 1 == RING_COUNT, "RING_COUNT counts ring_name");

ASSERT_SIZE(enum proto_class, 4);
ASSERT_SIZE(enum guard_verdict, 4);
ASSERT_SIZE(enum guard_reason, 4);

ASSERT_SIZE(struct proto_count, 16);
ASSERT_OFFSET(struct proto_count, bytes, 8);

ASSERT_SIZE(struct rate_limit, 16);
ASSERT_OFFSET(struct rate_limit, burst, 8);

ASSERT_SIZE(struct proto_meter, 24);
ASSERT_OFFSET(struct proto_meter, reported_ns, 8);
ASSERT_OFFSET(struct proto_meter, excess_packets, 16);

ASSERT_SIZE(struct ring_count, 16);
ASSERT_OFFSET(struct ring_count, lost, 8);

ASSERT_SIZE(struct over_limit_event, 32);
ASSERT_OFFSET(struct over_limit_event, ifindex, 8);
ASSERT_OFFSET(struct over_limit_event, proto, 12);
ASSERT_OFFSET(struct over_limit_event, packets, 16);
ASSERT_OFFSET(struct over_limit_event, over, 24);

ASSERT_SIZE(struct guard_verdict_count, 40);
ASSERT_OFFSET(struct guard_verdict_count, passed_contended, 8);
ASSERT_OFFSET(struct guard_verdict_count, passed_unparsed, 16);
ASSERT_OFFSET(struct guard_verdict_count, dropped_rate_limit, 24);
ASSERT_OFFSET(struct guard_verdict_count, dropped_blocked, 32);

ASSERT_SIZE(struct ip_address, 16);

ASSERT_SIZE(struct guard_settings, 4);

ASSERT_SIZE(struct flow_event, 72);
ASSERT_OFFSET(struct flow_event, ifindex, 8);
ASSERT_OFFSET(struct flow_event, proto, 12);
ASSERT_OFFSET(struct flow_event, verdict, 16);
ASSERT_OFFSET(struct flow_event, reason, 20);
ASSERT_OFFSET(struct flow_event, source, 24);
ASSERT_OFFSET(struct flow_event, destination, 40);
ASSERT_OFFSET(struct flow_event, source_port, 56);
ASSERT_OFFSET(struct flow_event, destination_port, 58);
ASSERT_OFFSET(struct flow_event, length, 60);
ASSERT_OFFSET(struct flow_event, sample_every, 64);

#undef ASSERT_OFFSET
#undef ASSERT_SIZE
#ifndef __cplusplus
#undef static_assert
#endif
