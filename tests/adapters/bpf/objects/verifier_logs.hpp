// What the verifier of Linux 6.18 says of the programs in rejected.bpf.c, and older ones of others.
#pragma once

#include <string_view>

// clang-format off
namespace homeostat::bpf {

inline constexpr std::string_view out_of_bounds_log = R"log(0: R1=ctx() R10=fp0
; const __u32* data = (const __u32*)(long)context->data; @ rejected.bpf.c:19
0: (61) r1 = *(u32 *)(r1 +0)          ; R1=pkt(r=0)
; return data[25] == 0 ? XDP_PASS : XDP_DROP; @ rejected.bpf.c:20
1: (61) r1 = *(u32 *)(r1 +100)
invalid access to packet, off=100 size=4, R1(id=0,off=100,r=0)
R1 offset is outside of the packet
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
)log";

inline constexpr std::string_view no_null_check_log = R"log(0: R1=ctx() R10=fp0
; __u32 key = context->ingress_ifindex; @ rejected.bpf.c:24
0: (61) r1 = *(u32 *)(r1 +12)         ; R1=scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff))
1: (63) *(u32 *)(r10 -4) = r1         ; R1=scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff)) R10=fp0 fp-8=mmmm????
2: (bf) r2 = r10                      ; R2=fp0 R10=fp0
;  @ rejected.bpf.c:0
3: (07) r2 += -4                      ; R2=fp-4
; const __u64* number = bpf_map_lookup_elem(&numbers, &key); @ rejected.bpf.c:25
4: (18) r1 = 0xffff8882ad336c00       ; R1=map_ptr(map=numbers,ks=4,vs=8)
6: (85) call bpf_map_lookup_elem#1    ; R0=map_value_or_null(id=1,map=numbers,ks=4,vs=8)
; return *number == 0 ? XDP_PASS : XDP_DROP; @ rejected.bpf.c:26
7: (79) r1 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'
processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
)log";

inline constexpr std::string_view endless_log = R"log(0: R1=ctx() R10=fp0
; asm volatile("r1 = 0; 0: if r1 != 7 goto 0b" ::: "r1"); @ rejected.bpf.c:30
0: (b7) r1 = 0                        ; R1=0
1: (55) if r1 != 0x7 goto pc-1        ; R1=0
1: (55) if r1 != 0x7 goto pc-1        ; R1=0
1: (55) if r1 != 0x7 goto pc-1        ; R1=0
1: (55) if r1 != 0x7 goto pc-1        ; R1=0
1: (55) if r1 != 0x7 goto pc-1        ; R1=0
1: (55) if r1 != 0x7 goto pc-1        ; R1=0
1: (55) if r1 != 0x7 goto pc-1        ; R1=0
infinite loop detected at insn 1
cur state: R1=0 R10=fp0
old state: R1=P0 R10=fp0
processed 9 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 0
)log";

inline constexpr std::string_view too_complex_log = R"log(5: (05) goto pc-4
2: (af) r1 ^= r2                      ; R1=scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff)) R2=0x3d08e
3: (04) w2 += 1                       ; R2=0x3d08f
4: (16) if w2 == 0x40000000 goto pc+1         ; R2=0x3d08f
5: (05) goto pc-4
2: (af) r1 ^= r2                      ; R1=scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff)) R2=0x3d08f
3: (04) w2 += 1
BPF program is too large. Processed 1000001 insn
processed 1000001 insns (limit 1000000) max_states_per_insn 4 total_states 25001 peak_states 25001 mark_read 0
)log";

inline constexpr std::string_view uninitialised_log = R"log(0: R1=ctx() R10=fp0
; SEC("xdp") __attribute__((naked)) int uninitialised(void) { asm volatile("r0 = r7; exit"); } @ rejected.bpf.c:40
0: (bf) r0 = r7
R7 !read_ok
processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
)log";

inline constexpr std::string_view no_helper_log = R"log(0: R1=ctx() R10=fp0
; return missing() == 0 ? XDP_PASS : XDP_DROP; @ rejected.bpf.c:44
0: (85) call unknown#9999
invalid func unknown#9999
processed 1 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
)log";

inline constexpr std::string_view unreleased_log = R"log(0: R1=ctx() R10=fp0
; SEC("xdp") int never_released(struct xdp_md* context) { @ rejected.bpf.c:51
0: (bf) r6 = r1                       ; R1=ctx() R6=ctx()
; __u64* event = bpf_ringbuf_reserve(&events, sizeof *event, 0); @ rejected.bpf.c:52
1: (18) r1 = 0xffff8882ad336a00       ; R1=map_ptr(map=events,ks=0,vs=0)
3: (b7) r2 = 8                        ; R2=8
4: (b7) r3 = 0                        ; R3=0
5: (85) call bpf_ringbuf_reserve#131          ; R0=ringbuf_mem_or_null(id=2,ref_obj_id=2,sz=8) refs=2
; if (event) *event = context->ingress_ifindex; @ rejected.bpf.c:53
6: (15) if r0 == 0x0 goto pc+2        ; R0=ringbuf_mem(ref_obj_id=2,sz=8) refs=2
7: (61) r1 = *(u32 *)(r6 +12)         ; R1=scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff)) R6=ctx() refs=2
8: (7b) *(u64 *)(r0 +0) = r1          ; R0=ringbuf_mem(ref_obj_id=2,sz=8) R1=scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff)) refs=2
; return XDP_PASS; @ rejected.bpf.c:54
9: (b4) w0 = 2                        ; R0=2 refs=2
10: (95) exit
Unreleased reference id=2 alloc_insn=5
BPF_EXIT instruction in main prog would lead to reference leak
processed 10 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 0
)log";

inline constexpr std::string_view stack_log = R"log(combined stack size of 2 calls is 608. Too large
processed 4219 insns (limit 1000000) max_states_per_insn 4 total_states 65 peak_states 65 mark_read 0
)log";

inline constexpr std::string_view called_function_log = R"log(0: R1=ctx() R10=fp0
; return read_word((const __u32*)(long)context->data) == 0 ? XDP_PASS : XDP_DROP; @ rejected.bpf.c:77
0: (61) r1 = *(u32 *)(r1 +0)          ; R1=pkt(r=0)
1: (85) call pc+5
caller:
 R10=fp0
callee:
 frame1: R1=pkt(r=0) R10=fp0
7: frame1: R1=pkt(r=0) R10=fp0
; static __noinline int read_word(const __u32* data) { return data[3]; } @ rejected.bpf.c:74
7: (61) r0 = *(u32 *)(r1 +12)
invalid access to packet, off=12 size=4, R1(id=0,off=12,r=0)
R1 offset is outside of the packet
processed 3 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
)log";

inline constexpr std::string_view return_log = R"log(0: R1=ctx() R10=fp0
; SEC("cgroup/sock_create") int wrong_return(void) { return 5; } @ rejected.bpf.c:80
0: (b4) w0 = 5                        ; R0=5
1: (95) exit
At program exit the register R0 has smin=5 smax=5 should have been in [0, 1]
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
)log";

// As Linux 6.1 writes it: no file and line, "_w" for what was written, offsets that are 0.
inline constexpr std::string_view out_of_bounds_log_of_6_1 = R"log(0: R1=ctx(off=0,imm=0) R10=fp0
; const __u32* data = (const __u32*)(long)context->data;
0: (61) r1 = *(u32 *)(r1 +0)          ; R1_w=pkt(off=0,r=0,imm=0)
; return data[25] == 0 ? XDP_PASS : XDP_DROP;
1: (61) r1 = *(u32 *)(r1 +100)
invalid access to packet, off=100 size=4, R1(id=0,off=100,r=0)
R1 offset is outside of the packet
verification time 57 usec
stack depth 0
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
)log";

// As Linux 5.15 writes it: the registers after a branch alone.
inline constexpr std::string_view out_of_bounds_log_of_5_15 = R"log(; int parse(struct xdp_md* context)
0: (bf) r6 = r1
; if (data + 14 > end)
4: (2d) if r1 > r3 goto pc+9
 R1_w=pkt(id=0,off=14,r=14,imm=0) R2_w=pkt(id=0,off=0,r=14,imm=0) R3_w=pkt_end(id=0,off=0,imm=0) R6_w=ctx(id=0,off=0,imm=0) R10=fp0
; return data[54];
5: (bf) r4 = r2
6: (0f) r4 += r1
last_idx 6 first_idx 0
regs=2 stack=0 before 5: (bf) r4 = r2
7: (71) r4 = *(u8 *)(r4 +54)
invalid access to packet, off=54 size=1, R4(id=0,off=54,r=14)
R4 offset is outside of the packet
processed 8 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
)log";

} // namespace homeostat::bpf
