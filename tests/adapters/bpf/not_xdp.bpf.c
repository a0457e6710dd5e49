// An object without programs for packets on an interface.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("socket") int classify(struct __sk_buff* packet) { return packet->len == 0; }

const char LICENSE[] SEC("license") = "GPL";
