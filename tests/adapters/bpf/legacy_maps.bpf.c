// Defines its map as objects did before version 1 of libbpf.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct bpf_map_def {
    unsigned int type, key_size, value_size, max_entries, map_flags;
};

struct bpf_map_def SEC("maps") numbers = {BPF_MAP_TYPE_ARRAY, 4, 8, 8, 0};

SEC("xdp") int look(struct xdp_md* context) {
    __u32 key = context->ingress_ifindex;
    return bpf_map_lookup_elem(&numbers, &key) ? XDP_PASS : XDP_DROP;
}

const char LICENSE[] SEC("license") = "GPL";
