// SPDX-License-Identifier: GPL-2.0
// Counts packets by protocol, reports protocols beyond their limits, and passes everything.

#include "bpf/counting.bpf.h"
#include "bpf/parse.bpf.h"

SEC("xdp.frags")
int xdp_counter(struct xdp_md* ctx) {
    const union packet packet = parse_packet(xdp_frame(ctx));
    count_packet(ctx, packet.proto, bpf_xdp_get_buff_len(ctx));
    return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL v2";
