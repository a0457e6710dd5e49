// Defines a map of counting.bpf.c otherwise.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, __u64);
} verdict_counters SEC(".maps");

SEC("xdp") int conflicting(struct xdp_md* context) {
    __u32 key = 0;
    (void)context;
    return bpf_map_lookup_elem(&verdict_counters, &key) ? XDP_PASS : XDP_ABORTED;
}

const char LICENSE[] SEC("license") = "GPL";
