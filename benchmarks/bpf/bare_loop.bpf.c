// SPDX-License-Identifier: GPL-2.0
// What our programs are measured against: the same map look-ups and helpers, and nothing else. No parsing,
// no algorithm, keys that are constants.

#include "bpf/counting.bpf.h"

#include <linux/pkt_cls.h>

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PROTO_CLASS_COUNT);
    __type(key, __u32);
    __type(value, struct rate_limit);
} guard_limits SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PROTO_CLASS_COUNT);
    __type(key, __u32);
    __type(value, __u64);
} guard_buckets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PROTO_CLASS_COUNT);
    __type(key, __u32);
    __type(value, __u64);
} guard_twin_buckets SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, GUARD_BLOCKED_MAX);
    __type(key, struct ip_address);
    __type(value, __u8);
} guard_blocked SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, PROTO_CLASS_COUNT);
    __type(key, __u32);
    __type(value, struct guard_verdict_count);
} guard_verdicts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct guard_settings);
} guard_settings SEC(".maps");

// Takes the time and stores it as a meter or bucket stores it.
static __always_inline void stamp(__u64* state) {
    const __u64 seen = gcra_load(state);
    __sync_val_compare_and_swap(state, seen, now_ns());
}

// Whether a clock is to be read for this packet: once in 64, where there is a limit.
static __always_inline bool count(struct xdp_md* ctx) {
    __u32 key = PROTO_UDP;
    struct proto_count* count = bpf_map_lookup_elem(&proto_counters, &key);
    const struct rate_limit* limit = bpf_map_lookup_elem(&proto_limits, &key);
    if (!count || !limit) return false;
    count->packets++;
    count->bytes += bpf_xdp_get_buff_len(ctx);
    return limit->pps != 0 && (count->packets & (METER_BATCH_MAX - 1)) == 0;
}

static __always_inline void meter(void) {
    __u32 key = PROTO_UDP;
    struct proto_meter* meter = bpf_map_lookup_elem(&proto_meters, &key);
    if (meter) stamp(&meter->arrival_ns);
}

static __always_inline bool is_blocked(void) {
    const struct ip_address source = {{10, 77, 0, 2}};
    return bpf_map_lookup_elem(&guard_blocked, &source) != NULL;
}

SEC("xdp.frags")
int empty(struct xdp_md* ctx) {
    (void)ctx;
    return XDP_PASS;
}

SEC("xdp.frags")
int bare_counter(struct xdp_md* ctx) {
    if (count(ctx)) meter();
    return XDP_PASS;
}

SEC("xdp.frags")
int bare_guard(struct xdp_md* ctx) {
    if (count(ctx)) meter();
    if (is_blocked()) return XDP_DROP;
    __u32 key = PROTO_UDP;
    const struct rate_limit* limit = bpf_map_lookup_elem(&guard_limits, &key);
    if (limit && limit->pps != 0) {
        __u64* bucket = bpf_map_lookup_elem(&guard_buckets, &key);
        if (bucket) stamp(bucket);
    }
    struct guard_verdict_count* verdict = bpf_map_lookup_elem(&guard_verdicts, &key);
    if (verdict) verdict->passed++;
    __u32 first = 0;
    const struct guard_settings* settings = bpf_map_lookup_elem(&guard_settings, &first);
    return settings && settings->sample_every != 0 ? XDP_DROP : XDP_PASS;
}

SEC("tc")
int empty_tc(struct __sk_buff* skb) {
    (void)skb;
    return TC_ACT_UNSPEC;
}

SEC("tc")
int bare_twin(struct __sk_buff* skb) {
    (void)skb;
    if (is_blocked()) return TC_ACT_SHOT;
    __u32 key = PROTO_UDP;
    const struct rate_limit* limit = bpf_map_lookup_elem(&guard_limits, &key);
    if (limit && limit->pps != 0) {
        __u64* bucket = bpf_map_lookup_elem(&guard_twin_buckets, &key);
        const __u64* before = bpf_map_lookup_elem(&guard_buckets, &key);
        if (bucket && before && gcra_load(before) != 1) stamp(bucket);
    }
    struct guard_verdict_count* verdict = bpf_map_lookup_elem(&guard_verdicts, &key);
    if (verdict) verdict->passed++;
    return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL v2";
