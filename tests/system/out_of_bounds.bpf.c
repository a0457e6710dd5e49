// Reads beyond the packet's end without having looked where that is: the verifier rejects it.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp") int out_of_bounds(struct xdp_md* context) {
    const __u32* data = (const __u32*)(long)context->data;
    return data[25] == 0 ? XDP_PASS : XDP_DROP;
}

const char LICENSE[] SEC("license") = "GPL";
