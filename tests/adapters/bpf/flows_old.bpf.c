// The old version.
#include <linux/types.h>

struct count {
    __u64 packets;
    __u32 bytes;
    __u16 small;
    __u8 tiny;
    __s8 balance;
};

struct flow {
    __u32 packets;
    __u32 bytes;
};

struct state {
    __u64 seen;
    __u8 address[6];
    __u16 port;
    __u64 twice;
};

#include "tests/adapters/bpf/flows.bpf.h"
