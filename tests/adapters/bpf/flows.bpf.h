// What two versions of a program share. A version defines struct count (packets, bytes, small, tiny, balance)
// struct flow (packets, bytes) and struct state (seen, twice), each in its own layout.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define KEYS_PER_PACKET 64

#define MAP(kind, map_name, entries, value_type)                                                             \
    struct {                                                                                                 \
        __uint(type, BPF_MAP_TYPE_##kind);                                                                   \
        __uint(max_entries, entries);                                                                        \
        __type(key, __u32);                                                                                  \
        __type(value, struct value_type);                                                                    \
    } map_name SEC(".maps")

MAP(ARRAY, count_array, 1024, count);
MAP(PERCPU_ARRAY, count_cpu_array, 1024, count);
MAP(HASH, count_hash, 1024, count);
MAP(PERCPU_HASH, count_cpu_hash, 1024, count);
MAP(LRU_HASH, count_lru, 1024, count);
MAP(LRU_PERCPU_HASH, count_lru_cpu, 1024, count);
MAP(HASH, flows, 1024, flow);
MAP(PERCPU_HASH, cpu_flows, 1024, flow);
MAP(HASH, states, 1024, state);
MAP(PERCPU_ARRAY, cpu_states, 1024, state);

// The packet's first four bytes are a key; it and those that follow are counted.
static __always_inline int first_key(struct xdp_md* context, __u32* key) {
    const void* data = (const void*)(long)context->data;
    if (data + sizeof *key > (const void*)(long)context->data_end) return -1;
    *key = *(const __u32*)data;
    return 0;
}

static __always_inline struct flow* flow_of(void* map, const __u32* key) {
    struct flow* flow = bpf_map_lookup_elem(map, key);
    if (flow) return flow;
    const struct flow none = {};
    bpf_map_update_elem(map, key, &none, BPF_NOEXIST);
    return bpf_map_lookup_elem(map, key);
}

SEC("xdp") int count_shared(struct xdp_md* context) {
    __u32 key;
    if (first_key(context, &key)) return XDP_ABORTED;
    for (int i = 0; i < KEYS_PER_PACKET; ++i, ++key) {
        struct flow* flow = flow_of(&flows, &key);
        if (!flow) return XDP_ABORTED;
        __sync_fetch_and_add(&flow->packets, 1);
        __sync_fetch_and_add(&flow->bytes, 3);
    }
    return XDP_PASS;
}

// Without atomics: the values are the CPU's own.
SEC("xdp") int count_per_cpu(struct xdp_md* context) {
    __u32 key;
    if (first_key(context, &key)) return XDP_ABORTED;
    for (int i = 0; i < KEYS_PER_PACKET; ++i, ++key) {
        struct flow* flow = flow_of(&cpu_flows, &key);
        if (!flow) return XDP_ABORTED;
        flow->packets += 1;
        flow->bytes += 3;
    }
    return XDP_PASS;
}

SEC("xdp") int note_states(struct xdp_md* context) {
    __u32 key;
    if (first_key(context, &key)) return XDP_ABORTED;
    const __u64 now = bpf_ktime_get_ns();
    for (int i = 0; i < KEYS_PER_PACKET; ++i, ++key) {
        const struct state state = {.seen = now, .twice = 2 * now};
        if (bpf_map_update_elem(&states, &key, &state, BPF_ANY) != 0) return XDP_ABORTED;
    }
    return XDP_PASS;
}

// Maps that no program names would be no part of it.
SEC("xdp") int touch(struct xdp_md* context) {
    const __u32 key = context->rx_queue_index;
    return (bpf_map_lookup_elem(&count_array, &key) && bpf_map_lookup_elem(&count_cpu_array, &key) &&
            bpf_map_lookup_elem(&count_hash, &key) && bpf_map_lookup_elem(&count_cpu_hash, &key) &&
            bpf_map_lookup_elem(&count_lru, &key) && bpf_map_lookup_elem(&count_lru_cpu, &key) &&
            bpf_map_lookup_elem(&cpu_states, &key))
               ? XDP_PASS
               : XDP_DROP;
}

const char LICENSE[] SEC("license") = "GPL";
