// SPDX-License-Identifier: GPL-2.0
// Stands at the head of TC ingress and does nothing, until a twin takes its place by an update of its link.

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

SEC("tc")
int tc_pass(struct __sk_buff* skb) {
    (void)skb;
    return TC_ACT_UNSPEC; // as a TCX program's value, TCX_NEXT
}

char LICENSE[] SEC("license") = "GPL v2";
