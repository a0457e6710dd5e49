// Two programs that a network card can take: array and hash maps only, of two entries, and no global
// variables.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct limit {
    __u32 pps;
    __u32 burst;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, __u64);
} verdicts SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, struct limit);
} card_limits SEC(".maps");

static __always_inline int count(__u32 verdict) {
    __u64* packets = bpf_map_lookup_elem(&verdicts, &verdict);
    if (packets) *packets += 1;
    struct limit* limit = bpf_map_lookup_elem(&card_limits, &verdict);
    if (limit && limit->pps == 0) return XDP_PASS;
    return verdict ? XDP_PASS : XDP_DROP;
}

SEC("xdp") int hw_pass(struct xdp_md* context) {
    (void)context;
    return count(1);
}
SEC("xdp") int hw_drop(struct xdp_md* context) {
    (void)context;
    return count(0);
}

const char LICENSE[] SEC("license") = "GPL";
