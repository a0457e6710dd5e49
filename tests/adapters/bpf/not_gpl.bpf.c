// Calls a helper that is for programs under the GPL alone, and is none.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp") int not_gpl(struct xdp_md* context) {
    const char text[] = "packet";
    return bpf_trace_printk(text, sizeof text) < 0 && context->data == 0 ? XDP_DROP : XDP_PASS;
}

const char LICENSE[] SEC("license") = "Proprietary";
