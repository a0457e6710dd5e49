// TC programs without an XDP program beside them, in all the sections that they may stand in. They count what
// they see, by the row that each has to itself, and hand it on.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, __u64);
} seen SEC(".maps");

static __always_inline int count(const struct __sk_buff* packet, __u32 row) {
    __u64* packets = bpf_map_lookup_elem(&seen, &row);
    if (packets && packet->len != 0) __sync_fetch_and_add(packets, 1);
    return TC_ACT_UNSPEC;
}

SEC("tc") int count_first(struct __sk_buff* packet) { return count(packet, 0); }
SEC("classifier") int count_second(struct __sk_buff* packet) { return count(packet, 1); }
SEC("tcx/ingress") int count_third(struct __sk_buff* packet) { return count(packet, 2); }
SEC("tc") int drop(struct __sk_buff* packet) {
    count(packet, 3);
    return TC_ACT_SHOT;
}

const char LICENSE[] SEC("license") = "GPL";
