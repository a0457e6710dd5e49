// What the versions of a program share whose maps are carried over. A version defines struct count (with
// packets), struct limit (with pps), and PROGRAM, its function's name.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, struct count);
} counts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16);
    __type(key, __u32);
    __type(value, struct limit);
} limits SEC(".maps");

// The same in all versions.
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} kept SEC(".maps");

static __always_inline bool is_udp(const void* start, const void* end) {
    const struct ethhdr* ethernet = start;
    const struct iphdr* ip = (const void*)(ethernet + 1);
    if ((const void*)(ip + 1) > end) return false;
    return ethernet->h_proto == bpf_htons(ETH_P_IP) && ip->protocol == IPPROTO_UDP;
}

SEC("xdp") int PROGRAM(struct xdp_md* context) {
    const __u32 first = 0;
    if (!is_udp((void*)(long)context->data, (void*)(long)context->data_end)) return XDP_PASS;
    struct count* count = bpf_map_lookup_elem(&counts, &first);
    if (count) ++count->packets;
    __u64* same = bpf_map_lookup_elem(&kept, &first);
    if (same) ++*same;
    bpf_map_lookup_elem(&limits, &first); // uses it
    return XDP_PASS;
}

// Works on the same map, beside the other.
SEC("tc") int count_in_tc(struct __sk_buff* context) {
    const __u32 first = 0;
    struct count* count = bpf_map_lookup_elem(&counts, &first);
    if (count && context->len != 0) ++count->packets;
    return -1; // TCX_NEXT
}

const char LICENSE[] SEC("license") = "GPL";
