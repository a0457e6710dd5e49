// An object without XDP programs.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("tc") int classify(struct __sk_buff* packet) { return packet->len == 0; }

const char LICENSE[] SEC("license") = "GPL";
