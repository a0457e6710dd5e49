// Two programs that share their maps: both count, then one passes and the other drops.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

enum ip_proto { PROTO_OTHER = 0, PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17 };

struct counters {
    __u64 packets;
    __u64 bytes;
};

struct limit {
    __u32 pps;
    __u32 burst;
    __s64 slack;
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, struct counters);
} verdict_counters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, struct limit);
} limits SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, __u64);
} switches SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(max_entries, 4);
    __type(key, enum ip_proto);
    __type(value, __u64);
} weights SEC(".maps");

const enum ip_proto* unused __attribute__((unused)); // keeps the enum in the BTF

static __u64 own_runs; // in .bss, which is never shared

static __always_inline int count(struct xdp_md* context, __u32 verdict) {
    struct counters* counters = bpf_map_lookup_elem(&verdict_counters, &verdict);
    if (counters) {
        counters->packets += 1;
        counters->bytes += context->data_end - context->data;
    }
    ++own_runs;
    return verdict ? XDP_PASS : XDP_DROP;
}

SEC("xdp") int count_pass(struct xdp_md* context) { return count(context, 1); }
SEC("xdp") int count_drop(struct xdp_md* context) { return count(context, 0); }

const char LICENSE[] SEC("license") = "GPL";
