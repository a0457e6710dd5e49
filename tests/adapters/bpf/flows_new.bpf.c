// The new version: fields moved, grew, and came in addition.
#include <linux/types.h>

struct count {
    __s16 balance;
    __u8 tiny;
    __u16 small;
    __u64 bytes;
    __u64 drops;
    __u64 packets;
};

struct flow {
    __u64 bytes;
    __u64 packets;
};

struct state {
    __u16 port;
    __u8 address[6];
    __u32 added;
    __u64 twice;
    __u64 seen;
};

#include "tests/adapters/bpf/flows.bpf.h"
