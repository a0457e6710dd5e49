// SPDX-License-Identifier: GPL-2.0
// Merges the entries of an old map, which nobody writes any more, into a new one that programs write
// meanwhile. It runs in the kernel because no update may be lost: each number is added or exchanged by one
// atomic instruction, so that neither another CPU nor a packet that interrupts this one comes between reading
// and writing. In a per-CPU map that also holds against programs that count without atomics, as long as
// merge_this_cpu runs on the CPU whose values it takes.
//
// The two maps and the plan are set by user space before loading; the verifier knows the plan's numbers then
// and checks each offset against the maps' values.
#include "bpf/map_merge.h"

#include <linux/bpf.h>
#include <linux/errno.h>

#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#define TRIES_MAX 32 // to win against other CPUs that write the same number

const volatile struct map_merge_plan plan SEC(".rodata.plan") = {};
struct map_merge_run run = {}; // the only variable in .bss

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(key_size, 4);
    __uint(value_size, 8);
} from_entries SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(key_size, 4);
    __uint(value_size, 8);
} to_entries SEC(".maps");

// One value of the new map's size, where what is to be inserted is put together. What no move writes is zero.
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(key_size, 4);
    __uint(value_size, 8);
} fresh_value SEC(".maps");

// The current CPU's, or the one that run.cpu names.
enum whose { THIS_CPU, NAMED_CPU };

static __always_inline void* find(void* map, const void* key, enum whose whose) {
    return whose == THIS_CPU ? bpf_map_lookup_elem(map, key) : bpf_map_lookup_percpu_elem(map, key, run.cpu);
}

static __always_inline __u64 load(const void* value, __u32 offset, __u32 size, bool is_signed) {
    const void* at = value + offset;
    switch (size) {
    case 1:
        return is_signed ? (__u64) * (const volatile __s8*)at : *(const volatile __u8*)at;
    case 2:
        return is_signed ? (__u64) * (const volatile __s16*)at : *(const volatile __u16*)at;
    case 4:
        return is_signed ? (__u64) * (const volatile __s32*)at : *(const volatile __u32*)at;
    default:
        return *(const volatile __u64*)at;
    }
}

static __always_inline void store(void* value, __u32 offset, __u32 size, __u64 number) {
    void* at = value + offset;
    switch (size) {
    case 1:
        *(volatile __u8*)at = number;
        break;
    case 2:
        *(volatile __u16*)at = number;
        break;
    case 4:
        *(volatile __u32*)at = number;
        break;
    default:
        *(volatile __u64*)at = number;
    }
}

static __always_inline bool exchange(void* value, __u32 offset, __u32 size, __u64 seen, __u64 number) {
    void* at = value + offset;
    if (size == 4) return __sync_val_compare_and_swap((__u32*)at, (__u32)seen, (__u32)number) == (__u32)seen;
    return __sync_val_compare_and_swap((__u64*)at, seen, number) == seen;
}

// There are no atomic instructions for 1 and 2 bytes: the word that holds them is exchanged.
static __always_inline bool add_within_word(void* value, __u32 offset, __u32 size, __u32 amount) {
    const __u32 at = offset & 3;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const __u32 shift = at * 8;
#else
    const __u32 shift = (4 - size - at) * 8;
#endif
    const __u32 mask = (size == 1 ? 0xffU : 0xffffU) << shift;
    for (int i = 0; i < TRIES_MAX; ++i) {
        const __u32 seen = load(value, offset - at, 4, false);
        const __u32 sum = (seen & ~mask) | ((seen + (amount << shift)) & mask);
        if (exchange(value, offset - at, 4, seen, sum)) return true;
    }
    return false;
}

static __always_inline long add_all(const void* from, void* to) {
    for (__u32 i = 0; i < MAP_MERGE_MOVES_MAX && i < plan.count; ++i) {
        const volatile struct map_merge_move* move = &plan.moves[i];
        const __u64 amount = load(from, move->from_offset, move->from_size, move->is_signed);
        if (amount == 0) continue;
        if (move->to_size == 8) {
            __sync_fetch_and_add((__u64*)(to + move->to_offset), amount);
        } else if (move->to_size == 4) {
            __sync_fetch_and_add((__u32*)(to + move->to_offset), (__u32)amount);
        } else if (!add_within_word(to, move->to_offset, move->to_size, amount)) {
            return -EBUSY;
        }
    }
    return 0;
}

static __always_inline void copy_all(const void* from, void* to) {
    for (__u32 i = 0; i < MAP_MERGE_MOVES_MAX && i < plan.count; ++i) {
        const volatile struct map_merge_move* move = &plan.moves[i];
        store(to, move->to_offset, move->to_size,
              load(from, move->from_offset, move->from_size, move->is_signed));
    }
}

// The new map's entry is taken over by its stamp first. What a program writes after that stands: a changed
// stamp ends the copy, and a number that changed since it was seen is left alone.
static __always_inline long copy_if_newer(const void* from, void* to) {
    const __u32 at = plan.stamp.to_offset, size = plan.stamp.to_size;
    const __u64 stamp = load(from, plan.stamp.from_offset, plan.stamp.from_size, false);
    bool taken = false;
    for (int i = 0; i < TRIES_MAX && !taken; ++i) {
        const __u64 seen = load(to, at, size, false);
        if (seen >= stamp) {
            ++run.newer;
            return 0;
        }
        taken = exchange(to, at, size, seen, stamp);
    }
    if (!taken) return -EBUSY;
    for (__u32 i = 0; i < MAP_MERGE_MOVES_MAX && i < plan.count; ++i) {
        const volatile struct map_merge_move* move = &plan.moves[i];
        const __u32 offset = move->to_offset, width = move->to_size;
        if (offset == at) continue;
        const __u64 number = load(from, move->from_offset, move->from_size, move->is_signed);
        const __u64 before = load(to, offset, width, false);
        if (load(to, at, size, false) != stamp) return 0;
        if (width >= 4 && (offset & (width - 1)) == 0)
            exchange(to, offset, width, before, number);
        else
            store(to, offset, width, number);
    }
    return 0;
}

// For sums an entry of zeros is inserted, so that adding is the same whoever was first; a state is inserted
// whole. Before Linux 6.4 what calls into a map returns an int, and the upper half of the register is not to
// be trusted: here and below that is cast.
static __always_inline long insert(const void* key, const void* from) {
    const __u32 zero = 0;
    void* fresh = bpf_map_lookup_elem(&fresh_value, &zero);
    if (!fresh) return -EFAULT;
    if (plan.rule == MAP_MERGE_NEWEST) copy_all(from, fresh);
    return (int)bpf_map_update_elem(&to_entries, key, fresh, BPF_NOEXIST);
}

// Where the map has no room left for an LRU entry, or a program deletes it, what was inserted may be gone
// again.
static __always_inline long merge(const void* key, const void* from, enum whose whose) {
    ++run.visited;
    void* to = find(&to_entries, key, whose);
    if (!to && whose == THIS_CPU) {
        const long error = insert(key, from);
        if (error != 0 && error != -EEXIST) return error;
        if (error == 0) ++run.created;
        if (error == 0 && plan.rule == MAP_MERGE_NEWEST) return 0;
        to = find(&to_entries, key, whose);
    }
    if (!to) {
        ++run.evicted;
        return 0;
    }
    return plan.rule == MAP_MERGE_SUM ? add_all(from, to) : copy_if_newer(from, to);
}

static long take_this_cpu(void* map, const void* key, void* from, void* context) {
    (void)map;
    (void)context;
    run.error = merge(key, from, THIS_CPU);
    return run.error != 0;
}

static long take_named_cpu(void* map, const void* key, void* value, void* context) {
    (void)map;
    (void)value; // of the CPU that this runs on
    (void)context;
    const void* from = find(&from_entries, key, NAMED_CPU);
    run.error = from ? merge(key, from, NAMED_CPU) : 0;
    return run.error != 0;
}

static long take_none(void* map, const void* key, void* from, void* context) {
    (void)map;
    (void)key;
    (void)from;
    (void)context;
    return 0;
}

// Of a map that is not per CPU, all values.
SEC("syscall") int merge_this_cpu(void* context) {
    (void)context;
    return (int)bpf_for_each_map_elem(&from_entries, take_this_cpu, 0, 0) < 0 ? 1 : 0;
}

// For CPUs on which nothing runs, so nothing can come between.
SEC("syscall") int merge_offline_cpu(void* context) {
    (void)context;
    return (int)bpf_for_each_map_elem(&from_entries, take_named_cpu, 0, 0) < 0 ? 1 : 0;
}

SEC("syscall") int count_entries(void* context) {
    (void)context;
    return bpf_for_each_map_elem(&from_entries, take_none, 0, 0);
}

const char LICENSE[] SEC("license") = "GPL v2";
