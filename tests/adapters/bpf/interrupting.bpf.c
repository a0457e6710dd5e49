// Counts without atomics from an interrupt, as a packet program does on a network card's CPU: whatever runs
// there is interrupted every few microseconds, until user space sets `stopped`.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <linux/time.h>

#define KEYS 64
#define PERIOD_NS 10000

struct flow { // as in flows_new.bpf.c
    __u64 bytes;
    __u64 packets;
};

struct ticker {
    struct bpf_timer timer;
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(max_entries, 1024);
    __type(key, __u32);
    __type(value, struct flow);
} cpu_flows SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct ticker);
} tickers SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} ticks SEC(".maps"), stopped SEC(".maps");

static int tick(void* map, __u32* key, struct ticker* ticker) {
    (void)map;
    (void)key;
    const __u32 zero = 0;
    const __u64* stop = bpf_map_lookup_elem(&stopped, &zero);
    __u64* ticked = bpf_map_lookup_elem(&ticks, &zero);
    if (!stop || !ticked || *stop) return 0;
    for (__u32 i = 0; i < KEYS; ++i) {
        __u32 key = i;
        barrier_var(key); // a counter of its own: Linux 6.1 does not follow one whose address is taken
        struct flow* flow = bpf_map_lookup_elem(&cpu_flows, &key);
        if (!flow) continue;
        flow->packets += 1;
        flow->bytes += 3;
    }
    *ticked += 1;
    bpf_timer_start(&ticker->timer, PERIOD_NS, 0);
    return 0;
}

SEC("xdp") int start_ticking(struct xdp_md* context) {
    (void)context;
    const __u32 zero = 0;
    struct ticker* ticker = bpf_map_lookup_elem(&tickers, &zero);
    if (!ticker || bpf_timer_init(&ticker->timer, &tickers, CLOCK_MONOTONIC) != 0) return XDP_ABORTED;
    if (bpf_timer_set_callback(&ticker->timer, tick) != 0) return XDP_ABORTED;
    return bpf_timer_start(&ticker->timer, PERIOD_NS, 0) == 0 ? XDP_PASS : XDP_ABORTED;
}

const char LICENSE[] SEC("license") = "GPL";
