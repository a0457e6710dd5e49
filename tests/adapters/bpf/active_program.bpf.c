// Runs the program that `active` holds, which can be replaced while packets go through, as a link's can.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} active SEC(".maps");

SEC("xdp") int run_active(struct xdp_md* context) {
    bpf_tail_call(context, &active, 0);
    return XDP_ABORTED;
}

const char LICENSE[] SEC("license") = "GPL";
