// SPDX-License-Identifier: GPL-2.0
// Counts as xdp_counter does, then drops what comes from a blocked source, holds each protocol to its limit
// in guard_limits, and samples flows.
//
// tc_guard is its twin: the same verdicts at TC ingress, while XDP is between two modes and does not look.
// There is a time before and after in which both do. So the twin counts nothing that XDP counts, and charges
// limits of its own. One that rests takes over where XDP's is, or a flood that has used up its burst would
// get a second one. What XDP has charged already is charged to it again, and later, not as evenly: so it has
// a somewhat greater burst, or it would hold back what XDP has passed.
//
// TC sees super-packets, which GRO made of several (so does XDP in skb mode, to which each is one). The twin
// counts the packets in it, and judges them as one: where not all are within the limit, all are dropped and
// none is charged. So never more passes than would one by one; and of a super-packet of more packets than the
// burst, none.

#include "bpf/counting.bpf.h"
#include "bpf/parse.bpf.h"

#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

// How much of a frame the twin looks at: as much as there is in the first buffer of XDP's, of a page.
#define TC_HEADERS_MAX 3520

// How much greater the twin's bursts are: what XDP may have passed that is still on its way, of one CPU. It
// is what one turn of polling a device brings.
#define PACKETS_ON_THEIR_WAY_MAX 64

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
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, PROTO_CLASS_COUNT);
    __type(key, __u32);
    __type(value, struct guard_verdict_count);
} guard_twin_verdicts SEC(".maps");

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

// What the programs do not share.
struct guard_maps {
    void* buckets;
    void* buckets_before; // whose limits these take over; NULL: none
    void* verdicts;
};

static __always_inline struct guard_maps xdp_maps(void) {
    return (struct guard_maps){.buckets = &guard_buckets, .verdicts = &guard_verdicts};
}

static __always_inline struct guard_maps tc_maps(void) {
    return (struct guard_maps){
        .buckets = &guard_twin_buckets, .buckets_before = &guard_buckets, .verdicts = &guard_twin_verdicts};
}

static __always_inline enum guard_reason decide(struct guard_maps maps, enum proto_class proto,
                                                __u64 packets) {
    const enum guard_reason unlimited = proto == PROTO_UNPARSED ? REASON_NOT_PARSED : REASON_NO_LIMIT;
    __u32 key = proto;
    const struct rate_limit* shared = bpf_map_lookup_elem(&guard_limits, &key);
    if (!shared) return unlimited;
    struct rate_limit limit = *shared;
    if (limit.pps == 0) return unlimited;
    __u64* bucket = bpf_map_lookup_elem(maps.buckets, &key);
    if (!bucket) return unlimited;
    const __u64 now = now_ns();
    if (maps.buckets_before) {
        const __u64* before = bpf_map_lookup_elem(maps.buckets_before, &key);
        if (before) gcra_take_over(bucket, before, now);
        if (limit.burst < GCRA_BURST_MAX) limit.burst += PACKETS_ON_THEIR_WAY_MAX;
    }

    switch (gcra_charge(bucket, limit, packets, now)) {
    case GCRA_EXCEEDS:
        return REASON_RATE_LIMIT;
    case GCRA_CONTENDED:
        return REASON_CONTENDED;
    default:
        return REASON_WITHIN_LIMIT;
    }
}

static __always_inline enum guard_verdict verdict_of(enum guard_reason reason) {
    return reason == REASON_RATE_LIMIT || reason == REASON_BLOCKED ? VERDICT_DROP : VERDICT_PASS;
}

static __always_inline void count_verdict(struct guard_maps maps, enum proto_class proto,
                                          enum guard_reason reason, __u64 packets) {
    __u32 key = proto;
    struct guard_verdict_count* count = bpf_map_lookup_elem(maps.verdicts, &key);
    if (!count) return;
    switch (reason) {
    case REASON_NO_LIMIT:
    case REASON_WITHIN_LIMIT:
        count->passed += packets;
        break;
    case REASON_CONTENDED:
        count->passed_contended += packets;
        break;
    case REASON_NOT_PARSED:
        count->passed_unparsed += packets;
        break;
    case REASON_RATE_LIMIT:
        count->dropped_rate_limit += packets;
        break;
    case REASON_BLOCKED:
        count->dropped_blocked += packets;
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

static __always_inline int is_blocked(struct frame frame, union packet packet) {
    struct ip_address source = {};
    if (packet.ip_version == 4) {
        const struct iphdr* ip = header_at(frame, packet.ip, sizeof(*ip));
        if (!ip) return 0;
        map_address(&source, ip->saddr);
    } else if (packet.ip_version == 6) {
        const struct ipv6hdr* ip = header_at(frame, packet.ip, sizeof(*ip));
        if (!ip) return 0;
        __builtin_memcpy(&source, &ip->saddr, sizeof(source));
    } else {
        return 0;
    }
    return bpf_map_lookup_elem(&guard_blocked, &source) ? 1 : 0;
}

// 1 where the packet's source is in guard_blocked, else 0.
__noinline int xdp_is_blocked(struct xdp_md* ctx, __u64 packet_word) {
    return is_blocked(xdp_frame(ctx), (union packet){.word = packet_word});
}

__noinline int tc_is_blocked(struct __sk_buff* skb, __u64 packet_word) {
    return is_blocked(tc_frame(skb), (union packet){.word = packet_word});
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
    const struct frame frame = xdp_frame(ctx);
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
        const struct iphdr* ip = header_at(frame, packet.ip, sizeof(*ip));
        if (!ip) return 0;
        map_address(&event.source, ip->saddr);
        map_address(&event.destination, ip->daddr);
    } else if (packet.ip_version == 6) {
        const struct ipv6hdr* ip = header_at(frame, packet.ip, sizeof(*ip));
        if (!ip) return 0;
        __builtin_memcpy(&event.source, &ip->saddr, sizeof(event.source));
        __builtin_memcpy(&event.destination, &ip->daddr, sizeof(event.destination));
    }
    const struct transport_ports* ports = header_at(frame, packet.transport, sizeof(*ports));
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
    const union packet packet = parse_packet(xdp_frame(ctx));
    const enum proto_class proto = packet.proto;
    count_packet(ctx, proto, bpf_xdp_get_buff_len(ctx));

    const enum guard_reason reason =
        xdp_is_blocked(ctx, packet.word) ? REASON_BLOCKED : decide(xdp_maps(), proto, 1);
    const enum guard_verdict verdict = verdict_of(reason);
    count_verdict(xdp_maps(), proto, reason, 1);
    const __u32 sample_every = sample_due();
    if (sample_every != 0) sample_flow(ctx, packet.word, verdict, reason, sample_every);
    return verdict == VERDICT_DROP ? XDP_DROP : XDP_PASS;
}

// Returns the packet's word.
__noinline __u64 tc_parse(struct __sk_buff* skb) { return parse_packet(tc_frame(skb)).word; }

// Whether more could be told with the first `bytes` of the frame at hand. An skb may keep them elsewhere,
// though they were in one piece for XDP.
static __always_inline bool is_cut(struct frame frame, __u32 bytes, union packet packet) {
    if (bytes_at(frame, bytes, 0)) return false;
    if (packet.proto == PROTO_TCP)
        return packet.transport != 0 && !header_at(frame, packet.transport, TCP_FLAGS_OFFSET + 1);
    return packet.proto == PROTO_UNPARSED;
}

static __always_inline union packet parse_skb(struct __sk_buff* skb) {
    union packet packet = {.word = tc_parse(skb)};
    const __u32 bytes = skb->len < TC_HEADERS_MAX ? skb->len : TC_HEADERS_MAX;
    if (is_cut(tc_frame(skb), bytes, packet) && bpf_skb_pull_data(skb, bytes) == 0)
        packet.word = tc_parse(skb);
    return packet;
}

// How many packets of gso_size the super-packet is, where that was not told: a virtual machine's. Inside a
// tunnel it may be one less.
__noinline int tc_count_segments(struct __sk_buff* skb, __u64 packet_word) {
    const union packet packet = {.word = packet_word};
    __u32 headers = packet.transport;
    if (packet.proto == PROTO_TCP || packet.proto == PROTO_TCP_SYN) {
        const struct tcphdr* tcp = header_at(tc_frame(skb), packet.transport, sizeof(*tcp));
        headers += tcp ? tcp->doff * 4 : sizeof(*tcp);
    } else if (packet.proto == PROTO_UDP) {
        headers += sizeof(struct udphdr);
    }
    const __u32 size = skb->gso_size;
    const __u32 length = skb->len;
    if (size == 0 || length <= headers) return 1;
    return (length - headers + size - 1) / size;
}

static __always_inline __u32 packets_in(struct __sk_buff* skb, union packet packet) {
    const __u32 segments = skb->gso_segs;
    if (segments != 0) return segments;
    return skb->gso_size == 0 ? 1 : tc_count_segments(skb, packet.word);
}

SEC("tc")
int tc_guard(struct __sk_buff* skb) {
    const union packet packet = parse_skb(skb);
    const enum proto_class proto = packet.proto;
    const __u32 packets = packets_in(skb, packet);
    const enum guard_reason reason =
        tc_is_blocked(skb, packet.word) ? REASON_BLOCKED : decide(tc_maps(), proto, packets);
    count_verdict(tc_maps(), proto, reason, packets);
    // Not TC_ACT_OK: other programs are to have their say. As a TCX program's value it is TCX_NEXT.
    return verdict_of(reason) == VERDICT_DROP ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL v2";
