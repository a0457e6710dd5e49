// Types of many shapes, a map of each kind, and a program that turns packets into ring-buffer records.
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

enum colour { COLOUR_RED = 1, COLOUR_DARK_BLUE = 2 };
typedef enum { LEVEL_LOW = -1, LEVEL_HIGH = 1 } level;

struct inner {
    __u16 port;
    enum colour colour;
};

struct shape {
    __u8 address[6];
    char name[10];
    bool flag;
    __u8 low : 4;
    __s16 offset;
    level level;
    struct inner inner;
    __u32 list[3];
    struct inner pair[2];
    union {
        __u64 whole;
        __u32 half;
    };
    void* pointer;
    volatile const __s64 last;
};

struct flow_key {
    enum colour colour;
    __u32 queue;
};

struct reading {
    __u64 packets;
    __s32 balance;
    __u16 small;
    __u8 address[2];
};

struct event {
    enum colour colour;
    __u32 source;
    struct {
        __u64 pps;
        __s32 drift;
    } rate;
};

const struct event* unused __attribute__((unused)); // keeps the struct in the BTF

#define MAP(kind, map_name, entries, key_type, value_type)                                                   \
    struct {                                                                                                 \
        __uint(type, BPF_MAP_TYPE_##kind);                                                                   \
        __uint(max_entries, entries);                                                                        \
        __type(key, key_type);                                                                               \
        __type(value, value_type);                                                                           \
    } map_name SEC(".maps")

MAP(ARRAY, plain_array, 700, __u32, struct reading);
MAP(PERCPU_ARRAY, cpu_array, 700, __u32, struct reading);
MAP(HASH, plain_hash, 10000, struct flow_key, struct reading);
MAP(PERCPU_HASH, cpu_hash, 10000, __u32, struct reading);
MAP(LRU_HASH, lru_hash, 1024, __u32, struct reading);
MAP(LRU_PERCPU_HASH, lru_cpu_hash, 1024, __u32, struct reading);
MAP(HASH, shapes, 1, enum colour, struct shape);

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1);
    __uint(key_size, 4);
    __uint(value_size, 12);
} by_size SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 8192);
} events SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4 << 20);
} many_events SEC(".maps");

// The packet's first bytes become one record; a packet that is shorter than a record becomes four bytes.
static __always_inline int put(struct xdp_md* context, void* ring) {
    const void* data = (const void*)(long)context->data;
    const void* end = (const void*)(long)context->data_end;
    if (data + sizeof(struct event) > end) {
        const __u32 truncated = 0;
        return bpf_ringbuf_output(ring, (void*)&truncated, sizeof truncated, 0) ? XDP_ABORTED : XDP_PASS;
    }
    struct event* record = bpf_ringbuf_reserve(ring, sizeof *record, 0);
    if (!record) return XDP_ABORTED;
    __builtin_memcpy(record, data, sizeof *record);
    bpf_ringbuf_submit(record, 0);
    return XDP_PASS;
}

SEC("xdp") int emit(struct xdp_md* context) { return put(context, &events); }
SEC("xdp") int emit_many(struct xdp_md* context) { return put(context, &many_events); }

// Maps that no program names would be no part of it.
SEC("xdp") int touch(struct xdp_md* context) {
    const __u32 key = context->rx_queue_index;
    const struct flow_key flow = {.queue = key};
    return (bpf_map_lookup_elem(&plain_array, &key) && bpf_map_lookup_elem(&cpu_array, &key) &&
            bpf_map_lookup_elem(&plain_hash, &flow) && bpf_map_lookup_elem(&cpu_hash, &key) &&
            bpf_map_lookup_elem(&lru_hash, &key) && bpf_map_lookup_elem(&lru_cpu_hash, &key) &&
            bpf_map_lookup_elem(&shapes, &key) && bpf_map_lookup_elem(&by_size, &key))
               ? XDP_PASS
               : XDP_DROP;
}

const char LICENSE[] SEC("license") = "GPL";
