// A program whose section is misspelt, beside one that is right.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xpd") int misspelt(struct xdp_md* context) { return context->data == 0 ? XDP_DROP : XDP_PASS; }

SEC("xdp") int right(struct xdp_md* context) { return context->data == 0 ? XDP_DROP : XDP_PASS; }

const char LICENSE[] SEC("license") = "GPL";
