// A version with the sizes of the first one, and other fields.
#include <linux/types.h>

struct count {
    __u64 octets;
};

#define packets octets

struct limit {
    __u32 pps;
};

#define PROGRAM count_renamed
#include "tests/adapters/bpf/carry.bpf.h"
