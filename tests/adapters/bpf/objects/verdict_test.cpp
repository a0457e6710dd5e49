#include "adapters/bpf/libbpf_log.hpp"
#include "adapters/bpf/objects/source_lines.hpp"
#include "adapters/bpf/objects/verdict.hpp"
#include "tests/adapters/bpf/objects/verifier_logs.hpp"

#include <gtest/gtest.h>

#include <string>

namespace homeostat::bpf {
namespace {

Verdict read(std::string_view log) {
    const auto verdict = read_verdict(log);
    EXPECT_TRUE(verdict) << log;
    return verdict.value_or(Verdict{});
}

using Registers = std::vector<RegisterState>;

TEST(Verdict, OfAReadBeyondThePacketHasLineInstructionRegisterAndBothLinesOfTheMessage) {
    const Verdict verdict = read(out_of_bounds_log);
    EXPECT_EQ(verdict.message, "invalid access to packet, off=100 size=4, R1(id=0,off=100,r=0); "
                               "R1 offset is outside of the packet");
    EXPECT_EQ(verdict.at, (VerifiedInstruction{
                              1,
                              "r1 = *(u32 *)(r1 +100)",
                              {"rejected.bpf.c", 20, 0, "return data[25] == 0 ? XDP_PASS : XDP_DROP;"}}));
    EXPECT_EQ(verdict.registers, (Registers{{"r1", "pkt(r=0)"}}));
    EXPECT_TRUE(verdict.advice.contains("compare the end of what is needed with data_end")) << verdict.advice;
    EXPECT_FALSE(verdict.acquired);
}

TEST(Verdict, IsReadFromOlderKernelsThatTellNoFileAndMarkWhatWasWritten) {
    const Verdict verdict = read(out_of_bounds_log_of_6_1);
    EXPECT_EQ(verdict.at,
              (VerifiedInstruction{
                  1, "r1 = *(u32 *)(r1 +100)", {"", 0, 0, "return data[25] == 0 ? XDP_PASS : XDP_DROP;"}}));
    EXPECT_EQ(verdict.registers, (Registers{{"r1", "pkt(off=0,r=0,imm=0)"}}));
    EXPECT_TRUE(verdict.message.ends_with("R1 offset is outside of the packet"));
}

TEST(Verdict, NamesTheInstructionThatMadeARegisterWhereTheKernelDoesNotTellItsState) {
    const Verdict verdict = read(out_of_bounds_log_of_5_15);
    EXPECT_EQ(verdict.at->index, 7U);
    EXPECT_EQ(verdict.at->source.text, "return data[54];");
    EXPECT_EQ(verdict.registers, (Registers{{"r4", "the result of instruction 6: r4 += r1"}}));
}

TEST(Verdict, OfAPointerThatMayBeNullHasTheRegisterThatIsReadAndNotTheOneThatIsWritten) {
    const Verdict verdict = read(no_null_check_log);
    EXPECT_EQ(verdict.at->text, "r1 = *(u64 *)(r0 +0)");
    EXPECT_EQ(verdict.at->source.line, 26);
    EXPECT_EQ(verdict.registers, (Registers{{"r0", "map_value_or_null(id=1,map=numbers,ks=4,vs=8)"}}));
    EXPECT_EQ(verdict.advice, "compare the pointer with NULL before it is used");
}

TEST(Verdict, OfAnEndlessLoopLeavesOutTheStatesThatAreCompared) {
    const Verdict verdict = read(endless_log);
    EXPECT_EQ(verdict.message, "infinite loop detected at insn 1");
    EXPECT_EQ(verdict.at->text, "if r1 != 0x7 goto pc-1");
    EXPECT_EQ(verdict.at->source.line, 30);
    EXPECT_EQ(verdict.registers, (Registers{{"r1", "0"}}));
    EXPECT_TRUE(verdict.advice.contains("a bound that the verifier can see"));
}

TEST(Verdict, OfAProgramThatIsTooComplexTellsWhereTheVerifierGaveUp) {
    const Verdict verdict = read(too_complex_log);
    EXPECT_EQ(verdict.message, "BPF program is too large. Processed 1000001 insn");
    EXPECT_EQ(verdict.at->text, "w2 += 1");
    EXPECT_EQ(verdict.registers, (Registers{{"r2", "0x3d08f"}}));
    EXPECT_TRUE(verdict.advice.contains("smaller bounds"));
}

TEST(Verdict, OfAnUninitialisedRegisterSaysThatNothingWasWritten) {
    const Verdict verdict = read(uninitialised_log);
    EXPECT_EQ(verdict.message, "R7 !read_ok");
    EXPECT_EQ(verdict.at->text, "r0 = r7");
    EXPECT_EQ(verdict.registers, (Registers{{"r7", "nothing: it was never written on this path"}}));
}

TEST(Verdict, OfARegisterThatACallOverwroteNamesTheCall) {
    const Verdict verdict = read("0: R1=ctx() R10=fp0\n"
                                 "0: (b7) r2 = 8                        ; R2=8\n"
                                 "1: (85) call bpf_ktime_get_ns#5       ; R0=scalar()\n"
                                 "2: (bf) r0 = r2\n"
                                 "R2 !read_ok\n");
    EXPECT_EQ(verdict.registers, (Registers{{"r2", "nothing: the call at instruction 1 overwrote it"}}));
}

TEST(Verdict, OfAHelperThatThisKernelHasNotSaysWhatToDo) {
    const Verdict verdict = read(no_helper_log);
    EXPECT_EQ(verdict.message, "invalid func unknown#9999");
    EXPECT_EQ(verdict.at->text, "call unknown#9999");
    EXPECT_EQ(verdict.registers, Registers{}) << "what the call takes is no matter";
    EXPECT_EQ(verdict.advice,
              "this kernel has no such helper; run a newer kernel, or build the program without it");
}

TEST(Verdict, OfAReferenceThatIsNotReleasedNamesTheLineThatAcquiredIt) {
    const Verdict verdict = read(unreleased_log);
    EXPECT_TRUE(verdict.message.starts_with("Unreleased reference id=2 alloc_insn=5; BPF_EXIT"))
        << verdict.message;
    EXPECT_EQ(verdict.at->text, "exit");
    EXPECT_EQ(verdict.at->source.line, 54);
    ASSERT_TRUE(verdict.acquired);
    EXPECT_EQ(verdict.acquired->index, 5U);
    EXPECT_EQ(verdict.acquired->text, "call bpf_ringbuf_reserve#131");
    EXPECT_EQ(verdict.acquired->source.line, 52);
    EXPECT_TRUE(verdict.advice.contains("release it on every path"));
}

TEST(Verdict, OfAWrongReturnValueHasTheValue) {
    const Verdict verdict = read(return_log);
    EXPECT_EQ(verdict.at->text, "exit");
    EXPECT_EQ(verdict.registers, (Registers{{"r0", "5"}}));
    EXPECT_EQ(verdict.advice, "return a value that programs of this kind may return");
}

TEST(Verdict, OfAStackThatIsTooLargeNamesNoInstruction) {
    const Verdict verdict = read(stack_log);
    EXPECT_EQ(verdict.message, "combined stack size of 2 calls is 608. Too large");
    EXPECT_FALSE(verdict.at);
    EXPECT_TRUE(verdict.registers.empty());
    EXPECT_TRUE(verdict.advice.contains("512 bytes of stack"));
}

TEST(Verdict, OfACalledFunctionHasItsLineAndItsRegisters) {
    const Verdict verdict = read(called_function_log);
    EXPECT_EQ(verdict.at->index, 7U);
    EXPECT_EQ(verdict.at->source.line, 74);
    EXPECT_EQ(verdict.registers, (Registers{{"r1", "pkt(r=0)"}}));
}

TEST(Verdict, OfCodeThatIsNeverReachedTakesTheInstructionFromTheMessage) {
    const Verdict verdict = read("unreachable insn 2\nprocessed 0 insns (limit 1000000)\n");
    EXPECT_EQ(verdict.at, (VerifiedInstruction{2, "", {}}));
}

TEST(Verdict, OfARelocationThatLibbpfCouldNotResolveHasLibbpfsWords) {
    const Verdict verdict =
        read("0: R1=ctx() R10=fp0\n"
             "; return c[0]->a; @ c.bpf.c:3\n"
             "0: (79) r1 = *(u64 *)(r1 +0)          ; R1=scalar()\n"
             "1: <invalid CO-RE relocation>\n"
             "failed to resolve CO-RE relocation <byte_off> [3] struct foo.a (0:0 @ offset 0)\n"
             "processed 2 insns (limit 1000000)\n");
    EXPECT_TRUE(verdict.message.starts_with("failed to resolve CO-RE relocation")) << verdict.message;
    EXPECT_EQ(verdict.at->index, 1U);
    EXPECT_EQ(verdict.at->source.line, 3);
    EXPECT_TRUE(verdict.advice.contains("bpf_core_field_exists"));
}

TEST(Verdict, IsNoneWhereTheVerifierSaidNothing) {
    EXPECT_FALSE(read_verdict(""));
    EXPECT_FALSE(read_verdict("\n\n"));
    EXPECT_FALSE(read_verdict("processed 2 insns (limit 1000000)\nstack depth 0\n"));
}

TEST(Verdict, IsReadFromWhateverALogIsCutTo) {
    const std::string log(unreleased_log);
    for (std::size_t length = 0; length <= log.size(); ++length) {
        (void)read_verdict(log.substr(0, length));
        (void)read_verdict(log.substr(length));
    }
    for (const std::string_view odd :
         {"from ", "0:", "0: (", "0: (85", "0: (85) ", "; @ ", "; a @ b:", "R1", "R1=(((", "frame",
          "99999999999: (85) exit", "1: (85) exit ; R0=\nalloc_insn=\n"})
        (void)read_verdict(odd);
    SUCCEED() << "sanitizers would say otherwise";
}

TEST(Verdict, InWordsHasALineForEachPart) {
    EXPECT_EQ(to_text(read(no_null_check_log)),
              "R0 invalid mem access 'map_value_or_null'\n"
              "  at rejected.bpf.c:26: return *number == 0 ? XDP_PASS : XDP_DROP;\n"
              "  instruction 7: r1 = *(u64 *)(r0 +0)\n"
              "  r0 holds map_value_or_null(id=1,map=numbers,ks=4,vs=8)\n"
              "  compare the pointer with NULL before it is used");
    EXPECT_EQ(to_text(read("unreachable insn 2\n")), "unreachable insn 2\n  at instruction 2\n  nothing "
                                                     "leads to this code; remove it, or the loop without "
                                                     "end before it");
}

TEST(VerifierLog, IsThatOfTheLastProgramThatLibbpfTellsOf) {
    EXPECT_EQ(verifier_log("libbpf: prog 'a': -- BEGIN PROG LOAD LOG --\nfirst\n-- END PROG LOAD LOG --\n"
                           "libbpf: prog 'b': -- BEGIN PROG LOAD LOG --\nsecond\n-- END PROG LOAD LOG --\n"),
              "second\n");
    EXPECT_EQ(verifier_log("libbpf: prog 'a': -- BEGIN PROG LOAD LOG --\ncut"), "");
    EXPECT_EQ(verifier_log("libbpf: failed to load object\n"), "");
}

// ---- places

SourceLines lines_of_two_functions() {
    const auto line = [](std::uint32_t instruction, int number, int column, const std::string& text) {
        return SourceLines::Line{"xdp", instruction, {"/src/a.bpf.c", number, column, text}};
    };
    return {.lines = {line(0, 10, 5, "first"),
                      line(2, 11, 9, "second"),
                      line(2, 0, 0, ""),
                      line(4, 20, 1, "other"),
                      {"xdp", 4, {"/src/a.bpf.c", 20, 7, "other"}},
                      {".text", 0, {"/src/a.bpf.c", 30, 3, "called"}}},
            .functions = {{"xdp", 0, "one"}, {"xdp", 4, "two"}, {".text", 0, "called"}}};
}

SourceLine place_of(std::uint32_t index, const SourceLine& told, std::string_view function) {
    Verdict verdict{.message = "",
                    .at = VerifiedInstruction{index, "", told},
                    .acquired = {},
                    .registers = {},
                    .advice = ""};
    complete(verdict, lines_of_two_functions(), function);
    return verdict.at->source;
}

TEST(SourceLines, GiveAPlaceItsFileAndColumnByItsInstruction) {
    EXPECT_EQ(place_of(3, {}, "one"), (SourceLine{"/src/a.bpf.c", 11, 9, "second"}));
    EXPECT_EQ(place_of(0, {}, "two"), (SourceLine{"/src/a.bpf.c", 20, 7, "other"}));
}

TEST(SourceLines, FindAPlaceInACalledFunctionByItsText) {
    EXPECT_EQ(place_of(9, {"a.bpf.c", 30, 0, "called"}, "one"),
              (SourceLine{"/src/a.bpf.c", 30, 3, "called"}));
    EXPECT_EQ(place_of(9, {"", 0, 0, "called"}, "one"), (SourceLine{"/src/a.bpf.c", 30, 3, "called"}));
}

TEST(SourceLines, LeaveAPlaceAsTheLogHasItWhereTheyDoNotAgree) {
    const SourceLine told{"b.bpf.c", 7, 0, "elsewhere"};
    EXPECT_EQ(place_of(9, told, "one"), told);
    EXPECT_EQ(place_of(0, told, "absent"), told);
}

} // namespace
} // namespace homeostat::bpf
