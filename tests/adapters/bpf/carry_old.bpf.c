// The version that runs first.
#include <linux/types.h>

struct count {
    __u64 packets;
};

struct limit {
    __u32 pps;
};

#define PROGRAM count_old
#include "tests/adapters/bpf/carry.bpf.h"
