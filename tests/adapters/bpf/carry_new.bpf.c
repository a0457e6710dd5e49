// The version that takes its place: values grew.
#include <linux/types.h>

struct count {
    __u64 bytes;
    __u64 packets;
};

struct limit {
    __u32 pps;
    __u32 burst;
};

#define PROGRAM count_new
#include "tests/adapters/bpf/carry.bpf.h"
