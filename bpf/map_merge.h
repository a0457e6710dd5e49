// SPDX-License-Identifier: GPL-2.0
// What user space tells map_merge.bpf.c before it is loaded, and reads from it while it runs. For C and C++.
// Not of the records that readers know by their BTF: both sides are built together.
#pragma once

#include <linux/types.h>

#define MAP_MERGE_MOVES_MAX 256

enum map_merge_rule {
    MAP_MERGE_SUM,
    MAP_MERGE_NEWEST,
};

// One number, or 1, 2, 4 or 8 bytes of a longer field. `to_size` is at least `from_size`.
struct map_merge_move {
    __u32 from_offset; // bytes, in the old map's value
    __u32 to_offset;   // bytes, in the new map's value
    __u16 from_size;
    __u16 to_size;
    __u32 is_signed;
};

struct map_merge_plan {
    __u32 rule;
    __u32 count; // of moves
    struct map_merge_move stamp;
    struct map_merge_move moves[MAP_MERGE_MOVES_MAX];
};

struct map_merge_run {
    __u64 visited; // entries of the old map, over all runs
    __u64 created; // of these, the new map had none
    __u64 newer;   // of these, the new map's was as new, and stands
    __u64 evicted; // of these, the new map (LRU) dropped at once
    __s64 error;   // the negative errno that ended a run; 0: none
    __u64 cpu;     // whose values merge_offline_cpu takes
};
