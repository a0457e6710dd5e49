// SPDX-License-Identifier: GPL-2.0
// What each of our packet programs does before its verdict: count the packet by protocol, and tell at once
// when a protocol goes beyond its limit. The maps here have the same name and definition in each program, so
// that programs which follow each other on an interface share them, and a replacement resets nothing.
#pragma once

#include "bpf/clock.bpf.h"
#include "bpf/gcra.bpf.h"
#include "bpf/records.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#define METER_BATCH_MAX 64 // packets, a power of two
#define REPORT_PERIOD_NS 1000000000ULL

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, PROTO_CLASS_COUNT);
    __type(key, __u32);
    __type(value, struct proto_count);
} proto_counters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PROTO_CLASS_COUNT);
    __type(key, __u32);
    __type(value, struct rate_limit);
} proto_limits SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PROTO_CLASS_COUNT);
    __type(key, __u32);
    __type(value, struct proto_meter);
} proto_meters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, RING_COUNT);
    __type(key, __u32);
    __type(value, struct ring_count);
} ring_counts SEC(".maps");

// Small and apart from other events, so that those cannot crowd it out when they matter most.
struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 16 * 1024);
} urgent_events SEC(".maps");

// Functions that send records are not inlined: they are off the path of most packets, and their
// parameters are what puts the records' types into the BTF.

static __noinline void count_record(enum ring_name ring, bool sent) {
    __u32 key = ring;
    struct ring_count* count = bpf_map_lookup_elem(&ring_counts, &key);
    if (!count) return;
    count->produced++;
    if (!sent) count->lost++;
}

static __noinline void send_over_limit(struct over_limit_event* event) {
    const bool sent = bpf_ringbuf_output(&urgent_events, event, sizeof(*event), BPF_RB_FORCE_WAKEUP) == 0;
    count_record(RING_URGENT_EVENTS, sent);
}

// Charges `packets` to the protocol's meter, and reports where they are beyond the limit. Packets that
// are not charged because other CPUs charge at the same time are no loss: those see the excess. Returns 0.
__noinline int meter_packets(struct xdp_md* ctx, enum proto_class proto, __u64 pps, __u64 burst,
                             __u64 packets) {
    __u32 key = proto;
    struct proto_meter* meter = bpf_map_lookup_elem(&proto_meters, &key);
    if (!meter) return 0;
    const struct rate_limit limit = {.pps = pps, .burst = burst};
    const __u64 now = now_ns();
    if (gcra_charge(&meter->arrival_ns, limit, packets, now) != GCRA_EXCEEDS) return 0;

    __sync_fetch_and_add(&meter->excess_packets, packets);
    const __u64 reported = gcra_load(&meter->reported_ns);
    // Signed, since another CPU's clock may be ahead of ours.
    if (reported != 0 && (__s64)(now - reported) < (__s64)REPORT_PERIOD_NS) return 0;
    if (__sync_val_compare_and_swap(&meter->reported_ns, reported, now) != reported) return 0;

    struct over_limit_event event = {
        .ktime_ns = now,
        .ifindex = ctx->ingress_ifindex,
        .proto = proto,
        .packets = __sync_lock_test_and_set(&meter->excess_packets, 0),
        .over = 1,
    };
    send_over_limit(&event);
    return 0;
}

// How many packets a CPU collects before it charges them to the meter, less one. Reading the clock costs more
// than all the rest of counting, so a batch shares it. A batch is at most a sixteenth of the burst, so that a
// small limit stays exact, and a power of two.
static __always_inline __u64 meter_batch_mask(__u64 burst) {
    __u64 batch = burst / 16;
    if (batch >= METER_BATCH_MAX) return METER_BATCH_MAX - 1;
    batch |= batch >> 1;
    batch |= batch >> 2;
    batch |= batch >> 4;
    return batch >> 1;
}

// Counts a packet of `bytes`. A protocol without a limit costs no clock. Where a limit changes, one batch may
// be charged with packets from before, on each CPU.
static __always_inline void count_packet(struct xdp_md* ctx, enum proto_class proto, __u64 bytes) {
    __u32 key = proto;
    struct proto_count* count = bpf_map_lookup_elem(&proto_counters, &key);
    if (!count) return;
    count->packets++;
    count->bytes += bytes;

    const struct rate_limit* limit = bpf_map_lookup_elem(&proto_limits, &key);
    if (!limit || limit->pps == 0) return;
    const __u64 mask = meter_batch_mask(limit->burst);
    if ((count->packets & mask) == 0) meter_packets(ctx, proto, limit->pps, limit->burst, mask + 1);
}
