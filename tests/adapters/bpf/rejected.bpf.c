// Programs that the verifier rejects, each for a reason of its own.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 8);
    __type(key, __u32);
    __type(value, __u64);
} numbers SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096);
} events SEC(".maps");

SEC("xdp") int beyond_the_packet(struct xdp_md* context) {
    const __u32* data = (const __u32*)(long)context->data;
    return data[25] == 0 ? XDP_PASS : XDP_DROP;
}

SEC("xdp") int no_null_check(struct xdp_md* context) {
    __u32 key = context->ingress_ifindex;
    const __u64* number = bpf_map_lookup_elem(&numbers, &key);
    return *number == 0 ? XDP_PASS : XDP_DROP;
}

SEC("xdp") int endless(void) {
    asm volatile("r1 = 0; 0: if r1 != 7 goto 0b" ::: "r1");
    return XDP_PASS;
}

SEC("xdp") int too_complex(struct xdp_md* context) {
    __u64 sum = context->ingress_ifindex;
    for (__u32 i = 0; i < (1u << 30); ++i) asm volatile("%0 ^= %1" : "+r"(sum) : "r"(i));
    return sum == 0 ? XDP_PASS : XDP_DROP;
}

SEC("xdp") __attribute__((naked)) int uninitialised(void) { asm volatile("r0 = r7; exit"); }

SEC("xdp") int not_a_helper(void) {
    static long (*const missing)(void) = (void*)9999;
    return missing() == 0 ? XDP_PASS : XDP_DROP;
}

SEC("xdp") int helper_of_another_kind(struct xdp_md* context) {
    return bpf_skb_load_bytes((void*)context, 0, 0, 0) == 0 ? XDP_PASS : XDP_DROP;
}

SEC("xdp") int never_released(struct xdp_md* context) {
    __u64* event = bpf_ringbuf_reserve(&events, sizeof *event, 0);
    if (event) *event = context->ingress_ifindex;
    return XDP_PASS;
}

static __noinline int fill(__u32 seed) {
    volatile __u8 bytes[300];
    for (int i = 0; i < 300; ++i) bytes[i] = (__u8)seed;
    return bytes[seed & 255];
}

SEC("xdp") int stack_too_large(struct xdp_md* context) {
    volatile __u8 bytes[300];
    for (int i = 0; i < 300; ++i) bytes[i] = (__u8)context->ingress_ifindex;
    return fill(bytes[context->ingress_ifindex & 255]) == 0 ? XDP_PASS : XDP_DROP;
}

SEC("xdp") int below_the_stack(struct xdp_md* context) {
    asm volatile("*(u64*)(r10 - 520) = %0" ::"r"(context->data));
    return XDP_PASS;
}

static __noinline int read_word(const __u32* data) { return data[3]; }

SEC("xdp") int in_a_function(struct xdp_md* context) {
    return read_word((const __u32*)(long)context->data) == 0 ? XDP_PASS : XDP_DROP;
}

SEC("cgroup/sock_create") int wrong_return(void) { return 5; }

const char LICENSE[] SEC("license") = "GPL";
