// Has more instructions than a kernel takes.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp") int too_large(struct xdp_md* context) {
    asm volatile(".rept 1000001\n r0 = 0\n .endr" ::: "r0");
    return context->data == 0 ? XDP_DROP : XDP_PASS;
}

const char LICENSE[] SEC("license") = "GPL";
