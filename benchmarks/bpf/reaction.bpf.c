// SPDX-License-Identifier: GPL-2.0
// Two programs that send an urgent record for each frame of an experimental EtherType, with the first byte of
// its payload, and keep the time at which they did.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct alarm {
    __u64 ktime_ns;
    __u32 on;
    __u32 reserved;
};

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 65536);
} alarms SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} sent_ns SEC(".maps");

// Its parameter is what puts the record's type into the BTF.
static __noinline int send(struct alarm* alarm) {
    return (int)bpf_ringbuf_output(&alarms, alarm, sizeof(*alarm), BPF_RB_FORCE_WAKEUP);
}

static __always_inline int watch(struct xdp_md* context, int verdict) {
    const void* end = (void*)(long)context->data_end;
    const struct ethhdr* ethernet = (void*)(long)context->data;
    const __u8* payload = (const void*)(ethernet + 1);
    if ((const void*)(payload + 1) > end || ethernet->h_proto != bpf_htons(0x88b5)) return verdict;
    struct alarm alarm = {.ktime_ns = bpf_ktime_get_ns(), .on = *payload};
    const __u32 key = 0;
    bpf_map_update_elem(&sent_ns, &key, &alarm.ktime_ns, BPF_ANY);
    send(&alarm);
    return XDP_DROP;
}

SEC("xdp") int calm(struct xdp_md* context) { return watch(context, XDP_PASS); }
SEC("xdp") int strict(struct xdp_md* context) { return watch(context, XDP_DROP); }

const char LICENSE[] SEC("license") = "GPL";
