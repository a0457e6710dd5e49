// SPDX-License-Identifier: GPL-2.0
// The Generic Cell Rate Algorithm (ITU-T Recommendation I.371, in its form of virtual scheduling), shared by
// all CPUs without a lock. Pure: time is passed in, so user space can run it too.
//
// A token bucket has two numbers, its level and the time of its last filling, and two numbers want a
// lock. This algorithm says the same with one: the theoretical arrival time, at which the next packet
// would be due if all so far had come evenly, at the limit's rate. Each packet moves it on by the interval
// between packets; time that passes lets it fall behind, which is worth nothing more once it is in the
// past. A packet conforms if it is not early by more than the burst, and only a conforming one
// is charged. So one compare-and-exchange is a whole decision.
//
// In any span of t seconds at most burst + t × pps packets conform. The interval is whole nanoseconds,
// rounded down: the rate is never below pps, and above by at most pps / 10⁹ of it (0.1 % at a million a
// second).
#pragma once

#include "bpf/records.h"

#include <linux/stddef.h>
#include <linux/types.h>

#define GCRA_NS_PER_SECOND 1000000000ULL
#define GCRA_BURST_MAX 0xffffffffULL // a greater burst counts as this one: it must fit 64 bits in nanoseconds
#define GCRA_TRIES_MAX 4

enum gcra_result {
    GCRA_CONFORMS,
    GCRA_EXCEEDS,   // nothing was charged
    GCRA_CONTENDED, // nothing was charged: other CPUs won each of the tries
};

static __always_inline __u64 gcra_load(const __u64* value) {
#ifdef __bpf__
    return *(const volatile __u64*)value; // an atomic load is more than clang 14 has for BPF
#else
    return __atomic_load_n(value, __ATOMIC_RELAXED);
#endif
}

// Charges `packets` that come together at `now_ns` to the limit; all conform or none. `*arrival_ns` is
// the state, 0 at first. limit.pps must not be 0.
static __always_inline enum gcra_result gcra_charge(__u64* arrival_ns, struct rate_limit limit, __u64 packets,
                                                    __u64 now_ns) {
    const __u64 interval_ns = GCRA_NS_PER_SECOND / limit.pps;
    const __u64 burst = limit.burst == 0 ? 1 : limit.burst > GCRA_BURST_MAX ? GCRA_BURST_MAX : limit.burst;
    const __u64 latest_ns = now_ns + burst * interval_ns;

    for (int i = 0; i < GCRA_TRIES_MAX; ++i) {
        const __u64 seen_ns = gcra_load(arrival_ns);
        const __u64 next_ns = (seen_ns > now_ns ? seen_ns : now_ns) + packets * interval_ns;
        if (next_ns > latest_ns) {
            // Under an earlier, slower limit the arrival time can have run further ahead than this one
            // allows; it is pulled back, or the old limit would stay in force.
            if (seen_ns > latest_ns) __sync_val_compare_and_swap(arrival_ns, seen_ns, latest_ns);
            return GCRA_EXCEEDS;
        }
        if (__sync_val_compare_and_swap(arrival_ns, seen_ns, next_ns) == seen_ns) return GCRA_CONFORMS;
    }
    return GCRA_CONTENDED;
}

// Lets a limit that rests begin where another one of the same rate is. A limit at work stays as it is.
static __always_inline void gcra_take_over(__u64* arrival_ns, const __u64* other_arrival_ns, __u64 now_ns) {
    const __u64 seen_ns = gcra_load(arrival_ns);
    const __u64 other_ns = gcra_load(other_arrival_ns);
    if (seen_ns > now_ns || other_ns <= now_ns) return;
    __sync_val_compare_and_swap(arrival_ns, seen_ns, other_ns);
}
