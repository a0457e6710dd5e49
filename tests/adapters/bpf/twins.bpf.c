// Two programs that drop what UDP there is, and their TC twins; they share a map of limits.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __type(key, __u32);
    __type(value, __u64);
} limits SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, __u64);
} runs SEC(".maps");

static __always_inline bool is_udp(const void* start, const void* end) {
    const struct ethhdr* ethernet = start;
    const struct iphdr* ip = (const void*)(ethernet + 1);
    if ((const void*)(ip + 1) > end) return false;
    return ethernet->h_proto == bpf_htons(ETH_P_IP) && ip->protocol == IPPROTO_UDP;
}

static __always_inline void count(__u32 which) {
    __u64* runs_of = bpf_map_lookup_elem(&runs, &which);
    if (runs_of) ++*runs_of;
    bpf_map_lookup_elem(&limits, &which); // uses it
}

static __always_inline int xdp(struct xdp_md* context, __u32 which) {
    count(which);
    return is_udp((void*)(long)context->data, (void*)(long)context->data_end) ? XDP_DROP : XDP_PASS;
}

static __always_inline int tc(struct __sk_buff* context, __u32 which) {
    count(which);
    return is_udp((void*)(long)context->data, (void*)(long)context->data_end) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("xdp") int first(struct xdp_md* context) { return xdp(context, 0); }
SEC("xdp") int second(struct xdp_md* context) { return xdp(context, 1); }
// For one side of the interface, each: it counts, and hands on.
static __always_inline int watch(const struct __sk_buff* context) {
    if (context->len != 0) count(2);
    return TC_ACT_UNSPEC;
}

SEC("tc") int watch_first(struct __sk_buff* context) { return watch(context); }
SEC("tc") int watch_second(struct __sk_buff* context) { return watch(context); }
SEC("tc") int first_tc(struct __sk_buff* context) { return tc(context, 3); }
SEC("tc") int second_tc(struct __sk_buff* context) { return tc(context, 3); }

const char LICENSE[] SEC("license") = "GPL";
