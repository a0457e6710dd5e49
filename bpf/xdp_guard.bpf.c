// SPDX-License-Identifier: GPL-2.0
// Counts as xdp_counter does, then drops what comes from a blocked source, holds each protocol to its limit
// in guard_limits, and samples flows.

#include "bpf/counting.bpf.h"
#include "bpf/parse.bpf.h"

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PROTO_CLASS_COUNT);
    __type(key, __u32);
    __type(value, struct rate_limit);
} guard_limits SEC(".maps");

// The state of each limit: see gcra.bpf.h.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PROTO_CLASS_COUNT);
    __type(key, __u32);
    __type(value, __u64);
} guard_buckets SEC(".maps");

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

// Packets since the last sample.
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} flow_samplers SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 256 * 1024);
} flow_events SEC(".maps");

// REASON_RATE_LIMIT and REASON_BLOCKED are to drop, all others pass.
static __always_inline enum guard_reason decide(enum proto_class proto) {
    const enum guard_reason unlimited = proto == PROTO_UNPARSED ? REASON_NOT_PARSED : REASON_NO_LIMIT;
    __u32 key = proto;
    const struct rate_limit* shared = bpf_map_lookup_elem(&guard_limits, &key);
    if (!shared) return unlimited;
    const struct rate_limit limit = *shared;
    if (limit.pps == 0) return unlimited;
    __u64* bucket = bpf_map_lookup_elem(&guard_buckets, &key);
    if (!bucket) return unlimited;

    switch (gcra_charge(bucket, limit, 1, now_ns())) {
    case GCRA_EXCEEDS:
        return REASON_RATE_LIMIT;
    case GCRA_CONTENDED:
        return REASON_CONTENDED;
    default:
        return REASON_WITHIN_LIMIT;
    }
}

static __always_inline void count_verdict(enum proto_class proto, enum guard_reason reason) {
    __u32 key = proto;
    struct guard_verdict_count* count = bpf_map_lookup_elem(&guard_verdicts, &key);
    if (!count) return;
    switch (reason) {
    case REASON_NO_LIMIT:
    case REASON_WITHIN_LIMIT:
        count->passed++;
        break;
    case REASON_CONTENDED:
        count->passed_contended++;
        break;
    case REASON_NOT_PARSED:
        count->passed_unparsed++;
        break;
    case REASON_RATE_LIMIT:
        count->dropped_rate_limit++;
        break;
    case REASON_BLOCKED:
        count->dropped_blocked++;
        break;
    }
}

static __noinline void send_flow(struct flow_event* event) {
    // Its reader looks every period anyway; waking it for each sample would cost more than the sample.
    const bool sent = bpf_ringbuf_output(&flow_events, event, sizeof(*event), BPF_RB_NO_WAKEUP) == 0;
    count_record(RING_FLOW_EVENTS, sent);
}

static __always_inline void map_address(struct ip_address* mapped, __be32 address) {
    mapped->bytes[10] = 0xff;
    mapped->bytes[11] = 0xff;
    __builtin_memcpy(mapped->bytes + 12, &address, sizeof(address));
}

// 1 where the packet's source is in guard_blocked, else 0.
__noinline int is_blocked(struct xdp_md* ctx, __u64 packet_word) {
    const union packet packet = {.word = packet_word};
    const struct frame frame = frame_of(ctx);
    struct ip_address source = {};
    if (packet.ip_version == 4) {
        const struct iphdr* ip = bytes_at(frame, packet.ip, sizeof(*ip));
        if (!ip) return 0;
        map_address(&source, ip->saddr);
    } else if (packet.ip_version == 6) {
        const struct ipv6hdr* ip = bytes_at(frame, packet.ip, sizeof(*ip));
        if (!ip) return 0;
        __builtin_memcpy(&source, &ip->saddr, sizeof(source));
    } else {
        return 0;
    }
    return bpf_map_lookup_elem(&guard_blocked, &source) ? 1 : 0;
}

static __always_inline bool has_ports(enum proto_class proto) {
    return proto == PROTO_TCP || proto == PROTO_TCP_SYN || proto == PROTO_UDP || proto == PROTO_SCTP;
}

struct transport_ports {
    __be16 source;
    __be16 destination;
};

// The headers were there when the packet was parsed, but the verifier does not know. Returns 0.
__noinline int sample_flow(struct xdp_md* ctx, __u64 packet_word, enum guard_verdict verdict,
                           enum guard_reason reason, __u32 sample_every) {
    const union packet packet = {.word = packet_word};
    const struct frame frame = frame_of(ctx);
    struct flow_event event = {
        .ktime_ns = now_ns(),
        .ifindex = ctx->ingress_ifindex,
        .proto = packet.proto,
        .verdict = verdict,
        .reason = reason,
        .length = bpf_xdp_get_buff_len(ctx),
        .sample_every = sample_every,
    };
    if (packet.ip_version == 4) {
        const struct iphdr* ip = bytes_at(frame, packet.ip, sizeof(*ip));
        if (!ip) return 0;
        map_address(&event.source, ip->saddr);
        map_address(&event.destination, ip->daddr);
    } else if (packet.ip_version == 6) {
        const struct ipv6hdr* ip = bytes_at(frame, packet.ip, sizeof(*ip));
        if (!ip) return 0;
        __builtin_memcpy(&event.source, &ip->saddr, sizeof(event.source));
        __builtin_memcpy(&event.destination, &ip->daddr, sizeof(event.destination));
    }
    const struct transport_ports* ports = bytes_at(frame, packet.transport, sizeof(*ports));
    if (packet.transport != 0 && has_ports(packet.proto) && ports) {
        event.source_port = bpf_ntohs(ports->source);
        event.destination_port = bpf_ntohs(ports->destination);
    }
    send_flow(&event);
    return 0;
}

// How many packets the present one stands for; 0 where it is not to be sampled.
static __always_inline __u32 sample_due(void) {
    __u32 key = 0;
    const struct guard_settings* settings = bpf_map_lookup_elem(&guard_settings, &key);
    if (!settings) return 0;
    const __u32 sample_every = settings->sample_every;
    if (sample_every == 0) return 0;
    __u32* packets = bpf_map_lookup_elem(&flow_samplers, &key);
    if (!packets || ++*packets < sample_every) return 0;
    *packets = 0;
    return sample_every;
}

SEC("xdp.frags")
int xdp_guard(struct xdp_md* ctx) {
    const union packet packet = parse_packet(ctx);
    const enum proto_class proto = packet.proto;
    count_packet(ctx, proto, bpf_xdp_get_buff_len(ctx));

    const enum guard_reason reason = is_blocked(ctx, packet.word) ? REASON_BLOCKED : decide(proto);
    const enum guard_verdict verdict =
        reason == REASON_RATE_LIMIT || reason == REASON_BLOCKED ? VERDICT_DROP : VERDICT_PASS;
    count_verdict(proto, reason);
    const __u32 sample_every = sample_due();
    if (sample_every != 0) sample_flow(ctx, packet.word, verdict, reason, sample_every);
    return verdict == VERDICT_DROP ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL v2";
