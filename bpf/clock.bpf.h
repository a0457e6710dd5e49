// SPDX-License-Identifier: GPL-2.0
// The one place where our programs take the time from.
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

// Nanoseconds of CLOCK_MONOTONIC; of two CPUs, one may be slightly behind.
static __always_inline __u64 now_ns(void) { return bpf_ktime_get_ns(); }
