// An XDP program with TC programs beside it, one of which the verifier rejects.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp") int pass(struct xdp_md* context) { return context->data == 0 ? XDP_DROP : XDP_PASS; }

SEC("tc") int twin(struct __sk_buff* packet) { return packet->len == 0 ? 2 : -1; }

SEC("tc") int other_twin(struct __sk_buff* packet) {
    const unsigned char* start = (const unsigned char*)(long)packet->data;
    return start[100];
}

const char LICENSE[] SEC("license") = "GPL";
