// SPDX-License-Identifier: GPL-2.0
// From a frame's bytes to its protocol class: Ethernet, up to two VLAN tags, IPv4 with options, IPv6 with
// extension headers. What is not understood, or cut off before its protocol is known, is PROTO_UNPARSED.
//
// The code minds two costs. A verifier that meets a function proves it again on each of the paths that
// lead there, and a parser has hundreds: so what can be told by a table is not told by branches, and
// the rarer parts have global linkage, which are proved once, for any argument. That is the
// difference between loading in one millisecond and in two hundred. But a call may cost as much as all the
// rest of parsing (10 ns, where the kernel guards returns against speculation): so the common path, IP
// without VLAN tags or extension headers, makes none.
//
// One source serves XDP and TC. A function of global linkage takes its program's context, which the kernel
// knows by its type's name: so there is one for each hook, and the code between them is inline and one.
#pragma once

#include "bpf/records.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/stddef.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#define VLAN_TAGS_MAX 2
#define IPV6_EXTENSIONS_MAX 8
#define FRAME_OFFSET_MAX 0x7fff // headers further into a frame are not looked for

// The bytes that a program can look at, and its context: one of the two, and the compiler knows which.
struct frame {
    const void* start;
    const void* end;
    struct xdp_md* xdp;
    struct __sk_buff* skb;
};

// What there is to know of a packet, in one register. Offsets are from the beginning of the frame.
union packet {
    struct {
        __u8 proto;      // enum proto_class
        __u8 ip_version; // 4 or 6; 0 where IP is not understood, or absent
        __u16 ip;        // offset of the IP header
        __u16 transport; // offset of what follows IP; 0 in a later fragment, and where there is none
    };
    __u64 word;
};

static __always_inline struct frame xdp_frame(struct xdp_md* ctx) {
    return (struct frame){.start = (void*)(long)ctx->data, .end = (void*)(long)ctx->data_end, .xdp = ctx};
}

static __always_inline struct frame tc_frame(struct __sk_buff* skb) {
    return (struct frame){.start = (void*)(long)skb->data, .end = (void*)(long)skb->data_end, .skb = skb};
}

// `size` bytes at the offset; NULL where the frame ends before.
static __always_inline const void* bytes_at(struct frame frame, __u32 offset, __u32 size) {
    if (offset > FRAME_OFFSET_MAX) return NULL;
    const void* bytes = frame.start + offset;
    return bytes + size > frame.end ? NULL : bytes;
}

// The same, at an offset that a packet's word brought along. The verifier does not know its bound and is to
// find it in the comparison, which the compiler would else turn into one of signs.
static __always_inline const void* header_at(struct frame frame, __u32 offset, __u32 size) {
    asm volatile("" : "+r"(offset));
    return bytes_at(frame, offset, size);
}

static const __u8 class_of_ip_protocol[256] = {
    [IPPROTO_TCP] = PROTO_TCP,       [IPPROTO_UDP] = PROTO_UDP,   [IPPROTO_ICMP] = PROTO_ICMP,
    [IPPROTO_ICMPV6] = PROTO_ICMPV6, [IPPROTO_SCTP] = PROTO_SCTP, [IPPROTO_GRE] = PROTO_GRE,
    [IPPROTO_ESP] = PROTO_ESP, // and PROTO_OTHER_IP, which is 0, for the rest
};
_Static_assert(PROTO_OTHER_IP == 0, "what the table does not name is PROTO_OTHER_IP");

static __always_inline void parse_ipv4(struct frame frame, __u32 offset, union packet* packet) {
    const struct iphdr* ip = bytes_at(frame, offset, sizeof(*ip));
    if (!ip || ip->version != 4 || ip->ihl < sizeof(*ip) / 4) return;
    const __u32 length = ip->ihl * 4;
    if (!bytes_at(frame, offset, length)) return;

    packet->ip_version = 4;
    packet->ip = offset;
    packet->proto = class_of_ip_protocol[ip->protocol];
    // A later fragment has no transport header, but says its protocol all the same.
    const __u16 fragment_offset = bpf_ntohs(ip->frag_off) & 0x1fff;
    if (fragment_offset == 0) packet->transport = offset + length;
}

struct ipv6_extension {
    __u8 next;
    __u8 length;     // beyond the first 8 bytes, in units of 8; of 4 in an authentication header
    __be16 fragment; // offset and flags, in a fragment header
    __u32 rest;
};

static __always_inline bool is_ipv6_extension(__u8 protocol) {
    const __u64 extensions = 1ULL << IPPROTO_HOPOPTS | 1ULL << IPPROTO_ROUTING | 1ULL << IPPROTO_FRAGMENT |
                             1ULL << IPPROTO_AH | 1ULL << IPPROTO_DSTOPTS;
    return protocol < 64 && (extensions >> protocol & 1);
}

// Where a walk along extension headers stands, as one number: the protocol of what comes next, its offset,
// and whether that went away with the first fragment. Negative where the frame ended.
#define IPV6_PLACE(offset, protocol) ((offset) << 8 | (protocol))
#define IPV6_PLACE_PROTOCOL(place) ((place) & 0xff)
#define IPV6_PLACE_OFFSET(place) ((place) >> 8 & 0xffff)
#define IPV6_PLACE_LATER_FRAGMENT 0x1000000

static __always_inline int step_over_extension(struct frame frame, __u32 place) {
    const __u32 offset = IPV6_PLACE_OFFSET(place);
    const struct ipv6_extension* extension = bytes_at(frame, offset, sizeof(*extension));
    if (!extension) return -1;

    __u32 length = sizeof(*extension);
    int later_fragment = 0;
    switch (IPV6_PLACE_PROTOCOL(place)) {
    case IPPROTO_FRAGMENT:
        if (bpf_ntohs(extension->fragment) >> 3) later_fragment = IPV6_PLACE_LATER_FRAGMENT;
        break;
    case IPPROTO_AH:
        length += extension->length * 4;
        break;
    default:
        length += extension->length * 8;
        break;
    }
    if (!bytes_at(frame, offset, length)) return -1;
    return later_fragment | IPV6_PLACE((int)(offset + length), extension->next);
}

__noinline int xdp_ipv6_step(struct xdp_md* ctx, __u32 place) {
    return step_over_extension(xdp_frame(ctx), place);
}

__noinline int tc_ipv6_step(struct __sk_buff* skb, __u32 place) {
    return step_over_extension(tc_frame(skb), place);
}

// Steps over the extension header at the place.
static __always_inline int ipv6_step(struct frame frame, __u32 place) {
    return frame.skb ? tc_ipv6_step(frame.skb, place) : xdp_ipv6_step(frame.xdp, place);
}

static __always_inline void parse_ipv6(struct frame frame, __u32 offset, union packet* packet) {
    const struct ipv6hdr* ip = bytes_at(frame, offset, sizeof(*ip));
    if (!ip || ip->version != 6) return;

    packet->ip_version = 6;
    packet->ip = offset;
    int place = IPV6_PLACE((int)(offset + sizeof(*ip)), ip->nexthdr);
    for (int i = 0; i < IPV6_EXTENSIONS_MAX; ++i) {
        if (!is_ipv6_extension(IPV6_PLACE_PROTOCOL(place)) || place & IPV6_PLACE_LATER_FRAGMENT) break;
        place = ipv6_step(frame, place);
        if (place < 0) return;
    }
    // What is left of a chain was too long, or went away with the first fragment.
    if (is_ipv6_extension(IPV6_PLACE_PROTOCOL(place))) return;

    packet->proto = class_of_ip_protocol[IPV6_PLACE_PROTOCOL(place)];
    if (!(place & IPV6_PLACE_LATER_FRAGMENT)) packet->transport = IPV6_PLACE_OFFSET(place);
}

#define TCP_FLAGS_OFFSET 13
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

// A segment whose flags are not there to see, in a later fragment or cut off, stays PROTO_TCP.
static __always_inline void parse_tcp(struct frame frame, union packet* packet) {
    if (packet->proto != PROTO_TCP || packet->transport == 0) return;
    // The parser finds no header as far in as the mask reaches; it is there for the verifier.
    const __u8* flags = frame.start + (packet->transport & FRAME_OFFSET_MAX) + TCP_FLAGS_OFFSET;
    if ((const void*)(flags + 1) > frame.end) return;
    if ((*flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)) == TCP_SYN) packet->proto = PROTO_TCP_SYN;
}

struct vlan_tag {
    __be16 control;
    __be16 protocol;
};

static __always_inline bool is_vlan(__be16 protocol) {
    return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

// Before TC the kernel has taken the outermost tag out of the frame, or the device did: it counts as the
// first.
static __always_inline __u32 tags_taken_out(struct frame frame) {
    return frame.skb && frame.skb->vlan_present ? 1 : 0;
}

static __always_inline __u64 step_over_tags(struct frame frame) {
    __u32 offset = sizeof(struct ethhdr);
    __be16 protocol = 0;
    const __u32 tags_max = VLAN_TAGS_MAX - tags_taken_out(frame);
    for (__u32 i = 0; i < tags_max; ++i) {
        const struct vlan_tag* tag = bytes_at(frame, offset, sizeof(*tag));
        if (!tag) return 0;
        offset += sizeof(*tag);
        protocol = tag->protocol;
        if (!is_vlan(protocol)) break;
    }
    return (__u64)offset << 16 | protocol;
}

__noinline __u64 xdp_skip_vlan_tags(struct xdp_md* ctx) { return step_over_tags(xdp_frame(ctx)); }

__noinline __u64 tc_skip_vlan_tags(struct __sk_buff* skb) { return step_over_tags(tc_frame(skb)); }

// Steps over VLAN tags. Returns what follows, as (offset << 16 | protocol in network order): a further tag
// where there were too many; 0 where the frame ended.
static __always_inline __u64 skip_vlan_tags(struct frame frame) {
    return frame.skb ? tc_skip_vlan_tags(frame.skb) : xdp_skip_vlan_tags(frame.xdp);
}

// TC gets a frame without its Ethernet header where the device has none, and where XDP in skb mode had to
// copy the packet: the kernel forgets the header's length then. What lies in its place names the same
// protocol by chance only, and then XDP has judged the packet already.
static __always_inline bool has_ethernet(struct frame frame, __be16 protocol) {
    return !frame.skb || frame.skb->protocol == protocol;
}

static __always_inline union packet parse_packet(struct frame frame) {
    union packet packet = {.word = 0};
    packet.proto = PROTO_UNPARSED;

    const struct ethhdr* ethernet = bytes_at(frame, 0, sizeof(*ethernet));
    if (!ethernet) return packet;
    __u32 offset = sizeof(*ethernet);
    __be16 protocol = ethernet->h_proto;
    if (!has_ethernet(frame, protocol)) {
        offset = 0;
        protocol = frame.skb->protocol;
    } else if (is_vlan(protocol)) {
        const __u64 place = skip_vlan_tags(frame);
        if (place == 0) return packet;
        offset = place >> 16;
        protocol = place;
    }

    if (protocol == bpf_htons(ETH_P_IP))
        parse_ipv4(frame, offset, &packet);
    else if (protocol == bpf_htons(ETH_P_IPV6))
        parse_ipv6(frame, offset, &packet);
    else if (protocol == bpf_htons(ETH_P_ARP))
        packet.proto = PROTO_ARP;
    else if (!is_vlan(protocol))
        packet.proto = PROTO_OTHER_L2;
    parse_tcp(frame, &packet);
    return packet;
}
